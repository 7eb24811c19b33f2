"""Certificates and keys that the operator gives, looked at once, when the server starts."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat, load_pem_private_key

LEAST_RSA: Final = 2048
LEAST_EC: Final = 256

_PEM = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


@dataclass(frozen=True)
class Certificate:
    """A certificate whose key is long enough. Only its key counts: SAML pins certificates and checks no chain."""

    pem: str = field(repr=False)
    expires_at: datetime

    @property
    def body(self) -> str:
        """The base64 text without the lines around it, as XML holds it."""
        return "".join(line for line in self.pem.splitlines() if line and not line.startswith("-----"))


@dataclass(frozen=True)
class OwnKey:
    """This server's key and its certificate."""

    pem: str = field(repr=False)
    certificate: Certificate
    private: rsa.RSAPrivateKey = field(repr=False)


def certificates(text: str) -> tuple[Certificate, ...]:
    """Those in a PEM text, or one as the bare base64 that metadata holds. Raises `ValueError` with a sentence for the operator."""
    blocks = _PEM.findall(text)
    try:
        found = [x509.load_pem_x509_certificate(block.encode()) for block in blocks] or [
            x509.load_der_x509_certificate(base64.b64decode("".join(text.split()), validate=True))
        ]
    except ValueError:
        raise ValueError("a certificate is neither PEM nor base64") from None
    return tuple(_checked(each) for each in found)


def own_key(key: str, certificate: str) -> OwnKey:
    """A key with its certificate; `ValueError` when they do not belong together or the key will not do."""
    try:
        private = load_pem_private_key(key.encode(), None)
    except (ValueError, TypeError):
        raise ValueError("sp_key is not a private key in PEM without a passphrase") from None
    if not isinstance(private, rsa.RSAPrivateKey) or private.key_size < LEAST_RSA:
        raise ValueError(f"sp_key must be an RSA key of at least {LEAST_RSA} bits")
    found = certificates(certificate)[0]
    same = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if x509.load_pem_x509_certificate(found.pem.encode()).public_key().public_bytes(*same) != private.public_key().public_bytes(*same):
        raise ValueError("sp_certificate is not the certificate of sp_key")
    plain = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return OwnKey(plain, found, private)


def _checked(certificate: x509.Certificate) -> Certificate:
    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        if key.key_size < LEAST_RSA:
            raise ValueError(f"a certificate has an RSA key of {key.key_size} bits; it must have at least {LEAST_RSA}")
    elif not isinstance(key, ec.EllipticCurvePublicKey) or key.key_size < LEAST_EC:
        raise ValueError(f"a certificate's key must be RSA of at least {LEAST_RSA} bits, or on an elliptic curve of at least {LEAST_EC}")
    return Certificate(certificate.public_bytes(Encoding.PEM).decode(), certificate.not_valid_after_utc)
