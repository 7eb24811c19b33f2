"""The framed format of an encrypted object, format version 1.

    frame 0 | frame 1 | … | frame n-1 | index | wrapped data key | trailer

* A *frame* is AES-256-GCM over `FRAME` bytes of plaintext (the last frame: what is left; an empty object has none), as one
  zstd frame when that is smaller and as they are otherwise. Nonces follow STREAM: the frame's number in 11 bytes, then 0,
  or 1 for the last frame; so frames cannot be reordered, repeated or left out.
* The *index* is AES-256-GCM (nonce number 0, last byte 2) over the size of the plaintext (8 bytes) and per frame 4 bytes: its
  encrypted length, with the top bit set when it is compressed. It makes a range of the plaintext readable without what
  comes before, and says how much there must be.
* The *wrapped data key*: the object's own random 256-bit key, sealed by the keyring for the object's kind and id.
* The *trailer*, 16 bytes: length of the index, length of the wrapped key (4 bytes each), `TERRAP`, 2 bytes of format version.

The directory of the object stands at its end because a stream's length is known only there; a reader begins with one read
of the last `TAIL` bytes, which for nearly every object holds it whole. Truncation takes the trailer away, so it is found
before anything is released; a frame is released only after its own tag is verified.

Frames are 128 KiB: measured with state JSON and random bytes, against 64 KiB they compress 4 % better and are encoded and
decoded up to a fifth faster, against 256 KiB they lose 1 % of both and a range read touches half as much.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Final

import zstandard
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from terrapod_core.secrets.keyring import KEY_BYTES, Keyring, SecretUnreadable, place

FRAME: Final = 128 * 1024
"""Bytes of plaintext in every frame but the last."""
TAIL: Final = 64 * 1024
"""Bytes read from the end of an object to find its directory; covers the index of 2 GiB."""
WRAPPED_TAIL: Final = 256
"""Bytes at the end of an object that hold its wrapped data key, however long the key's id."""

_VERSION: Final = 1
_MAGIC: Final = b"TERRAP"
_TRAILER: Final = struct.Struct(">II6sH")
_TAG: Final = 16
_COMPRESSED: Final = 1 << 31
_MORE, _LAST, _INDEX = b"\x00", b"\x01", b"\x02"


def _nonce(number: int, role: bytes) -> bytes:
    return number.to_bytes(11, "big") + role


@dataclass(frozen=True)
class Binding:
    """What an object's bytes belong to: no other kind and no other id reads them."""

    keyring: Keyring = field(repr=False)
    kind: str
    object_id: str

    @property
    def aad(self) -> bytes:
        """What the index authenticates besides itself."""
        return place("object", str(_VERSION), self.kind, self.object_id)


class FrameWriter:
    """Makes one object. Synchronous, computes much: call it off the event loop. Used by one thread at a time."""

    def __init__(self, binding: Binding) -> None:
        self._key = os.urandom(KEY_BYTES)
        self._binding = binding
        self._cipher = AESGCM(self._key)
        self._zstd = zstandard.ZstdCompressor(level=1)
        self._entries: list[int] = []
        self._size = 0
        self._ended = False

    def frames(self, plaintext: bytes | memoryview, *, last: bool) -> list[bytes]:
        """Encrypt the next stretch; unless `last`, its length is a multiple of `FRAME`. After `last` only `directory` follows."""
        if self._ended:
            raise ValueError("the last frame was written already")
        if not last and len(plaintext) % FRAME:
            raise ValueError(f"only the last frame may be shorter than {FRAME} bytes")
        self._ended = last
        view = memoryview(plaintext)
        starts = range(0, len(plaintext), FRAME)
        return [self._frame(view[at : at + FRAME], last and at == starts[-1]) for at in starts]

    def directory(self) -> bytes:
        """Everything that stands behind the frames."""
        index = struct.pack(f">Q{len(self._entries)}I", self._size, *self._entries)
        sealed = self._cipher.encrypt(_nonce(0, _INDEX), index, self._binding.aad)
        # Only now: a stream may take an hour, and the key that was the newest at its beginning may be gone at its end.
        wrapped = self._binding.keyring.wrap(self._key, kind=self._binding.kind, object_id=self._binding.object_id)
        return sealed + wrapped + _TRAILER.pack(len(sealed), len(wrapped), _MAGIC, _VERSION)

    def _frame(self, plaintext: memoryview, last: bool) -> bytes:
        packed = self._zstd.compress(plaintext)
        compressed = len(packed) < len(plaintext)
        body = packed if compressed else plaintext
        encrypted = self._cipher.encrypt(_nonce(len(self._entries), _LAST if last else _MORE), body, None)
        self._entries.append(len(encrypted) | (_COMPRESSED if compressed else 0))
        self._size += len(plaintext)
        return encrypted


