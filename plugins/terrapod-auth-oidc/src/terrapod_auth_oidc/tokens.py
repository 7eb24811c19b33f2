"""ID tokens (OpenID Connect Core 1.0, section 3.1.3.7): every one is taken for a forgery until nothing speaks for it any more."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from joserfc import jws
from joserfc.errors import JoseError, UnsupportedAlgorithmError

from terrapod_auth_oidc.directory import Directory
from terrapod_auth_oidc.settings import Instance
from terrapod_core.plugin import Clock

SKEW: Final = timedelta(seconds=60)
"""How far the provider's clock may be off."""
OLDEST: Final = timedelta(minutes=5)
"""A token is used right after it was issued."""
LAPSES: Final = timedelta(minutes=10) + 2 * SKEW
"""What was used once is remembered for longer than it could be used: a token for OLDEST, a code for 10 minutes (RFC 6749, 4.1.2)."""
LONGEST_SUBJECT: Final = 255
LARGEST: Final = 64 * 1024
LARGEST_SIGNATURE: Final = 2048


class Distrusted(Exception):
    """The token proves nothing. The text is for the operator's log: it says what is wrong and holds no part of the token."""


@dataclass(frozen=True)
class IDToken:
    """A token that was checked."""

    claims: Mapping[str, object] = field(repr=False)
    fingerprint: str = field(repr=False)
    """The same for every spelling of one token: a signature may be written in several ways, what is signed in one."""


class _Signatures(jws.JWSRegistry):
    """The algorithms of the settings and no others, whatever joserfc recommends."""

    # A header may carry the signer's certificates.
    max_header_length = 16 * 1024
    max_payload_length = LARGEST
    max_signature_length = LARGEST_SIGNATURE

    def get_alg(self, name: str) -> Any:
        if not self.allowed or name not in self.allowed or name not in self.algorithms:
            raise UnsupportedAlgorithmError("this algorithm is not in the settings")
        return self.algorithms[name]


