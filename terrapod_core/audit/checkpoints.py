"""The chain's head, signed with a key that is not in the database."""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from terrapod_core.audit.chain import FORMAT, moment
from terrapod_core.audit.models import AuditCheckpoint
from terrapod_core.secrets import Keyring
from terrapod_core.secrets.keyring import place

LABEL: Final = "audit-checkpoint"
"""The purpose of the derived key whose 32 bytes are the Ed25519 seed."""

EVENT: Final = "audit checkpoint"
"""What a line of the log or of the anchor file says it is."""


class Trust(Enum):
    """What a signature is worth."""

    VALID = auto()
    """Made with a key of this keyring."""
    KEY_NOT_GIVEN = auto()
    """It fits the public key beside it, which may be anybody's: the key it names is not in the keyring."""
    FORGED = auto()
    """Not made by the key it names, or not over this."""


class Checkpoint(msgspec.Struct, rename="kebab", frozen=True):
    """What is signed, and the signature. This is the form of a line in the anchor file."""

    chain: str
    segment: int
    seal_no: int
    hash: str
    count: int
    time: str
    key_id: str
    public_key: str
    signature: str

    @classmethod
    def of(cls, row: AuditCheckpoint) -> Checkpoint:
        """A stored one."""
        signed = (row.chain_id, row.segment, row.seal_no, row.hash, row.count, moment(row.at))
        return cls(*signed, row.key_id, row.public_key, row.signature)

    def signed_bytes(self) -> bytes:
        """What the signature is over."""
        numbers = (str(number) for number in (self.segment, self.seal_no, self.count))
        return place("terrapod-audit-checkpoint", bytes([FORMAT]), self.chain, *numbers, self.hash, self.time)

    def line(self) -> bytes:
        """Itself as a line of JSON, with its end."""
        return msgspec.json.encode({"event": EVENT, **msgspec.to_builtins(self)}) + b"\n"


class CheckpointKeys:
    """Signs checkpoints and judges signatures."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring

    def sign(self, row: AuditCheckpoint) -> None:
        """Fill in key, public key and signature, with the newest key."""
        row.key_id = self._keyring.newest
        private = self._private(row.key_id)
        row.public_key, row.signature = private.public_key().public_bytes_raw().hex(), ""
        row.signature = private.sign(Checkpoint.of(row).signed_bytes()).hex()

    def judge(self, checkpoint: Checkpoint) -> Trust:
        """Whether the signature holds. A key that was rotated away counts for as long as the keyring has it."""
        given = checkpoint.key_id in self._keyring.key_ids
        try:
            public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(checkpoint.public_key))
            if given and self._private(checkpoint.key_id).public_key().public_bytes_raw() != public.public_bytes_raw():
                return Trust.FORGED
            public.verify(bytes.fromhex(checkpoint.signature), checkpoint.signed_bytes())
        except (ValueError, InvalidSignature):
            return Trust.FORGED
        return Trust.VALID if given else Trust.KEY_NOT_GIVEN

    def _private(self, key_id: str) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self._keyring.derive(LABEL, key_id=key_id))