@dataclass(frozen=True)
class Directory:
    """What stands behind an object's frames, verified: how to read any range of the plaintext."""

    size: int
    """Bytes of plaintext."""
    lengths: Sequence[int]
    """Encrypted length of each frame."""
    compressed: Sequence[bool]
    offsets: Sequence[int]
    """Where each frame begins, and where the last one ends."""
    cipher: AESGCM = field(repr=False)

    def clip(self, start: int, end: int | None) -> tuple[int, int]:
        """The range that exists of `start` (inclusive) to `end` (exclusive; `None`: to the end). `ValueError` below 0."""
        if start < 0 or (end is not None and end < 0):
            raise ValueError("a range of an object counts from its beginning")
        stop = self.size if end is None else min(end, self.size)
        return min(start, stop), stop

    def open(self, first: int, encrypted: bytes, count: int) -> list[bytes]:
        """Verify and decrypt `count` frames from number `first` on. Raises `SecretUnreadable`; then nothing is released."""
        decompress = zstandard.ZstdDecompressor()
        view = memoryview(encrypted)
        opened: list[bytes] = []
        for number in range(first, first + count):
            at = self.offsets[number] - self.offsets[first]
            opened.append(self._open(number, view[at : at + self.lengths[number]], decompress))
        return opened

    def _open(self, number: int, encrypted: memoryview, decompress: zstandard.ZstdDecompressor) -> bytes:
        last = number == len(self.lengths) - 1
        expected = self.size - number * FRAME if last else FRAME
        try:
            body = self.cipher.decrypt(_nonce(number, _LAST if last else _MORE), encrypted, None)
            plaintext = decompress.decompress(body, max_output_size=expected) if self.compressed[number] else body
        except (InvalidTag, zstandard.ZstdError):
            raise _damaged(f"frame {number} does not verify") from None
        if len(plaintext) != expected:
            raise _damaged(f"frame {number} has the wrong size")
        return plaintext


def directory_bytes(tail: bytes) -> int:
    """How many bytes at the end of an object, of which `tail` are the last ones, its directory takes.

    Raises `SecretUnreadable` when the object does not end as an object does.
    """
    if len(tail) < _TRAILER.size:
        raise _damaged("it is cut short")
    index, wrapped, magic, version = _TRAILER.unpack(tail[-_TRAILER.size :])
    if magic != _MAGIC:
        raise _damaged("its end is missing")
    if version != _VERSION:
        raise SecretUnreadable(f"An object has format version {version}, and this version of Terrapod reads {_VERSION}: upgrade.")
    return int(index + wrapped + _TRAILER.size)


def read_directory(binding: Binding, tail: bytes, encrypted_size: int) -> Directory:
    """Verify the directory at the end of `tail`. `encrypted_size` is the length of the whole object in the store.

    Raises `SecretUnreadable`: damaged, cut, or written for another kind or id.
    """
    needed = directory_bytes(tail)
    if len(tail) < needed:
        raise _damaged("it is cut short")
    index_length, wrapped_length, _, _ = _TRAILER.unpack(tail[-_TRAILER.size :])
    sealed = tail[-needed : index_length - needed]
    wrapped = tail[index_length - needed : index_length - needed + wrapped_length]
    key = binding.keyring.unwrap(wrapped, kind=binding.kind, object_id=binding.object_id)
    cipher = AESGCM(key)
    try:
        index = cipher.decrypt(_nonce(0, _INDEX), sealed, binding.aad)
    except InvalidTag:
        raise _damaged("its index does not verify") from None
    size, *entries = struct.unpack(f">Q{(len(index) - 8) // 4}I", index)
    lengths = [entry & ~_COMPRESSED for entry in entries]
    offsets = list(accumulate(lengths, initial=0))
    if offsets[-1] + needed != encrypted_size:
        raise _damaged("it is longer or shorter than its index says")
    return Directory(size, lengths, [bool(entry & _COMPRESSED) for entry in entries], offsets, cipher)


def wrapped_key(tail: bytes) -> bytes:
    """The wrapped data key, out of the last `WRAPPED_TAIL` bytes of an object or more. Raises `SecretUnreadable`."""
    directory_bytes(tail)
    _, length, _, _ = _TRAILER.unpack(tail[-_TRAILER.size :])
    if length + _TRAILER.size > len(tail):
        raise _damaged("its end is missing")
    return tail[-_TRAILER.size - length : -_TRAILER.size]


def rewrapped(binding: Binding, tail: bytes) -> tuple[int, bytes]:
    """How many bytes at the end of an object hold its wrapped data key, and what takes their place under the newest key.

    Frames and index stay as they are: they are encrypted under the data key, which stays. Raises `SecretUnreadable`.
    """
    wrapped = wrapped_key(tail)
    index_length, *_ = _TRAILER.unpack(tail[-_TRAILER.size :])
    key = binding.keyring.unwrap(wrapped, kind=binding.kind, object_id=binding.object_id)
    fresh = binding.keyring.wrap(key, kind=binding.kind, object_id=binding.object_id)
    return len(wrapped) + _TRAILER.size, fresh + _TRAILER.pack(index_length, len(fresh), _MAGIC, _VERSION)


def _damaged(how: str) -> SecretUnreadable:
    return SecretUnreadable(f"A stored object cannot be read: {how}. Restore it from a backup.")
