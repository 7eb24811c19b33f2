"""Signed links: whoever holds `/c/<token>` may do the one thing it says, without any other credential.

The terraform CLI fetches logs and states and uploads archives at URLs it is given, sending no token there, so the URL itself
has to be the right. A token binds purpose, method, object, epoch and expiry under an HMAC, and is checked without the
database: whoever guesses makes no query. Whether the object still wants that (pending, current, of that epoch) is the
business of the room it belongs to. The path is a secret: access logs carry the route's template instead.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from terrapod_core.clock import Clock
from terrapod_core.errors import NotFound
from terrapod_core.secrets import Keyring, Signer


class Purpose(StrEnum):
    """What a link allows."""

    CONFIGURATION_UPLOAD = "configuration_upload"
    CONFIGURATION_DOWNLOAD = "configuration_download"
    STATE_UPLOAD = "state_upload"
    STATE_JSON_UPLOAD = "state_json_upload"
    STATE_DOWNLOAD = "state_download"
    STATE_JSON_DOWNLOAD = "state_json_download"
    LOG_READ = "log_read"
    PLAN_JSON = "plan_json"
    MODULE_UPLOAD = "module_upload"
    MODULE_DOWNLOAD = "module_download"
    PROVIDER_SUMS_UPLOAD = "provider_sums_upload"
    PROVIDER_SIGNATURE_UPLOAD = "provider_signature_upload"
    PROVIDER_UPLOAD = "provider_upload"
    PROVIDER_SUMS_DOWNLOAD = "provider_sums_download"
    PROVIDER_SIGNATURE_DOWNLOAD = "provider_signature_download"
    PROVIDER_DOWNLOAD = "provider_download"
    MIRRORED_DOWNLOAD = "mirrored_download"
    MIRRORED_SUMS_DOWNLOAD = "mirrored_sums_download"
    MIRRORED_SIGNATURE_DOWNLOAD = "mirrored_signature_download"


_PURPOSES: Final[dict[int, Purpose]] = {
    1: Purpose.CONFIGURATION_UPLOAD,
    2: Purpose.CONFIGURATION_DOWNLOAD,
    3: Purpose.STATE_UPLOAD,
    4: Purpose.STATE_JSON_UPLOAD,
    5: Purpose.STATE_DOWNLOAD,
    6: Purpose.STATE_JSON_DOWNLOAD,
    7: Purpose.LOG_READ,
    8: Purpose.PLAN_JSON,
    9: Purpose.MODULE_UPLOAD,
    10: Purpose.MODULE_DOWNLOAD,
    21: Purpose.PROVIDER_SUMS_UPLOAD,
    22: Purpose.PROVIDER_SIGNATURE_UPLOAD,
    23: Purpose.PROVIDER_UPLOAD,
    24: Purpose.PROVIDER_SUMS_DOWNLOAD,
    25: Purpose.PROVIDER_SIGNATURE_DOWNLOAD,
    26: Purpose.PROVIDER_DOWNLOAD,
    32: Purpose.MIRRORED_DOWNLOAD,
    33: Purpose.MIRRORED_SUMS_DOWNLOAD,
    34: Purpose.MIRRORED_SIGNATURE_DOWNLOAD,
}
"""Numbers are written into tokens that are out there: add, never reuse."""
_METHODS: Final[dict[int, str]] = {1: "GET", 2: "PUT", 3: "POST"}
_PURPOSE_CODES: Final = {purpose: code for code, purpose in _PURPOSES.items()}
_METHOD_CODES: Final = {method: code for code, method in _METHODS.items()}

_HEAD: Final = struct.Struct(">BBIQ8s")
"""Purpose, method, epoch, expiry in seconds since 1970, nonce; the object's id follows, and its subject behind a zero byte."""

PREFIX: Final = "/c/"
_NOTHING_HERE: Final = "There is nothing at this address."
_OVER: Final = "This link is over. Read the object it came from again to get a new one."


@dataclass(frozen=True)
class Capability:
    """What a verified link allows."""

    purpose: Purpose
    method: str
    object_id: str
    epoch: int
    """As given when it was issued; the room compares it with the object's, so that raising that ends all links."""
    expires: datetime
    subject: str = ""
    """As given when it was issued: on whose behalf. Whoever holds the link can do the same without being them."""


class Capabilities:
    """Issues and verifies links."""

    def __init__(self, keyring: Keyring, clock: Clock) -> None:
        self._signer = Signer(keyring, "capability")
        self._clock = clock

    def url_path(self, purpose: Purpose, method: str, object_id: str, *, expires: datetime, epoch: int = 0, subject: str = "") -> str:
        """The path `/c/<token>` of a new link; `expires` is aware and counts in whole seconds, rounded down.

        Every call gives another path. `KeyError` for a method no link can have (GET, PUT and POST are known).
        """
        head = _HEAD.pack(_PURPOSE_CODES[purpose], _METHOD_CODES[method], epoch, int(expires.timestamp()), os.urandom(8))
        return PREFIX + self._signer.sign(head + (f"{object_id}\0{subject}" if subject else object_id).encode())

    def verify(self, token: str, method: str) -> Capability:
        """What the token allows. HEAD is asked as GET.

        Raises `NotFound`, with one sentence for whatever was not issued here for this method, so that nobody learns which part
        of a guess was right, and another one for a link that was good and is over.
        """
        payload = self._signer.read(token)
        if payload is None:
            raise NotFound(_NOTHING_HERE)
        purpose, allowed, epoch, expires, _ = _HEAD.unpack_from(payload)
        if purpose not in _PURPOSES or _METHODS.get(allowed) != ("GET" if method == "HEAD" else method):
            raise NotFound(_NOTHING_HERE)
        ends = datetime.fromtimestamp(expires, UTC)
        if ends <= self._clock.now():
            raise NotFound(_OVER)
        object_id, _, subject = payload[_HEAD.size :].decode().partition("\0")
        return Capability(_PURPOSES[purpose], _METHODS[allowed], object_id, epoch, ends, subject)
