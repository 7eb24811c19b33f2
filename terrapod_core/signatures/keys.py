"""The two kinds of key that sign, as RFC 9421 names their algorithms."""

from __future__ import annotations

from enum import StrEnum
from typing import Final, TypeAlias

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePrivateKey, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

PrivateKey: TypeAlias = Ed25519PrivateKey | EllipticCurvePrivateKey
PublicKey: TypeAlias = Ed25519PublicKey | EllipticCurvePublicKey

_HALF: Final = 32
"""Bytes of each of the two numbers of a P-256 signature; RFC 9421 writes them one after the other."""


class Algorithm(StrEnum):
    """How a key signs: each kind of key has one way."""

    ED25519 = "ed25519"
    ECDSA_P256 = "ecdsa-p256-sha256"


def new_key() -> PrivateKey:
    """A fresh private key, as a listener makes one for itself."""
    return Ed25519PrivateKey.generate()


def algorithm_of(key: object) -> Algorithm | None:
    """How this key signs; `None` for a key of any other kind."""
    if isinstance(key, (Ed25519PrivateKey, Ed25519PublicKey)):
        return Algorithm.ED25519
    if isinstance(key, (EllipticCurvePrivateKey, EllipticCurvePublicKey)) and isinstance(key.curve, SECP256R1):
        return Algorithm.ECDSA_P256
    return None


def sign(key: PrivateKey, base: bytes) -> bytes:
    """The signature of these bytes: 64 bytes for either kind of key."""
    if isinstance(key, Ed25519PrivateKey):
        return key.sign(base)
    r, s = decode_dss_signature(key.sign(base, ECDSA(SHA256())))
    return r.to_bytes(_HALF, "big") + s.to_bytes(_HALF, "big")


def verifies(key: PublicKey, signature: bytes, base: bytes) -> bool:
    """Whether the key's owner made this signature of these bytes."""
    if len(signature) != 2 * _HALF:
        return False
    try:
        if isinstance(key, Ed25519PublicKey):
            key.verify(signature, base)
        else:
            r, s = int.from_bytes(signature[:_HALF], "big"), int.from_bytes(signature[_HALF:], "big")
            key.verify(encode_dss_signature(r, s), base, ECDSA(SHA256()))
    except InvalidSignature:
        return False
    return True
