"""Signatures that are older than the copy of the key that is at hand.

A publisher who lets a key live longer signs it anew, and often hands out that newest self-signature alone. Sequoia, which asks whether
the key was good when the signature was made, then finds nothing of that time, and refuses. terraform (Go's OpenPGP) takes the key as it
is now, and so must we: else every release from before the renewal would be lost. Here is just the mathematics, for the keys that
publishers have: RSA, and Ed25519 as OpenPGP first had it (RFC 4880, draft-koch-eddsa-for-openpgp).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import datetime
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from pysequoia.packet import Packet, PacketPile, SignatureType, Tag

HASHES: Final[dict[int, tuple[str, hashes.HashAlgorithm]]] = {
    8: ("sha256", hashes.SHA256()),
    9: ("sha384", hashes.SHA384()),
    10: ("sha512", hashes.SHA512()),
}
RSA: Final = (1, 3)
"""Encrypt or sign, and sign only."""
EDDSA: Final = 22
ED25519_OID: Final = bytes.fromhex("092b06010401da470f01")
SMALLEST_RSA: Final = 2048
KEYS: Final = (Tag.PublicKey, Tag.PublicSubkey)

EMBEDDED: Final = 32
"""The subpacket in which a subkey says that it belongs to the primary key."""
UNDERSTOOD: Final = frozenset({2, 3, 9, 11, 16, 21, 22, 23, 25, 27, 28, 30, EMBEDDED, 33, 34})
"""Subpackets; another one that is critical means something that is not known here."""
SIGNING: Final = 0x02


def is_made_by(document: bytes, signature: bytes, armor: str, now: datetime) -> bool:
    """Whether the key, or a subkey that it has now, made this binary signature over these bytes.

    `now` is when it has to count. Whether the primary key is expired or revoked is for the caller to find out.
    """
    try:
        [made] = [each for each in PacketPile.from_bytes(signature) if each.tag == Tag.Signature]
        packets = list(PacketPile.from_bytes(armor.encode()))
        key = _signer(made, packets)
        return (
            key is not None
            and made.signature_type == SignatureType.Binary
            and _counts(made, now)
            and _is_good(key, made, packets)
            and _verifies(document, made.body, key.body)
        )
    except (RuntimeError, ValueError, IndexError, OverflowError):
        return False


def _signer(made: Packet, packets: list[Packet]) -> Packet | None:
    issuer = (made.issuer_fingerprint or made.issuer_key_id or "").lower()
    return next((each for each in packets if each.tag in KEYS and issuer and (each.fingerprint or "").lower().endswith(issuer)), None)


def _counts(made: Packet, now: datetime) -> bool:
    if made.signature_created is None or made.signature_created > now:
        return False
    return made.signature_validity_period is None or now < made.signature_created + made.signature_validity_period


def _is_good(key: Packet, made: Packet, packets: list[Packet]) -> bool:
    """Whether this key signs: the primary one does; a subkey is bound to it, and had not ended when the signature was made."""
    created = key.key_created
    if created is None or made.signature_created is None or made.signature_created < created:
        return False
    if key.tag == Tag.PublicKey:
        return True
    primary = packets[0]
    about = list(_about(key, packets))
    if primary.tag != Tag.PublicKey or any(each.signature_type == SignatureType.SubkeyRevocation for each in about):
        return False
    bound = _hashed_key(primary) + _hashed_key(key)
    bindings = [each for each in about if each.signature_type == SignatureType.SubkeyBinding and _verifies(bound, each.body, primary.body)]
    newest = max(bindings, key=lambda each: each.signature_created or created, default=None)
    if newest is None or not _lets_sign(newest.body, bound, key.body):
        return False
    return newest.key_validity_period is None or made.signature_created < created + newest.key_validity_period


def _about(key: Packet, packets: list[Packet]) -> Iterator[Packet]:
    """The signatures that follow a key."""
    at = next(number for number, each in enumerate(packets) if each is key)
    for each in packets[at + 1 :]:
        if each.tag in KEYS:
            return
        if each.tag == Tag.Signature:
            yield each


def _lets_sign(binding: bytes, bound: bytes, subkey: bytes) -> bool:
    """Whether a binding gives the right to sign, and the subkey agrees to it."""
    hashed, unhashed = _areas(binding)
    flags = next((value for kind, value, _ in _subpackets(hashed) if kind == 27), b"")
    agreed = [value for kind, value, _ in (*_subpackets(hashed), *_subpackets(unhashed)) if kind == EMBEDDED]
    return bool(flags and flags[0] & SIGNING) and any(each[1] == 0x19 and _verifies(bound, each, subkey) for each in agreed)


def _hashed_key(key: Packet) -> bytes:
    """A key as signatures about it see it (RFC 4880, section 5.2.4)."""
    return b"\x99" + len(key.body).to_bytes(2, "big") + key.body


def _verifies(data: bytes, signature: bytes, key: bytes) -> bool:
    """Whether the key made this signature, of version 4, over the data."""
    if signature[0] != 4 or key[0] != 4 or signature[3] not in HASHES or not _is_understood(signature):
        return False
    length = 6 + int.from_bytes(signature[4:6], "big")
    trailer = signature[:length] + b"\x04\xff" + length.to_bytes(4, "big")
    name, algorithm = HASHES[signature[3]]
    digest = hashlib.new(name, data + trailer).digest()
    numbers = _numbers(signature[length + 2 + int.from_bytes(signature[length : length + 2], "big") + 2 :])
    try:
        if key[5] in RSA and signature[2] in RSA:
            _check_rsa(key, next(numbers), digest, algorithm)
            return True
        if key[5] == EDDSA and signature[2] == EDDSA:
            _check_ed25519(key, next(numbers), next(numbers), digest)
            return True
    except (InvalidSignature, StopIteration):
        return False
    return False


def _check_rsa(key: bytes, value: int, digest: bytes, algorithm: hashes.HashAlgorithm) -> None:
    numbers = _numbers(key[6:])
    modulus, exponent = next(numbers), next(numbers)
    if modulus.bit_length() < SMALLEST_RSA:
        raise InvalidSignature
    public = rsa.RSAPublicNumbers(exponent, modulus).public_key()
    public.verify(value.to_bytes((modulus.bit_length() + 7) // 8, "big"), digest, padding.PKCS1v15(), Prehashed(algorithm))


def _check_ed25519(key: bytes, r: int, s: int, digest: bytes) -> None:
    if key[6 : 6 + len(ED25519_OID)] != ED25519_OID:
        raise InvalidSignature
    point = next(_numbers(key[6 + len(ED25519_OID) :])).to_bytes(33, "big")
    if point[0] != 0x40:
        raise InvalidSignature
    ed25519.Ed25519PublicKey.from_public_bytes(point[1:]).verify(r.to_bytes(32, "big") + s.to_bytes(32, "big"), digest)


def _numbers(data: bytes) -> Iterator[int]:
    """Multiprecision integers, one after another; raises `ValueError` for one that is cut off."""
    while len(data) >= 2:
        length = (int.from_bytes(data[:2], "big") + 7) // 8
        if len(data) < 2 + length:
            raise ValueError("a number is cut off")
        yield int.from_bytes(data[2 : 2 + length], "big")
        data = data[2 + length :]


def _areas(signature: bytes) -> tuple[bytes, bytes]:
    """The subpackets that are signed along, and those that are not."""
    end = 6 + int.from_bytes(signature[4:6], "big")
    return signature[6:end], signature[end + 2 : end + 2 + int.from_bytes(signature[end : end + 2], "big")]


def _subpackets(area: bytes) -> Iterator[tuple[int, bytes, bool]]:
    """Kind, content, and whether it is critical."""
    while area:
        head, length = 1, area[0]
        if length == 255:
            head, length = 5, int.from_bytes(area[1:5], "big")
        elif length >= 192:
            head, length = 2, ((length - 192) << 8) + area[1] + 192
        if not 0 < length <= len(area) - head:
            raise ValueError("a subpacket is cut off")
        yield area[head] & 0x7F, area[head + 1 : head + length], bool(area[head] & 0x80)
        area = area[head + length :]


def _is_understood(signature: bytes) -> bool:
    return all(kind in UNDERSTOOD or not critical for kind, _, critical in _subpackets(_areas(signature)[0]))
