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

import asyncio
import hmac
import os
import struct
import threading
from collections.abc import Mapping
from concurrent.futures import TimeoutError as TooSlow
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from terrapod_core.clock import Clock, SystemClock
from terrapod_core.errors import TerrapodError, Unavailable
from terrapod_core.plugin import Key, KeyProvider, KeyringError, Keys
from terrapod_core.secrets.force import Asker, Force
from terrapod_core.secrets.providers import SettingsKeys, TextKeys

KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_TAG_BYTES: Final = 16
_VERSION: Final = 1
_SALT: Final = b"terrapod-keyring-v1"
_ON_THE_LOOP: Final = 0.1
"""Seconds that the event loop waits for a source that is asked for a missing key: a file takes none of it."""
_ELSEWHERE: Final = 30.0
_NEVER: Final = datetime.max.replace(tzinfo=UTC)


class SecretUnreadable(TerrapodError):
    """Sealed bytes cannot be opened: damaged, moved from where they belong, or sealed under a key that is not given."""

    title = "secret unreadable"


def place(*parts: str | bytes) -> bytes:
    """Encode `parts` so that no two different lists give the same bytes: each is preceded by its length."""
    encoded = [part.encode() if isinstance(part, str) else part for part in parts]
    return b"".join(struct.pack(">I", len(part)) + part for part in encoded)


