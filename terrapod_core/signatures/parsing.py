"""Reading the two headers of a signature. One spelling is taken: what RFC 9651 writes, which any serializer gives."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, Self

from terrapod_core.signatures.keys import PublicKey, algorithm_of, verifies
from terrapod_core.signatures.messages import TAG, Message

LIFE: Final = timedelta(seconds=60)
"""The longest time between `created` and `expires`."""

LONGEST: Final = 2048
"""Characters of either header."""

_LABEL: Final = r"(?P<label>[a-z*][a-z0-9_.*-]{0,63})"
_INPUT: Final = re.compile(
    rf'{_LABEL}=(?P<parameters>\((?P<components>(?:"[a-z@-]+"(?: (?="))?)*)\)(?P<named>(?:;[a-z]+=(?:"[!#-\[\]-~]*"|\d{{1,15}}))*))'
)
_SIGNATURE: Final = re.compile(rf"{_LABEL}=:(?P<value>[A-Za-z0-9+/]+={{0,2}}):")
_NAMED: Final = re.compile(r';([a-z]+)=("?)([^";]*)"?')
_NONCE: Final = re.compile(r"[A-Za-z0-9_-]{22,64}")
_KEY_ID: Final = re.compile(r"[0-9a-f]{1,40}")
_TIMES: Final = frozenset({"created", "expires"})
_TEXTS: Final = frozenset({"keyid", "alg", "nonce", "tag"})


class NotSigned(Exception):
    """The request carries no signature of the profile; the sentence says what is wrong with it."""


@dataclass(frozen=True)
class Signature:
    """A signature that is well formed; nothing is said yet about who made it."""

    key_id: str
    """The serial number of the certificate, in hexadecimal."""
    algorithm: str
    nonce: str
    created: datetime
    expires: datetime
    components: tuple[str, ...] = field(repr=False)
    parameters: str = field(repr=False)
    """What followed the label, as it came: it is part of what is signed."""
    value: bytes = field(repr=False)

    def is_of(self, key: PublicKey, message: Message) -> bool:
        """Whether the key's owner signed this message, and in the one way that the key has."""
        return self.algorithm == algorithm_of(key) and verifies(key, self.value, message.base(self.components, self.parameters))

    @classmethod
    def of(cls, components: tuple[str, ...], parameters: str, named: dict[str, str], value: bytes) -> Self:
        """From what the headers hold. Raises `NotSigned` for values that cannot be."""
        created, expires = _moment(named["created"]), _moment(named["expires"])
        if named["tag"] != TAG:
            raise NotSigned(f'the signature is made for something else: its tag must be "{TAG}"')
        if _NONCE.fullmatch(named["nonce"]) is None:
            raise NotSigned("the nonce must be 22 to 64 letters, digits, - and _: 128 bits that nobody can guess")
        if _KEY_ID.fullmatch(named["keyid"]) is None:
            raise NotSigned("the keyid must be the serial number of the certificate, in lower-case hexadecimal")
        if not created < expires <= created + LIFE:
            raise NotSigned("expires must lie after created, and at most 60 seconds after it")
        return cls(named["keyid"], named["alg"], named["nonce"], created, expires, components, parameters, value)


def parse(signature_input: str, signature: str, message: Message) -> Signature:
    """The one signature in the values of `Signature-Input` and `Signature`, of a message with the digest that its body has.

    Raises `NotSigned` for anything else: none or several, other components or parameters than the profile has, one twice.
    """
    if len(signature_input) > LONGEST or len(signature) > LONGEST:
        raise NotSigned("the headers of the signature are too long")
    described, made = _INPUT.fullmatch(signature_input), _SIGNATURE.fullmatch(signature)
    if described is None or made is None or described["label"] != made["label"]:
        raise NotSigned("send one signature: Signature-Input and Signature with one label, as RFC 9421 writes them")
    components = tuple(described["components"].replace('"', "").split())
    if sorted(components) != sorted(message.components):
        raise NotSigned(f"sign exactly {' '.join(message.components)}, each once")
    missing = [name for name in components if not name.startswith("@") and name not in message.headers]
    if missing:
        raise NotSigned(f"the header {missing[0]} is signed and must be sent, once")
    try:
        value = base64.b64decode(made["value"], validate=True)
    except binascii.Error:
        raise NotSigned("the signature is not base64") from None
    return Signature.of(components, described["parameters"], _parameters(described["named"]), value)


def _parameters(text: str) -> dict[str, str]:
    found = _NAMED.findall(text)
    if sorted(name for name, _, _ in found) != sorted(_TIMES | _TEXTS):
        raise NotSigned("the parameters are created, expires, nonce, keyid, alg and tag, each once and no others")
    if any((name in _TEXTS) != bool(quote) for name, quote, _ in found):
        raise NotSigned("created and expires are whole numbers; the other parameters are strings")
    return {name: value for name, _, value in found}


def _moment(text: str) -> datetime:
    try:
        return datetime.fromtimestamp(int(text), UTC)
    except (ValueError, OverflowError, OSError):
        raise NotSigned("created and expires are seconds since 1970") from None
