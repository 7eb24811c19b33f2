"""The keys a provider signs with (RFC 7517), and which of them a token needs."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from joserfc import jwk
from joserfc.errors import JoseError

from terrapod_core.plugin import ProviderUnavailable

MOST_KEYS: Final = 200
LEAST_BITS: Final = 2048

FITS: Final[Mapping[str, tuple[str, str | None]]] = {
    **{f"{family}{bits}": ("RSA", None) for family in ("RS", "PS") for bits in (256, 384, 512)},
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
    "ES512": ("EC", "P-521"),
    "EdDSA": ("OKP", "Ed25519"),
}
"""What kind of key, and on which curve, each algorithm takes. A symmetric key fits none."""

PUBLIC_MEMBERS: Final = {"RSA": ("n", "e"), "EC": ("crv", "x", "y"), "OKP": ("crv", "x")}


@dataclass(frozen=True)
class PublicKey:
    """One key that checks signatures."""

    kid: str | None
    kind: str
    curve: str | None
    algorithm: str | None
    """The only algorithm the provider uses it for; `None` when it does not say."""
    key: jwk.Key = field(repr=False)

    def fits(self, algorithm: str) -> bool:
        """Whether a signature of this algorithm may be checked with it."""
        return FITS.get(algorithm) == (self.kind, self.curve) and self.algorithm in (None, algorithm)


def keys_of(members: Mapping[str, object]) -> tuple[PublicKey, ...]:
    """The keys of a set that can check signatures; those of unknown kinds are left out, as RFC 7517 section 5 says."""
    listed = members.get("keys")
    if not isinstance(listed, list) or len(listed) > MOST_KEYS:
        raise ProviderUnavailable("publishes no set of keys")
    return tuple(key for each in listed if isinstance(each, dict) and (key := _key_of(each)) is not None)


def choose(keys: Sequence[PublicKey], algorithm: str, kid: str | None) -> PublicKey | None:
    """The key of this id; without an id, the only key that fits. `None` when there is none, or no telling which."""
    fitting = [key for key in keys if key.fits(algorithm) and kid in (None, key.kid)]
    return fitting[0] if len(fitting) == 1 or (fitting and kid is not None) else None


def _key_of(members: Mapping[str, object]) -> PublicKey | None:
    kind, kid, use, operations = (members.get(name) for name in ("kty", "kid", "use", "key_ops"))
    algorithm = members.get("alg")
    if not isinstance(kind, str) or kind not in PUBLIC_MEMBERS or use not in (None, "sig"):
        return None
    if operations is not None and not (isinstance(operations, list) and "verify" in operations):
        return None
    public = {name: members.get(name) for name in PUBLIC_MEMBERS[kind]}
    texts = {name: value for name, value in public.items() if isinstance(value, str)}
    if len(texts) < len(public) or not isinstance(kid, str | None) or not isinstance(algorithm, str | None):
        return None
    key = _imported(kind, texts)
    return None if key is None else PublicKey(kid, kind, texts.get("crv"), algorithm, key)


def _imported(kind: str, members: Mapping[str, str]) -> jwk.Key | None:
    try:
        if kind == "RSA" and _bits(members["n"]) < LEAST_BITS:
            return None
        return jwk.import_key({"kty": kind, **members})
    except (JoseError, ValueError, TypeError, KeyError, AttributeError):
        return None


def _bits(number: str) -> int:
    return int.from_bytes(base64.urlsafe_b64decode(number + "=" * (-len(number) % 4))).bit_length()
