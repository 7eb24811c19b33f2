"""The texts people and programs prove themselves with: how they are made, and how they are found again."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import Final, Self

from terrapod_core.ids import ALPHABET
from terrapod_core.secrets import Keyring

SESSION_PREFIX: Final = "terrapod-session-"
"""Tells a session from a token before anything is looked up, and makes a leaked one easy to find."""

SECRET_LENGTH: Final = 32
"""Base58 characters: 187 bits."""

LONGEST: Final = 1024
"""No token is longer; the bootstrap token is any text of 32 characters and more."""


def secret() -> str:
    """Text nobody can guess, of letters and digits."""
    return "".join(secrets.choice(ALPHABET) for _ in range(SECRET_LENGTH))


def token_text(token_id: str) -> str:
    """A fresh API token: `terrapod-<id>-<secret>`."""
    return f"terrapod-{token_id}-{secret()}"


def session_text() -> str:
    """A fresh session's bearer text."""
    return SESSION_PREFIX + secret()


def plain_digest(text: str) -> str:
    """The digest of random text that lives for minutes (codes, states): nothing to guess, so nothing to key."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


class KeyedDigest(str):
    """A digest that knows the id of the key it was made under, for the column `hash_key` beside it."""

    __slots__ = ("key_id",)
    key_id: str

    def __new__(cls, digest: str, key_id: str) -> Self:
        made = super().__new__(cls, digest)
        made.key_id = key_id
        return made


class Pepper:
    """Keyed digests of bearer texts: a stolen table tells nothing, not even to one who guesses."""

    def __init__(self, keyring: Keyring, label: str = "token-pepper") -> None:
        self._keyring = keyring
        self._label = label

    def digest(self, text: str) -> KeyedDigest:
        """The digest under the newest key, as it is stored."""
        return self._digest(text, self._keyring.newest)

    def candidates(self, text: str) -> list[KeyedDigest]:
        """The digests under every key in force, the newest first: what was stored before a key was added must still be found."""
        return [self._digest(text, key_id) for key_id in self._keyring.key_ids]

    def _digest(self, text: str, key_id: str) -> KeyedDigest:
        key = self._keyring.derive(self._label, key_id=key_id)
        return KeyedDigest(hmac.digest(key, text.encode("utf-8", "surrogatepass"), "sha256").hex(), key_id)
