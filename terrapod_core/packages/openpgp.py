"""OpenPGP as terraform uses it (RFC 4880): public keys in ASCII armour, and detached signatures over `SHA256SUMS`.

terraform calls a key by the last 64 bits of its primary key's fingerprint: sixteen hexadecimal digits in upper case.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import pysequoia
from pysequoia import Cert, CipherSuite, Profile, Sig, SignatureMode, Tsk
from pysequoia.packet import PacketPile, SignatureType, Tag

from terrapod_core.errors import Invalid

ARMOR_BYTES: Final = 256 * 1024
"""The longest key that is read; one with many certifications has some ten thousand bytes."""

SIGNATURE_BYTES: Final = 64 * 1024

_BEGIN: Final = "-----BEGIN PGP PUBLIC KEY BLOCK-----"
_V4_DIGITS: Final = 40
_KEY: Final = "/data/attributes/ascii-armor"


@dataclass(frozen=True)
class PublicKey:
    """A key that verifies signatures now."""

    key_id: str
    fingerprint: str
    """Hexadecimal in upper case, as is the id."""
    user: str
    """The first name in it, as `Jane <jane@example.com>`; may be empty."""
    expires_at: datetime | None
    armor: str
    """As it was read."""


def read_key(armor: str, now: datetime, *, pointer: str | None = _KEY) -> PublicKey:
    """The one public key in this armour; `pointer` says where in a document it came.

    Raises `Invalid`, with the reason, for anything else and for a key that is secret, expired, revoked, or of a version that terraform
    does not read.
    """
    if _BEGIN not in armor or not armor.isascii() or len(armor) > ARMOR_BYTES:
        raise _no_key(pointer, f"send it as `gpg --armor --export` writes it, at most {ARMOR_BYTES // 1024} KiB")
    try:
        packets = list(PacketPile.from_bytes(armor.encode()))
        if any(packet.tag in (Tag.SecretKey, Tag.SecretSubkey) for packet in packets):
            raise _no_key(pointer, "it is a secret key. Keep it to yourself, and send the public one")
        key = Cert.from_bytes(armor.encode())
        fingerprint, revoked, expires_at = key.fingerprint.upper(), key.is_revoked, key.expiration
        users = [str(user) for user in key.user_ids]
    except RuntimeError as error:
        raise _no_key(pointer, _said(error)) from None
    if len(fingerprint) != _V4_DIGITS:
        raise _no_key(pointer, "terraform reads keys of version 4 only (RFC 4880)")
    if revoked:
        raise _no_key(pointer, f"the key {fingerprint[-16:]} is revoked")
    if expires_at is not None and expires_at <= now:
        raise _no_key(pointer, f"the key {fingerprint[-16:]} expired on {expires_at:%Y-%m-%d}")
    return PublicKey(fingerprint[-16:], fingerprint, users[0] if users else "", expires_at, armor)


def fingerprint_of(armor: str) -> str:
    """Of a key that was read before, whether it still verifies or not: hexadecimal, in upper case."""
    return _fingerprints(armor)[0]


def verify(document: bytes, signature: bytes, armor: str, now: datetime) -> bytes:
    """The signature as terraform wants it, binary, when this key made it over these bytes, and counts now.

    `signature` may be armoured. Raises `Invalid`, with the reason: no signature, another key, other bytes, a key that expired or was
    revoked.
    """
    key = read_key(armor, now, pointer=None)
    try:
        read = Sig.from_bytes(signature)
        issuer = (read.issuer_fingerprint or read.issuer_key_id or "").upper()
        if read.signature_type != SignatureType.Binary:
            raise _no_signature("make it over the file as it is, with `gpg --detach-sign`")
    except RuntimeError as error:
        raise _no_signature(f"it cannot be read ({_said(error)}); make it with `gpg --detach-sign`") from None
    if not issuer or not any(each.endswith(issuer[-16:]) for each in _fingerprints(armor)):
        raise _no_signature(f"it was made with the key {issuer[-16:] or 'of nobody'}, and this version names the key {key.key_id}")
    try:
        pysequoia.verify(document, store=lambda _wanted: [Cert.from_bytes(armor.encode())], signature=read)
    except RuntimeError:
        raise _no_signature(f"the key {key.key_id} did not sign these bytes; sign SHA256SUMS as it was uploaded") from None
    return bytes(read)


def made_at(signature: bytes) -> datetime:
    """When a signature says that it was made: the moment at which a key that has expired since was still good. Raises `Invalid`."""
    try:
        made = Sig.from_bytes(signature).created
    except RuntimeError as error:
        raise _no_signature(f"it cannot be read ({_said(error)})") from None
    if made is None:
        raise _no_signature("it does not say when it was made")
    return made if made.tzinfo is not None else made.replace(tzinfo=UTC)


@dataclass(frozen=True)
class SecretKey:
    """A key that signs, and the public one of it."""

    secret: bytes
    armor: str
    """Of the public key."""
    key_id: str


def new_key(user: str) -> SecretKey:
    """A key for signing. RSA, which every terraform verifies; takes seconds, so not on the event loop."""
    made = Tsk.generate(user, profile=Profile.RFC4880, cipher_suite=CipherSuite.RSA3k)
    public = made.extract_certificate()
    return SecretKey(bytes(made), str(public), public.fingerprint[-16:].upper())


def sign(document: bytes, secret: bytes) -> bytes:
    """A binary detached signature with the key of `new_key`."""
    return pysequoia.sign(Tsk.from_bytes(secret).signer(), document, mode=SignatureMode.DETACHED, armor=False)


def _fingerprints(armor: str) -> list[str]:
    """Of the key and its subkeys."""
    packets = PacketPile.from_bytes(armor.encode())
    return [(packet.fingerprint or "").upper() for packet in packets if packet.tag in (Tag.PublicKey, Tag.PublicSubkey)]


def _no_key(pointer: str | None, why: str) -> Invalid:
    return Invalid(f"this key is refused: {why}", pointer=pointer, code="bad_key")


def _no_signature(why: str) -> Invalid:
    return Invalid(f"the signature of SHA256SUMS is refused: {why}", code="bad_signature")


def _said(error: RuntimeError) -> str:
    """What the library says went wrong: the first line. What follows is where in its source that was."""
    return str(error).partition("\n")[0].strip().rstrip(".")
