"""The table of audit entries; rows are added, never changed."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Index
from sqlalchemy.orm import Mapped, mapped_column

from terrapod_core.db import Base


class AuditEntry(Base):
    """Who did (or was refused) what to which thing, when, in which request. Holds names and ids, never a secret."""

    __tablename__ = "audit_entries"
    __table_args__ = (Index("ix_audit_entries_at", "at"), Index("ix_audit_entries_resource", "resource_type", "resource_id"))

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
