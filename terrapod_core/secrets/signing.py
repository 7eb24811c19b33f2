"""Short tokens that prove they were issued here: a payload, the id of the key that signed it, and a full HMAC-SHA256.

A restore begins another epoch of the installation, and the MAC is over the epoch too: what was signed before is refused from then on.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import os
from typing import Final

from terrapod_core.secrets.keyring import Keyring, SecretUnreadable, place

_MAC_BYTES: Final = 32
_VERSION: Final = 1


class Signer:
    """Signs and checks payloads for one purpose; `label` names it and separates its keys from all others."""

    def __init__(self, keyring: Keyring, label: str) -> None:
        self._keyring = keyring
        self._label = label
        # Stands in for a key that is not in force: known to nobody, so nothing verifies under it.
        self._nobody = os.urandom(_MAC_BYTES)

    def sign(self, payload: bytes) -> str:
        """`version | key id | payload | MAC` as unpadded urlsafe base64: letters, digits, `-` and `_` only."""
        newest = self._keyring.newest  # once: another key may settle before the next line
        name = newest.encode()
        body = bytes([_VERSION, len(name)]) + name + payload
        return base64.urlsafe_b64encode(body + self._mac(newest, body)).rstrip(b"=").decode()

    def read(self, token: str) -> bytes | None:
        """The payload of a token signed here under a key still in force; `None` for anything else, without saying what.

        An unknown key costs the same comparison as a wrong signature. Only the one spelling that `sign` gives is accepted.
        """
        raw = _decode(token)
        if raw is None or len(raw) < 2 + _MAC_BYTES or raw[0] != _VERSION:
            return None
        body, mac = raw[:-_MAC_BYTES], raw[-_MAC_BYTES:]
        start = 2 + body[1]
        if len(body) < start:
            return None
        key_id = body[2:start].decode("ascii", errors="replace")
        return body[start:] if hmac.compare_digest(mac, self._mac(key_id, body)) else None

    def _mac(self, key_id: str, body: bytes) -> bytes:
        # `derive` never asks the provider again: anybody can send a token that names a key nobody has.
        try:
            key = self._keyring.derive(self._label, key_id=key_id)
        except SecretUnreadable:
            key = self._nobody
        # Before the first restore there is no epoch, and tokens are as they always were.
        epoch = (self._keyring.epoch,) if self._keyring.epoch else ()
        return hmac.digest(key, place(self._label, *epoch, body), "sha256")


def _decode(token: str) -> bytes | None:
    try:
        raw = base64.urlsafe_b64decode(token.encode("ascii") + b"=" * (-len(token) % 4))
    except (binascii.Error, UnicodeEncodeError):
        return None
    # Python skips characters outside the alphabet and ignores spare bits; a token must have one spelling only.
    return raw if base64.urlsafe_b64encode(raw).rstrip(b"=").decode() == token else None