class Judge:
    """Knows what an ID token of one provider must be like."""

    def __init__(self, instance: Instance, directory: Directory, clock: Clock) -> None:
        self._instance = instance
        self._directory = directory
        self._clock = clock
        self._signatures = _Signatures(algorithms=instance.algorithms, strict_check_header=False)

    async def read(self, text: str, *, nonce: str, access_token: str) -> IDToken:
        """The token's claims; raises `Distrusted`, and `ProviderUnavailable` when its key cannot be had."""
        extracted = self._extract(text)
        algorithm = await self._check_signature(extracted)
        claims = _claims(extracted.payload)
        self._check_parties(claims)
        self._check_times(claims)
        if not hmac.compare_digest(_text(claims, "nonce").encode("utf-8", "replace"), nonce.encode()):
            raise Distrusted("its nonce is that of another sign-in")
        _check_subject(claims)
        if "at_hash" in claims and not hmac.compare_digest(
            _text(claims, "at_hash").encode("utf-8", "replace"), half_hash(access_token, algorithm)
        ):
            raise Distrusted("it belongs to another access token (at_hash)")
        signed = extracted.segments["header"] + b"." + extracted.segments["payload"]
        return IDToken(claims, hashlib.sha256(signed).hexdigest())

    def _extract(self, text: str) -> jws.CompactSignature:
        try:
            return jws.extract_compact(text.encode("ascii"), registry=self._signatures)
        except (JoseError, ValueError, TypeError, RecursionError):
            raise Distrusted("it is no signed token") from None

    async def _check_signature(self, token: jws.CompactSignature) -> str:
        """The algorithm, when the signature is the provider's."""
        try:
            header = token.headers()
            algorithm, kid, kind = (header.get(name) for name in ("alg", "kid", "typ"))
        except AttributeError:
            raise Distrusted("its header is no object") from None
        if not isinstance(algorithm, str) or algorithm not in self._instance.algorithms:
            raise Distrusted("its algorithm is not among those of the setting algorithms")
        if not isinstance(kid, str | None) or "crit" in header or "b64" in header:
            raise Distrusted("its header asks for what is not understood")
        if kind is not None and not (isinstance(kind, str) and kind.lower() in ("jwt", "application/jwt")):
            raise Distrusted("it is a token of another kind (typ)")
        key = await self._directory.key(algorithm, kid)
        if key is None:
            raise Distrusted("it is signed with a key that the provider does not publish for this algorithm")
        try:
            valid = jws.validate_compact(token, key.key, registry=self._signatures)
        except (JoseError, ValueError, TypeError, RecursionError):
            valid = False
        if not valid:
            raise Distrusted("its signature is wrong")
        return algorithm

    def _check_parties(self, claims: Mapping[str, object]) -> None:
        instance = self._instance
        if _text(claims, "iss") != instance.issuer:
            raise Distrusted("it was issued by somebody else (iss)")
        listed = claims.get("aud")
        audience = [listed] if isinstance(listed, str) else listed
        if not isinstance(audience, list) or instance.client_id not in audience:
            raise Distrusted("it is for somebody else (aud)")
        if ("azp" in claims or len(audience) > 1) and claims.get("azp") != instance.client_id:
            raise Distrusted("it was issued to somebody else (azp)")
        if instance.audience and any(each not in (instance.client_id, *instance.audience) for each in audience):
            raise Distrusted("it is also for somebody whom the setting audience does not name (aud)")

    def _check_times(self, claims: Mapping[str, object]) -> None:
        now, skew = self._clock.now().timestamp(), SKEW.total_seconds()
        issued = _moment(claims, "iat")
        if not now < _moment(claims, "exp") + skew:
            raise Distrusted("it has expired (exp)")
        if not issued <= now + skew:
            raise Distrusted("it was issued in the future (iat): are both clocks right?")
        if not now - issued <= OLDEST.total_seconds() + skew:
            raise Distrusted("it was issued too long ago (iat): are both clocks right?")
        if "nbf" in claims and not _moment(claims, "nbf") <= now + skew:
            raise Distrusted("it is not valid yet (nbf)")
        longest = self._instance.max_age
        if longest is not None and not now - _moment(claims, "auth_time") <= longest + skew:
            raise Distrusted("the person proved who they are longer ago than the setting max_age allows (auth_time)")


def half_hash(text: str, algorithm: str) -> bytes:
    """The `at_hash` of an access token: the left half of its hash by the signature's own hash function."""
    name = "sha512" if algorithm == "EdDSA" else f"sha{algorithm[2:]}"
    digest = hashlib.new(name, text.encode()).digest()
    return base64.urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=")


def _claims(payload: bytes | None) -> Mapping[str, object]:
    try:
        claims = json.loads(payload or b"")
    except (ValueError, RecursionError):
        claims = None
    if not isinstance(claims, dict):
        raise Distrusted("it holds no claims")
    return claims


def _check_subject(claims: Mapping[str, object]) -> None:
    subject = _text(claims, "sub")
    if not 0 < len(subject) <= LONGEST_SUBJECT or not subject.isprintable():
        raise Distrusted(f"its subject is empty, longer than {LONGEST_SUBJECT} characters, or not all text (sub)")


def _text(claims: Mapping[str, object], name: str) -> str:
    found = claims.get(name)
    if not isinstance(found, str):
        raise Distrusted(f"it lacks the claim {name}, or that is no text")
    return found


def _moment(claims: Mapping[str, object], name: str) -> float:
    """Seconds since 1970; what is no finite number is a forgery too."""
    found = claims.get(name)
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise Distrusted(f"it lacks the claim {name}, or that is no number")
    try:
        seconds = float(found)
    except OverflowError:
        seconds = math.inf
    if not math.isfinite(seconds):
        raise Distrusted(f"its claim {name} is no moment")
    return seconds
