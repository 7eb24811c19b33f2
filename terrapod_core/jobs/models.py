"""The queue's table."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Index
from sqlalchemy.orm import Mapped, mapped_column

from terrapod_core.db import Base


class Job(Base):
    """One piece of work. Deleted when done; kept with `dead_at` when every try failed."""

    __tablename__ = "jobs"
    __table_args__ = (Index("ix_jobs_due", "dead_at", "run_at"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    """Which handler: `runs.admit`."""
    payload: Mapped[dict[str, Any]]
    run_at: Mapped[datetime]
    """Not before."""
    attempts: Mapped[int] = mapped_column(default=0)
    claimed_until: Mapped[datetime | None]
    """A worker has it, and writes another moment every few seconds. Only whether it changes counts: see `claims`."""
    last_error: Mapped[str | None]
    dead_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
