"""The outer form of an archive, format version 1: an envelope in clear, then frames of ciphertext.

    magic | format version (1 byte) | length of the envelope (2 bytes) | envelope (MessagePack) | frame 0 | frame 1 | … | last frame

A frame is its length (4 bytes, the top bit set for the last one) and AES-256-GCM over at most `FRAME` bytes. The nonce is the frame's
number in 11 bytes, then 0, or 1 for the last frame; every frame authenticates all that stands in front of frame 0. So frames cannot be
reordered, repeated, left out or taken from another archive, and an archive that was cut short lacks its last frame.

Synchronous and blocking: called from threads, by one of them at a time.
"""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path
from typing import BinaryIO, Final, Self

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from terrapod_core.backup.locks import Envelope, Locking, Unlocking
from terrapod_core.backup.problems import DAMAGED, BackupError

MAGIC: Final = b"TERRAPOD BACKUP\n"
VERSION: Final = 1
FRAME: Final = 1 << 20
"""Bytes of plaintext in every frame but the last."""

_HEAD: Final = struct.Struct(">BH")
_LENGTH: Final = struct.Struct(">I")
_LAST: Final = 1 << 31
_TAG: Final = 16


def _nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([last])


class Sealing:
    """Writes one archive to a file that is open for writing."""

    def __init__(self, file: BinaryIO, lock: Locking) -> None:
        envelope, key = lock.lock()
        encoded = msgspec.msgpack.encode(envelope)
        front = MAGIC + _HEAD.pack(VERSION, len(encoded)) + encoded
        self._file = file
        self._cipher, self._front = AESGCM(key), hashlib.sha256(front).digest()
        self._held = bytearray()
        self._number = 0
        self.size = file.write(front)
        """Bytes written so far."""

    def write(self, data: bytes) -> None:
        """The next bytes of plaintext."""
        self._held += data
        # A frame goes only when something follows it: which one is the last is part of its encryption.
        while len(self._held) > FRAME:
            self._frame(bytes(memoryview(self._held)[:FRAME]), last=False)
            del self._held[:FRAME]

    def finish(self) -> None:
        """There are no more."""
        self._frame(bytes(self._held), last=True)
        self._held.clear()

    def _frame(self, plaintext: bytes, *, last: bool) -> None:
        encrypted = self._cipher.encrypt(_nonce(self._number, last=last), plaintext, self._front)
        self._number += 1
        self.size += self._file.write(_LENGTH.pack(len(encrypted) | (_LAST if last else 0)))
        self.size += self._file.write(encrypted)


class Archive:
    """An archive that is read from its beginning to its end. Raises `BackupError` for what is none or cannot be opened."""

    def __init__(self, path: Path) -> None:
        """Open the file and read its envelope."""
        try:
            self._file = path.open("rb")
        except OSError as error:
            raise BackupError(f"{path} cannot be read: {error.strerror or error}") from error
        self.size = path.stat().st_size
        self._held = memoryview(b"")
        self._number = 0
        self._ended = False
        try:
            self.envelope = self._read_front()
        except BaseException:
            self._file.close()
            raise

    def _read_front(self) -> Envelope:
        if self._file.read(len(MAGIC)) != MAGIC:
            raise BackupError(f"{self._file.name} is no backup of Terrapod")
        head = self._file.read(_HEAD.size)
        version, length = _HEAD.unpack(head) if len(head) == _HEAD.size else (VERSION, 0)
        if version != VERSION:
            raise BackupError(f"the archive is of format version {version}, and this Terrapod knows {VERSION}: use a newer one")
        encoded = self._file.read(length)
        self._front = hashlib.sha256(MAGIC + head + encoded).digest()
        try:
            return msgspec.msgpack.decode(encoded, type=Envelope)
        except msgspec.MsgspecError:
            raise BackupError(DAMAGED) from None

    def unlock(self, secret: Unlocking) -> None:
        """Open it with this secret. Raises `BackupError` for a wrong one."""
        self._cipher = AESGCM(secret.open(self.envelope))
        try:
            self._next()
        except BackupError:
            raise BackupError("this is not the passphrase or the key that the archive was made with, or its beginning is damaged") from None

    @property
    def position(self) -> int:
        """Bytes of the file that were read."""
        return self._file.tell()

    def read(self, size: int) -> bytes:
        """The next `size` bytes of plaintext. Raises `BackupError` when there are not so many."""
        parts = []
        while size:
            if not self._held:
                if self._ended:
                    raise BackupError(DAMAGED)
                self._next()
                continue
            part = self._held[:size]
            parts.append(part)
            self._held, size = self._held[len(part) :], size - len(part)
        return b"".join(parts)

    def finish(self) -> None:
        """Raise `BackupError` unless all of it was read."""
        while not self._held and not self._ended:
            self._next()
        if self._held or self._file.read(1):
            raise BackupError(DAMAGED)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._file.close()

    def _next(self) -> None:
        head = self._file.read(_LENGTH.size)
        length = _LENGTH.unpack(head)[0] if len(head) == _LENGTH.size else 0
        last, length = bool(length & _LAST), length & ~_LAST
        if not _TAG <= length <= FRAME + _TAG:
            raise BackupError(DAMAGED)
        try:
            plaintext = self._cipher.decrypt(_nonce(self._number, last=last), self._file.read(length), self._front)
        except InvalidTag:
            raise BackupError(DAMAGED) from None
        self._held, self._ended, self._number = memoryview(plaintext), last, self._number + 1
