"""News that must not be lost: written in the transaction that made it, handed to `jobs` after the commit."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy.orm import Mapped, mapped_column

from terrapod_core.db.base import Base


class OutboxRow(Base):
    """One event waiting for the relay; the row is deleted in the transaction that makes its jobs."""

    __tablename__ = "outbox"

    id: Mapped[str] = mapped_column(primary_key=True)
    event: Mapped[str]
    payload: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(index=True)
