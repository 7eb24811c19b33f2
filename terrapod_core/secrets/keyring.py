"""The instance's keys and what is sealed with them.

A sealed value is laid out as

    version (1 byte) | length of key id (1 byte) | key id | nonce (12 bytes) | AES-256-GCM ciphertext and tag

and authenticates, besides itself, where it belongs: version, column, row and key id (or object kind and object id for a
wrapped data key). Moving a ciphertext to another row or column therefore makes it unreadable.

No master key encrypts anything itself. HKDF-SHA256 derives one key per purpose, and HMAC of the place (column and row)
under that gives the key of the cell. Each cell having its own key, the bound of 2^28 random nonces per key is one on
rewrites of a single cell, which nobody reaches, instead of one on the whole installation, which would need a counter.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import os
import re
import secrets
import struct
from pathlib import Path
from typing import Final, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from terrapod_core.errors import TerrapodError
from terrapod_core.secrets.keyfile import KEY_FILE, read_or_make
from terrapod_core.settings import SettingsError

KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_TAG_BYTES: Final = 16
_VERSION: Final = 1
_SALT: Final = b"terrapod-keyring-v1"
_KEY_ID = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$")


class KeyringError(SettingsError):
    """The keys of this installation are missing or malformed; the text says what to set."""


class SecretUnreadable(TerrapodError):
    """Sealed bytes cannot be opened: damaged, moved from where they belong, or sealed under a key that is not given."""

    title = "secret unreadable"


def new_key() -> str:
    """A fresh random key as settings text, `id:base64key`; the id is random and says nothing about the key."""
    return f"k{secrets.token_hex(4)}:{base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()}"


def place(*parts: str | bytes) -> bytes:
    """Encode `parts` so that no two different lists give the same bytes: each is preceded by its length."""
    encoded = [part.encode() if isinstance(part, str) else part for part in parts]
    return b"".join(struct.pack(">I", len(part)) + part for part in encoded)


class Keyring:
    """The keys in force, newest first: the newest seals, each opens what it sealed. Safe to share between threads."""

    def __init__(self, keys: str) -> None:
        """Read settings text: `id:base64key` entries, newest first, separated by commas or line ends.

        An id is 1 to 32 letters, digits, `.`, `_` or `-`; a key is 32 bytes. Raises `KeyringError`.
        """
        self._keys = _parse(keys)
        self._newest = next(iter(self._keys))
        self._derived: dict[tuple[str, str], bytes] = {}

    @classmethod
    def load(cls, settings_keys: str | None, data_dir: Path, embedded: bool) -> Self:
        """The keyring of this start.

        `settings_keys` wins when given. Without it an embedded start (files on this disk) keeps its key in the file `keys`
        of `data_dir`, made at the first start; any other start raises `KeyringError`, because replicas that each made
        their own key could not read one another's secrets.
        """
        if settings_keys is not None and settings_keys.strip():
            return cls(settings_keys)
        path = data_dir / KEY_FILE
        if not embedded:
            raise KeyringError(_no_keys(path))
        text = read_or_make(path, new_key)
        try:
            return cls(text)
        except KeyringError as error:
            raise KeyringError(f"The key file {path} cannot be used: {error}") from None

    @property
    def key_ids(self) -> tuple[str, ...]:
        """Ids of the keys in force, newest first."""
        return tuple(self._keys)

    @property
    def newest(self) -> str:
        """Id of the key that seals and signs."""
        return self._newest

    def seal(self, plaintext: bytes, *, column: str, row: str) -> bytes:
        """Encrypt a column's value for one row; `column` is a logical name that never changes, `row` the row's id."""
        return self._seal(plaintext, "column", column, row)

    def open(self, sealed: bytes, *, column: str, row: str) -> bytes:
        """Decrypt what `seal` made for the same column and row. Raises `SecretUnreadable`."""
        return self._open(sealed, "column", column, row)

    def wrap(self, data_key: bytes, *, kind: str, object_id: str) -> bytes:
        """Encrypt an object's own data key; bound to the kind and id of the object."""
        return self._seal(data_key, "object", kind, object_id)

    def unwrap(self, wrapped: bytes, *, kind: str, object_id: str) -> bytes:
        """The data key that `wrap` encrypted for the same object. Raises `SecretUnreadable`."""
        return self._open(wrapped, "object", kind, object_id)

    def derive(self, label: str, *, key_id: str | None = None) -> bytes:
        """32 bytes for one purpose (`token-pepper`, `capability`, …), by HKDF-SHA256 from a key; unrelated between labels.

        `key_id` None means the newest key: what must survive a rotation has to remember the id it was made under.
        Raises `SecretUnreadable` for an id that is not in force.
        """
        chosen = self._newest if key_id is None else key_id
        found = self._derived.get((label, chosen))
        if found is None:
            info = place("terrapod", label)
            found = HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=_SALT, info=info).derive(self._key(chosen))
            self._derived[label, chosen] = found
        return found

    @staticmethod
    def key_id_of(sealed: bytes) -> str:
        """The id of the key a sealed value or a wrapped key needs; read, not verified. Raises `SecretUnreadable`."""
        return _split(sealed)[0]

    def __repr__(self) -> str:
        return f"Keyring(newest={self._newest!r}, keys={len(self._keys)})"

    def __reduce__(self) -> str:
        raise TypeError("a keyring is not serialised: keys leave this process in no form")

    def _key(self, key_id: str) -> bytes:
        try:
            return self._keys[key_id]
        except KeyError:
            raise SecretUnreadable(
                f"This needs the key {key_id!r}, and only {', '.join(self._keys)} are given. "
                "Add the missing key after the newest one in TERRAPOD_SECRETS__KEYS."
            ) from None

    def _cipher(self, purpose: str, where: bytes, key_id: str) -> AESGCM:
        return AESGCM(hmac.digest(self.derive(f"seal:{purpose}", key_id=key_id), where, "sha256"))

    def _seal(self, plaintext: bytes, purpose: str, *where: str) -> bytes:
        if not all(where):
            raise ValueError("a value is sealed for a place: neither part of it may be empty")
        nonce = os.urandom(_NONCE_BYTES)
        cell = place(*where)
        aad = place(bytes([_VERSION]), purpose, *where, self._newest)
        encrypted = self._cipher(purpose, cell, self._newest).encrypt(nonce, plaintext, aad)
        name = self._newest.encode()
        return bytes([_VERSION, len(name)]) + name + nonce + encrypted

    def _open(self, sealed: bytes, purpose: str, *where: str) -> bytes:
        key_id, nonce, encrypted = _split(sealed)
        aad = place(bytes([_VERSION]), purpose, *where, key_id)
        try:
            return self._cipher(purpose, place(*where), key_id).decrypt(nonce, encrypted, aad)
        except InvalidTag:
            raise SecretUnreadable(
                f"A secret of {'/'.join(where)} cannot be read: it was damaged, or does not belong where it was found."
            ) from None