class Keyring:
    """The keys in force, newest first: the newest seals, each opens what it sealed. Safe to share between threads.

    A value under an unknown key makes it ask its provider again, so what another process sealed under a key that is new here
    can be read at once.
    """

    def __init__(self, keys: str | KeyProvider, clock: Clock | None = None) -> None:
        """Take the keys of a provider, or of settings text: `id:base64key` entries, newest first. Blocks; raises `KeyringError`."""
        provider: KeyProvider = TextKeys(keys) if isinstance(keys, str) else keys
        self._asker = Asker(provider)
        self._clock = clock or SystemClock()
        self._guard = threading.Lock()
        self._expected: dict[str, str] = {}
        self._force = Force.of(self._asker.ask())
        self.epoch = ""
        """Which life of the installation this is, as `Instance` says: what was signed in another one is refused."""

    @classmethod
    def load(cls, settings_keys: str | None, data_dir: Path, embedded: bool) -> Self:
        """The keyring of an installation whose provider is `settings`; see `SettingsKeys`. Raises `KeyringError`."""
        return cls(SettingsKeys(settings_keys, data_dir, embedded=embedded))

    @property
    def provider(self) -> KeyProvider:
        """Where the keys come from."""
        return self._asker.provider

    @property
    def key_ids(self) -> tuple[str, ...]:
        """Ids of the keys in force: the one that seals, then the others as they were given, newest first."""
        force = self._force
        newest = force.newest(self._clock.now)
        return (newest, *(key_id for key_id in force.keys if key_id != newest))

    @property
    def newest(self) -> str:
        """Id of the key that seals and signs."""
        return self._force.newest(self._clock.now)

    @property
    def given(self) -> tuple[str, ...]:
        """Ids as the provider gave them, newest first: the first one does not seal while it settles."""
        return tuple(self._force.keys)

    def reload(self) -> None:
        """Ask the provider again and put its keys in force. Blocks: call it off the event loop.

        Raises `KeyringError`, for an id whose key is another one than before too; the keys in force stay then.
        """
        self._adopt(self._asker.ask())

    def settle(self, moments: Mapping[str, datetime]) -> None:
        """From when on which key seals. One that is not named does not seal yet: it came just now, and nobody else may know it."""
        now = self._clock.now()
        with self._guard:
            waiting = {key_id: moments.get(key_id, _NEVER) for key_id in self._force.keys}
            self._force = replace(self._force, settling={key_id: moment for key_id, moment in waiting.items() if moment > now})

    def expect(self, fingerprints: Mapping[str, str]) -> None:
        """Which fingerprint the key of an id must have; `reload` refuses others. Ids that are not named may be any key."""
        with self._guard:
            self._expected = dict(fingerprints)

    def fingerprint(self, key_id: str) -> str:
        """What tells this key from any other and says nothing about it: 64 hexadecimal digits."""
        return self.derive("fingerprint", key_id=key_id).hex()

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
        force = self._force
        chosen = force.newest(self._clock.now) if key_id is None else key_id
        found = force.derived.get((label, chosen))
        if found is None:
            if chosen not in force.keys:
                raise self._unknown(chosen, force)
            found = _derived(force.keys[chosen], label)
            force.derived[label, chosen] = found
        return found

    @staticmethod
    def key_id_of(sealed: bytes) -> str:
        """The id of the key a sealed value or a wrapped key needs; read, not verified. Raises `SecretUnreadable`."""
        return _split(sealed)[0]

    def __repr__(self) -> str:
        return f"Keyring(newest={self.newest!r}, keys={len(self._force.keys)})"

    def __reduce__(self) -> str:
        raise TypeError("a keyring is not serialised: keys leave this process in no form")

    def _adopt(self, keys: Keys) -> None:
        with self._guard:
            before = self._force
            changed = [key.id for key in keys if not self._is_expected(key, before)]
            if changed:
                raise KeyringError(
                    f"The key {changed[0]!r} given in {self.provider.where} is another one than the key of that id before: "
                    "give every new key an id of its own."
                )
            if tuple(before.keys) != keys.ids:
                # A new key seals only once the watch has registered it: until then other processes may not know it.
                unsettled = {key.id: _NEVER for key in keys if key.id not in before.keys}
                self._force = Force.of(keys, {**before.settling, **unsettled})

    def _is_expected(self, key: Key, force: Force) -> bool:
        if key.id in force.keys:
            return force.keys[key.id] == key.secret
        fingerprint = _derived(key.secret, "fingerprint").hex()
        return self._expected.get(key.id, fingerprint) == fingerprint

    def _fetch(self, key_id: str) -> None:
        """Look whether the provider has this key by now. Raises `Unavailable` when that takes too long for the event loop."""
        looking = self._asker.again(self._adopt) if key_id not in self._force.keys else None
        if looking is None:
            return
        try:
            asyncio.get_running_loop()
            patience = _ON_THE_LOOP
        except RuntimeError:
            patience = _ELSEWHERE
        try:
            looking.result(patience)
        except TooSlow:
            raise Unavailable(f"The key {key_id!r} is new here and is being fetched; try again.", retry_after=1) from None

    def _unknown(self, key_id: str, force: Force) -> SecretUnreadable:
        again = "it is read again by itself" if self.provider.live else "then restart every server"
        return SecretUnreadable(
            f"This needs the key {key_id!r}, and only {', '.join(force.keys)} are given in {self.provider.where}. "
            f"Add the missing key there, after the newest one; {again}."
        )

    def _cipher(self, purpose: str, where: bytes, key_id: str) -> AESGCM:
        return AESGCM(hmac.digest(self.derive(f"seal:{purpose}", key_id=key_id), where, "sha256"))

    def _seal(self, plaintext: bytes, purpose: str, *where: str) -> bytes:
        if not all(where):
            raise ValueError("a value is sealed for a place: neither part of it may be empty")
        nonce = os.urandom(_NONCE_BYTES)
        newest = self.newest  # once: another may settle before the next line
        cell = place(*where)
        aad = place(bytes([_VERSION]), purpose, *where, newest)
        encrypted = self._cipher(purpose, cell, newest).encrypt(nonce, plaintext, aad)
        return head_of(newest) + nonce + encrypted

    def _open(self, sealed: bytes, purpose: str, *where: str) -> bytes:
        key_id, nonce, encrypted = _split(sealed)
        self._fetch(key_id)
        aad = place(bytes([_VERSION]), purpose, *where, key_id)
        try:
            return self._cipher(purpose, place(*where), key_id).decrypt(nonce, encrypted, aad)
        except InvalidTag:
            raise SecretUnreadable(
                f"A secret of {'/'.join(where)} cannot be read: it was damaged, or does not belong where it was found."
            ) from None


def _derived(key: bytes, label: str) -> bytes:
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=_SALT, info=place("terrapod", label)).derive(key)


def head_of(key_id: str) -> bytes:
    """How everything begins that is sealed under this key."""
    name = key_id.encode()
    return bytes([_VERSION, len(name)]) + name


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
