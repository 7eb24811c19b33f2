"""Where the keys come from that stored secrets are encrypted under.

A key never leaves the process by any other way than these types, and none of them shows it.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Protocol, runtime_checkable

from terrapod_core.settings import SettingsError

KEY_BYTES: Final = 32
_KEY_ID = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$")


class KeyringError(SettingsError):
    """The keys of this installation are missing, malformed or not to be had; the text says what to do, and holds no key."""


@dataclass(frozen=True)
class Key:
    """One key."""

    id: str
    """1 to 32 letters, digits, `.`, `_` or `-`; stored beside whatever the key sealed, so it says nothing about the key."""
    secret: bytes = field(repr=False)
    """32 random bytes."""


@dataclass(frozen=True)
class Keys:
    """All keys of an installation, newest first: the newest seals, each opens what it sealed.

    Raises `KeyringError` for none, for an id given twice, and for what is no id or no key.
    """

    keys: tuple[Key, ...]

    def __post_init__(self) -> None:
        if not self.keys:
            raise KeyringError("There is no key: what is needed are id:base64key entries, newest first.")
        seen: set[str] = set()
        for key in self.keys:
            if not _KEY_ID.match(key.id) or len(key.secret) != KEY_BYTES:
                raise KeyringError(f"{key.id!r} is no id of a key, or its key has not {KEY_BYTES} bytes.")
            if key.id in seen:
                raise KeyringError(f"The id {key.id!r} is given twice; every key needs its own.")
            seen.add(key.id)

    def __iter__(self) -> Iterator[Key]:
        return iter(self.keys)

    @property
    def ids(self) -> tuple[str, ...]:
        """Their ids, newest first."""
        return tuple(key.id for key in self.keys)

    @classmethod
    def read(cls, text: str, where: str) -> Keys:
        """Keys out of `id:base64key` entries, newest first, separated by commas or line ends.

        `where` says in errors where the text was found. Raises `KeyringError`, which names an entry by its position and id.
        """
        entries = [entry.strip() for entry in re.split(r"[,\n]", text) if entry.strip()]
        if not entries:
            raise KeyringError(f"There is no key in {where}: it takes id:base64key entries, newest first.")
        keys: list[Key] = []
        for position, entry in enumerate(entries, start=1):
            key_id, colon, encoded = entry.partition(":")
            if not colon or not _KEY_ID.match(key_id):
                raise KeyringError(
                    f"Entry {position} of {where} is not of the form id:base64key (an id is 1 to 32 letters, digits, '.', '_' or '-')."
                )
            if key_id in {key.id for key in keys}:
                raise KeyringError(f"{where} gives the id {key_id!r} twice; every key needs its own.")
            keys.append(Key(key_id, _decoded(key_id, encoded, where)))
        return cls(tuple(keys))


def _decoded(key_id: str, encoded: str, where: str) -> bytes:
    try:
        padded = encoded.strip().translate(str.maketrans("-_", "+/")).rstrip("=")
        key = base64.b64decode(padded + "=" * (-len(padded) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise KeyringError(f"The key {key_id!r} in {where} is not base64.") from None
    if len(key) != KEY_BYTES:
        raise KeyringError(
            f"The key {key_id!r} in {where} has {len(key)} bytes and needs {KEY_BYTES}: make one with `openssl rand -base64 32`."
        )
    return key


@runtime_checkable
class KeyProvider(Protocol):
    """Knows the keys. `[secrets] provider` chooses one for the whole server; the core's own is called `settings`."""

    @property
    def name(self) -> str:
        """What `[secrets] provider` says to choose it."""
        ...

    @property
    def where(self) -> str:
        """Where an operator finds the keys, as it ends the sentence "the keys are given in …"."""
        ...

    @property
    def live(self) -> bool:
        """Whether `keys` looks anew each time, so that a running server learns of a new key without a restart."""
        ...

    def keys(self) -> Keys:
        """All keys, newest first.

        It may block, and is always called in a thread of its own: at the start, about every 30 s, and when something needs a
        key that is not known (once a second at most). Calls never overlap. Raises `KeyringError` with a sentence for the
        operator; what else it raises is named by its type alone, because its text might hold a key.
        """
        ...
