"""The table of projects."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar, Final

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from terrapod_core.authz import Guard, GuardKind
from terrapod_core.db import Base
from terrapod_core.organizations import DEFAULT_PROJECT_ID
from terrapod_core.projects.execution import Execution, ExecutionMode

DEFAULT_NAME: Final = "Default Project"


class Project(Base):
    """One project. `owner_id` is `None` for the default project, which belongs to nobody and is read by everybody."""

    __tablename__ = "projects"
    __table_args__ = (Index("ix_projects_owner_id", "owner_id"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    # Sorted by bytes on both databases.
    name: Mapped[str] = mapped_column(String(40).with_variant(String(40, collation="C"), "postgresql"), unique=True)
    description: Mapped[str | None]
    owner_id: Mapped[str | None]
    default_execution_mode: Mapped[str] = mapped_column(default=ExecutionMode.REMOTE.value, server_default="remote")
    """What workspaces of it have that say nothing of their own."""
    default_agent_pool_id: Mapped[str | None] = mapped_column(ForeignKey("agent_pools.id", ondelete="RESTRICT"))
    """Set exactly when that is `agent`."""
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]

    guarded_as: ClassVar[GuardKind] = GuardKind.OWNED
    labels: ClassVar[Mapping[str, str | None]] = {}
    workspace_count = 0
    """How many workspaces the one who asked sees in it; set on what `queries` returns, not a column."""

    @property
    def execution(self) -> Execution:
        """What workspaces of it have that say nothing of their own."""
        return Execution(ExecutionMode(self.default_execution_mode), self.default_agent_pool_id)

    @property
    def is_default(self) -> bool:
        """Whether this is the one that always exists."""
        return self.id == DEFAULT_PROJECT_ID


GUARD: Final = Guard(GuardKind.OWNED, Project.id, Project.owner_id)
"""A project is its owner's; who sees a workspace in it sees it too, which `queries` adds."""
