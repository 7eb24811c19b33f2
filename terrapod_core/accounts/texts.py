"""The texts people and programs prove themselves with: how they are made, and how they are found again."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import unicodedata
from typing import Final

from terrapod_core.errors import Invalid
from terrapod_core.ids import ALPHABET
from terrapod_core.secrets import Keyring

SESSION_PREFIX: Final = "terrapod-session-"
"""Tells a session from a token before anything is looked up, and makes a leaked one easy to find."""

SECRET_LENGTH: Final = 32
"""Base58 characters: 187 bits."""

LONGEST: Final = 1024
"""No token is longer; the bootstrap token is any text of 32 characters and more."""

EMAIL_LENGTH: Final = 254


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


class Pepper:
    """Keyed digests of bearer texts: a stolen table tells nothing, not even to one who guesses."""

    def __init__(self, keyring: Keyring, label: str = "token-pepper") -> None:
        self._keyring = keyring
        self._label = label

    def digest(self, text: str) -> str:
        """The digest under the newest key, as it is stored."""
        return self._digest(text, self._keyring.newest)

    def candidates(self, text: str) -> list[str]:
        """The digests under every key in force: what was stored before a key was added must still be found."""
        return [self._digest(text, key_id) for key_id in self._keyring.key_ids]

    def _digest(self, text: str, key_id: str) -> str:
        key = self._keyring.derive(self._label, key_id=key_id)
        return hmac.digest(key, text.encode("utf-8", "surrogatepass"), "sha256").hex()


def email_key(email: str) -> str:
    """An e-mail address as it is compared: nothing but case and Unicode's spellings is folded."""
    return unicodedata.normalize("NFC", email.strip()).casefold()


def checked_email(email: str) -> str:
    """The address without blanks around it; `Invalid` when it cannot be one."""
    email = unicodedata.normalize("NFC", email.strip())
    name, at, host = email.rpartition("@")
    if not (at and name and host) or len(email) > EMAIL_LENGTH or any(each.isspace() or not each.isprintable() for each in email):
        raise Invalid(
            f"an e-mail address looks like name@example.com and has at most {EMAIL_LENGTH} characters", pointer="/data/attributes/email"
        )
    return email
