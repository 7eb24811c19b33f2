"""What is hashed, and how each entry holds on to the one before it. Pure: no clock, no database.

    hash(n) = SHA-256( "terrapod-audit" | format | entry | hash(n-1) | n )

Every part is preceded by its length, so no two different entries give the same bytes. The first entry of a segment follows the
segment's own beginning, which holds the chain's id and, from the second segment on, the hash the one before it ended with.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from sqlalchemy import Text, type_coerce

from terrapod_core.audit.models import AuditEntry, AuditSegment
from terrapod_core.secrets.keyring import place

FORMAT: Final = 1
"""Names everything above. Another way to hash gets another number, and begins a segment."""

_FIELDS: Final = ("actor_kind", "actor_id", "actor_name", "action", "resource_type", "resource_id", "outcome")

COLUMNS: Final = (
    AuditEntry.seal_no,
    AuditEntry.hash,
    AuditEntry.id,
    AuditEntry.at,
    *(getattr(AuditEntry, name) for name in _FIELDS),
    # As it lies in the table: decoded and encoded again it might not be the same bytes for ever.
    type_coerce(AuditEntry.detail, Text).label("detail"),
    AuditEntry.request_id,
    AuditEntry.address,
)
"""What to select for `Link.of`."""


class Link(msgspec.Struct, rename="kebab", frozen=True, gc=False):
    """An entry as the chain sees it, and as an archive keeps it: text, exactly as it was stored."""

    seal_no: int
    """0 for one that is not sealed yet."""
    hash: str
    id: str
    at: str
    """UTC, in microseconds: `2026-01-31T12:00:00.000000+00:00`."""
    actor_kind: str
    actor_id: str
    actor_name: str
    action: str
    resource_type: str
    resource_id: str
    outcome: str
    detail: str
    request_id: str | None
    address: str | None

    @classmethod
    def of(cls, row: Any) -> Link:
        """A row of `COLUMNS`."""
        return cls(row[0] or 0, row[1] or "", row[2], moment(row[3]), *row[4:])

    def canonical(self) -> bytes:
        """The bytes that are sealed; an absent value is not an empty one."""
        present = (self.id, self.at, *(getattr(self, name) for name in _FIELDS), self.detail)
        optional = (b"" if value is None else b"=" + value.encode() for value in (self.request_id, self.address))
        return place(*present, *optional)


def moment(at: datetime) -> str:
    """A time as it is hashed and signed."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def beginning(segment: AuditSegment) -> str:
    """What the first entry of a segment follows."""
    parts = (segment.chain_id, str(segment.segment), str(segment.first_seal_no), segment.previous_hash)
    return hashlib.sha256(place("terrapod-audit-segment", bytes([segment.format]), *parts)).hexdigest()


def link_hash(link: Link, previous: str, seal_no: int) -> str:
    """The hash of an entry at its place, in hexadecimal; `previous` is the hash before it."""
    parts = place("terrapod-audit", bytes([FORMAT]), link.canonical(), bytes.fromhex(previous), seal_no.to_bytes(8, "big"))
    return hashlib.sha256(parts).hexdigest()
