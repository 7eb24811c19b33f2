"""A pool's certificate authority: what it asks of a signing request, and what it signs."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, cast

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
    load_der_public_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from terrapod_core.agents.models import AUTHORITY_KEY, PoolAuthority
from terrapod_core.errors import Invalid
from terrapod_core.secrets import Keyring
from terrapod_core.signatures import PublicKey, algorithm_of

LIFE: Final = timedelta(days=7)
"""Of a listener's certificate."""

AUTHORITY_LIFE: Final = timedelta(days=3650)
RENEWED_BEFORE: Final = timedelta(days=30)
"""An authority that would end sooner is replaced by a new one."""

BACKDATED: Final = timedelta(minutes=5)
"""So that a clock that is a little behind takes a new certificate too."""

_POINTER: Final = "/data/attributes/csr"


@dataclass(frozen=True)
class Issued:
    """A certificate that was just signed."""

    key_id: str
    """Its serial number, in lower-case hexadecimal."""
    certificate: str = field(repr=False)
    """PEM."""
    chain: str = field(repr=False)
    """The certificate of the authority, in PEM."""
    expires_at: datetime


def key_of_request(pem: str) -> PublicKey:
    """The key that a signing request is about. Whatever else is in it (subject, names, extensions) counts for nothing.

    Raises `Invalid` for what is no request, was not signed by that key, or holds a key that is neither Ed25519 nor P-256.
    """
    try:
        request = x509.load_pem_x509_csr(pem.encode())
        key, is_signed = request.public_key(), request.is_signature_valid
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise Invalid("The signing request must be one of PKCS #10, in PEM, with an Ed25519 or P-256 key", pointer=_POINTER) from None
    if algorithm_of(key) is None:
        raise Invalid("The key of the signing request must be Ed25519 or P-256; no other kind is taken", pointer=_POINTER)
    if not is_signed:
        raise Invalid("The signing request is not signed with the key that it is about", pointer=_POINTER)
    return cast("PublicKey", key)


def encoded(key: PublicKey) -> bytes:
    """The key as it is stored."""
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def decoded(stored: bytes) -> PublicKey:
    """The key again."""
    return cast("PublicKey", load_der_public_key(stored))


def key_hash(stored: bytes) -> str:
    """What tells a stored key from any other."""
    return hashlib.sha256(stored).hexdigest()


def new_authority(pool_id: str, keyring: Keyring, now: datetime) -> PoolAuthority:
    """A fresh authority for a pool: it signs listeners' certificates and no other authority's."""
    key = generate_private_key(SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Terrapod {pool_id}")])
    expires_at = now + AUTHORITY_LIFE
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now - BACKDATED, expires_at)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, SHA256())
    )
    der = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    sealed = keyring.seal(der, column=AUTHORITY_KEY, row=pool_id)
    return PoolAuthority(pool_id=pool_id, certificate=_pem(certificate), key=sealed, expires_at=expires_at)


def issue(authority: PoolAuthority, keyring: Keyring, public: PublicKey, listener_id: str, now: datetime) -> Issued:
    """A certificate over a listener's key, good for a week. It says which listener of which pool holds the key, and no more."""
    key = load_der_private_key(keyring.open(authority.key, column=AUTHORITY_KEY, row=authority.pool_id), None)
    assert isinstance(key, EllipticCurvePrivateKey)
    signer = x509.load_pem_x509_certificate(authority.certificate.encode())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, listener_id)])
    uri = x509.UniformResourceIdentifier(f"terrapod://pool/{authority.pool_id}/listener/{listener_id}")
    certificate = (
        x509.CertificateBuilder(signer.subject, subject, public, x509.random_serial_number(), now - BACKDATED, now + LIFE)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([uri]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
        .sign(key, SHA256())
    )
    return Issued(f"{certificate.serial_number:x}", _pem(certificate), authority.certificate, now + LIFE)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()
