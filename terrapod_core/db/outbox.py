"""News that must not be lost: written in the transaction that made it, handed to `jobs` after the commit, kept a while for streams."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from sqlalchemy import BigInteger, Connection, Index, Integer, Table, event
from sqlalchemy.orm import Mapped, mapped_column

from terrapod_core.db.base import Base

HEAD_ID: Final = 1

Number = BigInteger().with_variant(Integer, "sqlite")
"""SQLite counts by itself in a column of exactly this type."""


class OutboxRow(Base):
    """One event waiting for the relay; the row is deleted in the transaction that makes its jobs."""

    __tablename__ = "outbox"

    number: Mapped[int] = mapped_column(Number, primary_key=True)
    """In the order of writing. What depends on something else is written after it, so its number is higher."""
    id: Mapped[str] = mapped_column(unique=True)
    event: Mapped[str]
    payload: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]


class ToldEvent(Base):
    """An event about a workspace after the relay, for those who watch. Its id is higher than that of every event told before it.

    Ids are given by whoever holds the lock on `EventHead`, until the commit: on every server they become visible in their order,
    so who has seen one has seen all before it.
    """

    __tablename__ = "told_events"
    __table_args__ = (Index("ix_told_events_workspace_id", "workspace_id", "id"), Index("ix_told_events_told_at", "told_at"))

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    event: Mapped[str]
    payload: Mapped[dict[str, Any]]
    workspace_id: Mapped[str]
    happened_at: Mapped[datetime]
    told_at: Mapped[datetime]


class EventHead(Base):
    """How far the ids of told events go. One row; its lock is the right to tell."""

    __tablename__ = "event_head"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    last: Mapped[int] = mapped_column(BigInteger)
    """The id of the newest event, also when it is no longer kept."""
    swept: Mapped[int] = mapped_column(BigInteger)
    """The highest id that is no longer kept."""


@event.listens_for(EventHead.__table__, "after_create")
def _add_head(table: Table, connection: Connection, **_options: Any) -> None:
    """The one row, in tables that are made without the migrations."""
    connection.execute(table.insert().values(id=HEAD_ID, last=0, swept=0))
