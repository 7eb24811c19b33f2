"""E-mail addresses, by which people and roles find each other."""

from __future__ import annotations

import unicodedata
from typing import Final

from terrapod_core.errors import Invalid

EMAIL_LENGTH: Final = 254


def email_key(email: str) -> str:
    """An e-mail address as it is compared: nothing but case and Unicode's spellings is folded.

    Not `casefold`, to which ß is ss: those are two mailboxes, and two domains (RFC 5891).
    """
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", email.strip()).lower())


def checked_email(email: str) -> str:
    """The address without blanks around it; `Invalid` when it cannot be one."""
    email = unicodedata.normalize("NFC", email.strip())
    name, at, host = email.rpartition("@")
    if not (at and name and host) or len(email) > EMAIL_LENGTH or any(each.isspace() or not each.isprintable() for each in email):
        raise Invalid(
            f"an e-mail address looks like name@example.com and has at most {EMAIL_LENGTH} characters", pointer="/data/attributes/email"
        )
    return email
