"""The tables of the record: entries, the chain they are sealed into, its signed checkpoints, and what was archived.

Rows are added, never changed: triggers on both databases refuse everything but the one step from unsealed to sealed, and the
deletion of entries that an archive holds.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from sqlalchemy import BigInteger, Index, TextClause, text
from sqlalchemy.orm import Mapped, mapped_column

from terrapod_core.db import Base
from terrapod_core.storage.named import NAMED
from terrapod_core.storage.objects import ObjectKind

SEALED: Final = text("seal_no IS NOT NULL")
UNSEALED: Final = text("seal_no IS NULL")


def _asked(name: str, *columns: str, where: TextClause = SEALED, **options: Any) -> Index:
    """The index of a question to the log. It ends with the order of the answer: a page is read, never sorted.

    Of sealed entries alone: a writer pays for two indexes instead of eleven, the sealer for all of them, once a batch. The number
    is in it so that SQLite need not look into the table for the condition.
    """
    return Index(f"ix_audit_entries_{name}", *columns, "at", "id", "seal_no", sqlite_where=where, postgresql_where=where, **options)


class AuditEntry(Base):
    """Who did (or was refused) what to which thing, when, in which request. Holds names and ids, never a secret."""

    __tablename__ = "audit_entries"
    __table_args__ = (
        Index("uq_audit_entries_seal_no", "seal_no", unique=True, sqlite_where=SEALED, postgresql_where=SEALED),
        _asked("unsealed", where=UNSEALED),
        _asked("at"),
        _asked("actor_id", "actor_id"),
        _asked("actor_name", "actor_name"),
        # By bytes: only so does PostgreSQL find a prefix in it, whatever the language of the database.
        _asked("action", "action", postgresql_ops={"action": "text_pattern_ops"}),
        _asked("resource_type", "resource_type"),
        _asked("resource_id", "resource_id"),
        _asked("request_id", "request_id"),
        _asked("address", "address"),
        _asked("outcome", "outcome"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    actor_kind: Mapped[str]
    actor_id: Mapped[str]
    actor_name: Mapped[str]
    action: Mapped[str]
    """`<resource>.<verb>`: `workspace.create`, `run.confirm`."""
    resource_type: Mapped[str]
    resource_id: Mapped[str]
    outcome: Mapped[str]
    """`allowed` or `refused`."""
    detail: Mapped[dict[str, Any]]
    request_id: Mapped[str | None]
    address: Mapped[str | None]
    seal_no: Mapped[int | None] = mapped_column(BigInteger)
    """Its place in the chain: 1, 2, 3, … without a gap; `None` until the sealer saw it."""
    hash: Mapped[str | None]
    """What `chain.link_hash` gave for it, in hexadecimal; `None` until the sealer saw it."""


class AuditSegment(Base):
    """A stretch of the chain. There is one, until a restore begins another: what was sealed since the backup is another history."""

    __tablename__ = "audit_segments"

    segment: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    chain_id: Mapped[str]
    """Random; the same in all segments. Tells one installation's checkpoints from another's."""
    format: Mapped[int]
    """How its entries are hashed (`chain.FORMAT`)."""
    first_seal_no: Mapped[int] = mapped_column(BigInteger)
    previous_hash: Mapped[str]
    """The hash of the entry before it; empty in the first."""
    started_at: Mapped[datetime]


class AuditCheckpoint(Base):
    """The chain's head at a moment, signed."""

    __tablename__ = "audit_checkpoints"

    seal_no: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    chain_id: Mapped[str]
    segment: Mapped[int]
    hash: Mapped[str]
    count: Mapped[int]
    """Entries since the checkpoint before it."""
    at: Mapped[datetime]
    key_id: Mapped[str]
    public_key: Mapped[str]
    """Ed25519, in hexadecimal, as is the signature."""
    signature: Mapped[str]


class AuditArchive(Base):
    """A range of entries that was moved to the object store."""

    __tablename__ = "audit_archives"

    first_seal_no: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    last_seal_no: Mapped[int] = mapped_column(BigInteger)
    count: Mapped[int]
    previous_hash: Mapped[str]
    """The hash of the entry before the first; empty when there is none."""
    last_hash: Mapped[str]
    object_id: Mapped[str]
    object_key: Mapped[str]
    size: Mapped[int] = mapped_column(BigInteger)
    """Bytes of the JSON lines; `sha256` is of the same."""
    sha256: Mapped[str]
    created_at: Mapped[datetime]


NAMED.add(ObjectKind.AUDIT, AuditArchive, "object_key", bound_to="object_id", renamable=False)