def _split(sealed: bytes) -> tuple[str, bytes, bytes]:
    """Key id, nonce, ciphertext with tag. Raises `SecretUnreadable`."""
    if len(sealed) < 2 or sealed[0] != _VERSION:
        found = f"format version {sealed[0]}" if sealed else "nothing"
        raise SecretUnreadable(f"A sealed value of format version {_VERSION} was expected and {found} was found.")
    start = 2 + sealed[1]
    if len(sealed) < start + _NONCE_BYTES + _TAG_BYTES:
        raise SecretUnreadable("A sealed value is cut short.")
    try:
        key_id = sealed[2:start].decode("ascii")
    except UnicodeDecodeError:
        raise SecretUnreadable("A sealed value names no key that can exist: it was damaged.") from None
    return key_id, sealed[start : start + _NONCE_BYTES], sealed[start + _NONCE_BYTES :]


def _parse(text: str) -> dict[str, bytes]:
    """Keys by id, in the order given. Errors name the entry by its position and id, never its key."""
    keys: dict[str, bytes] = {}
    entries = [entry.strip() for entry in re.split(r"[,\n]", text) if entry.strip()]
    for position, entry in enumerate(entries, start=1):
        key_id, colon, encoded = entry.partition(":")
        if not colon or not _KEY_ID.match(key_id):
            raise KeyringError(
                f"Entry {position} of TERRAPOD_SECRETS__KEYS is not of the form id:base64key "
                "(an id is 1 to 32 letters, digits, '.', '_' or '-')."
            )
        if key_id in keys:
            raise KeyringError(f"TERRAPOD_SECRETS__KEYS gives the id {key_id!r} twice; every key needs its own.")
        keys[key_id] = _decode(key_id, encoded)
    if not keys:
        raise KeyringError("There is no key: TERRAPOD_SECRETS__KEYS takes id:base64key entries, newest first.")
    return keys


def _decode(key_id: str, encoded: str) -> bytes:
    try:
        padded = encoded.strip().translate(str.maketrans("-_", "+/")).rstrip("=")
        key = base64.b64decode(padded + "=" * (-len(padded) % 4), validate=True)
    except binascii.Error:
        raise KeyringError(f"The key {key_id!r} in TERRAPOD_SECRETS__KEYS is not base64.") from None
    if len(key) != KEY_BYTES:
        raise KeyringError(
            f"The key {key_id!r} in TERRAPOD_SECRETS__KEYS has {len(key)} bytes and needs {KEY_BYTES}: "
            "make one with `openssl rand -base64 32`."
        )
    return key


def _no_keys(path: Path) -> str:
    advice = (
        "Secrets need a key that every replica is given: set TERRAPOD_SECRETS__KEYS=k1:$(openssl rand -base64 32) "
        "(or [secrets] keys in terrapod.toml), and keep a copy of it apart from the data."
    )
    if path.exists():
        advice += f" This installation made its own key while it was embedded: go on with it by TERRAPOD_SECRETS__KEYS_FILE={path}."
    return advice
