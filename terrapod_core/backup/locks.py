"""What an archive is locked with: a passphrase, or the public key of whoever may open it.

    passphrase   key = scrypt(passphrase, salt of the archive), N = 2^16, r = 8, p = 2: 64 MiB for each guess
    recipient    key = HKDF-SHA256(X25519(one-time key, recipient), salt = both public keys)

The parameters stand in the format and not in the archive: a forged one cannot make its reader compute for ever.
"""

from __future__ import annotations

import base64
import binascii
import os
from typing import Final, Literal, Protocol, Self

import msgspec
from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from terrapod_core.backup.problems import BackupError

SHORTEST_PASSPHRASE: Final = 12
PUBLIC_PREFIX: Final = "terrapod-backup-public-"
PRIVATE_PREFIX: Final = "terrapod-backup-private-"
_KEY_BYTES: Final = 32
_SALT_BYTES: Final = 16


class Envelope(msgspec.Struct, frozen=True):
    """What stands in front of the encrypted part, in clear: how its key is found by whoever has the secret."""

    lock: Literal["scrypt", "x25519"]
    salt: bytes
    """Of the passphrase; or the one-time public key."""
    recipient: bytes = b""
    """The public key it was made for."""


class Locking(Protocol):
    """Locks an archive."""

    def lock(self) -> tuple[Envelope, bytes]:
        """The envelope of a new archive, and its key. Computes for a moment."""
        ...


class Unlocking(Protocol):
    """Opens archives."""

    def open(self, envelope: Envelope) -> bytes:
        """The archive's key, right or wrong. Raises `BackupError` when the archive is locked otherwise. Computes for a moment."""
        ...


class Passphrase:
    """Locks, and opens what it locked."""

    def __init__(self, text: str) -> None:
        """Raises `BackupError` for one that is too short."""
        if len(text) < SHORTEST_PASSPHRASE:
            raise BackupError(f"a passphrase needs at least {SHORTEST_PASSPHRASE} characters: whoever has the archive can try for years")
        self._text = text.encode("utf-8", "surrogateescape")

    def lock(self) -> tuple[Envelope, bytes]:
        envelope = Envelope("scrypt", os.urandom(_SALT_BYTES))
        return envelope, self.open(envelope)

    def open(self, envelope: Envelope) -> bytes:
        if envelope.lock != "scrypt":
            raise BackupError("the archive was made for a recipient: open it with the private key (--identity)")
        return Scrypt(salt=envelope.salt, length=_KEY_BYTES, n=1 << 16, r=8, p=2).derive(self._text)


class Recipient:
    """A public key. Locks, and cannot open."""

    def __init__(self, public: bytes) -> None:
        self._public = public

    @classmethod
    def read(cls, text: str) -> Self:
        """The key in the text that `new_identity` gave. Raises `BackupError`."""
        return cls(_decoded(text, PUBLIC_PREFIX, "public key of a recipient"))

    def lock(self) -> tuple[Envelope, bytes]:
        once = X25519PrivateKey.generate()
        envelope = Envelope("x25519", once.public_key().public_bytes_raw(), self._public)
        try:
            return envelope, _derived(once.exchange(X25519PublicKey.from_public_bytes(self._public)), envelope)
        except (ValueError, InvalidKey):
            raise BackupError("this is no public key that an archive could be made for") from None


class Identity:
    """A private key. Opens what was locked for its public key."""

    def __init__(self, private: bytes) -> None:
        self._private = X25519PrivateKey.from_private_bytes(private)

    @classmethod
    def read(cls, text: str) -> Self:
        """The key in the text that `new_identity` gave. Raises `BackupError`."""
        return cls(_decoded(text, PRIVATE_PREFIX, "private key"))

    def open(self, envelope: Envelope) -> bytes:
        if envelope.lock != "x25519":
            raise BackupError("the archive was made with a passphrase: open it with that")
        if envelope.recipient != self._private.public_key().public_bytes_raw():
            raise BackupError(f"the archive was made for another recipient: {_encoded(PUBLIC_PREFIX, envelope.recipient)}")
        try:
            return _derived(self._private.exchange(X25519PublicKey.from_public_bytes(envelope.salt)), envelope)
        except ValueError:
            raise BackupError("the archive's envelope is damaged") from None


def new_identity() -> tuple[str, str]:
    """A fresh private key and its public key, as text."""
    private = X25519PrivateKey.generate()
    return _encoded(PRIVATE_PREFIX, private.private_bytes_raw()), _encoded(PUBLIC_PREFIX, private.public_key().public_bytes_raw())


def _derived(shared: bytes, envelope: Envelope) -> bytes:
    salt = envelope.salt + envelope.recipient
    return HKDF(algorithm=SHA256(), length=_KEY_BYTES, salt=salt, info=b"terrapod-backup-recipient-v1").derive(shared)


def _encoded(prefix: str, key: bytes) -> str:
    return prefix + base64.urlsafe_b64encode(key).rstrip(b"=").decode()


def _decoded(text: str, prefix: str, what: str) -> bytes:
    text = text.strip()
    try:
        key = base64.b64decode(text.removeprefix(prefix) + "=", altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not text.startswith(prefix) or len(key) != _KEY_BYTES:
        raise BackupError(f"this is no {what}: it begins with {prefix}, as `terrapod backup new-key` makes it")
    return key
