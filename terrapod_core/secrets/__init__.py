"""Secrets at rest: the instance's keys, sealed columns, and the framed format of encrypted objects.

    Keyring           the keys in force: seals columns, wraps the data keys of objects, derives signing keys
    new_key           a fresh key as settings text
    KeyringError      the keys of this installation are missing or malformed (raised at start)
    SecretUnreadable  sealed bytes that no key opens: damaged, moved, or under a key that is gone
    Signer            short signed tokens under a derived key
    SEALED            every sealed column; the rooms that own the tables fill it in

Keys kept under the data directory protect a stolen copy of the *database or object store*, not a copy of the whole data
directory: whoever holds both holds the secrets.
"""

from __future__ import annotations

from terrapod_core.plugin import KeyringError
from terrapod_core.secrets.columns import SEALED
from terrapod_core.secrets.keyfile import new_key
from terrapod_core.secrets.keyring import Keyring, SecretUnreadable
from terrapod_core.secrets.signing import Signer

__all__ = ["SEALED", "Keyring", "KeyringError", "SecretUnreadable", "Signer", "new_key"]
