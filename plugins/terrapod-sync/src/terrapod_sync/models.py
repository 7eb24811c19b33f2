"""The plugin's tables."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, MetaData, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from terrapod_core.plugin.columns import COLUMN_TYPES, NAMING

GLOBAL_ID = 1
_UNDER_WAY = text("active_sync_id IS NOT NULL")
_OPEN = text("status = 'open'")
_GOING_ON = text("ended_at IS NULL")


class Base(DeclarativeBase):
    """Of these tables, and no others."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map = COLUMN_TYPES


class GlobalConfig(Base):
    """What is set for all workspaces: one row, there from the first change on."""

    __tablename__ = "sync_global"

    id: Mapped[int] = mapped_column(primary_key=True)
    """Always `GLOBAL_ID`."""
    enabled: Mapped[bool]
    conflict_resolution: Mapped[str]
    """One of `words.ConflictResolution`."""
    edited_by_id: Mapped[str | None]
    edited_at: Mapped[datetime]


class SyncedWorkspace(Base):
    """A workspace's entry in the configuration, and how it stands. Also one whose entry is disabled."""

    __tablename__ = "sync_workspaces"
    __table_args__ = (
        Index("ix_sync_workspaces_due", "next_at"),
        Index("ix_sync_workspaces_under_way", "looked_at", sqlite_where=_UNDER_WAY, postgresql_where=_UNDER_WAY),
    )

    workspace_id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    """As it was put, `production` or `default/production`; shown anew when the workspace is renamed."""
    position: Mapped[int]
    """Where it stands in the document."""
    entry: Mapped[dict[str, Any]]
    """The `WorkspaceConfig`, as `configuration.write` has it."""
    enabled: Mapped[bool]
    """The entry's own word; the global one is asked for beside it."""
    edited_by_id: Mapped[str]
    """Who changed the entry last: what is due by the clock is done in their name."""
    edited_at: Mapped[datetime]
    tick_at: Mapped[datetime | None]
    """The due moment of the schedule that comes next, without jitter; `None` when none comes."""
    next_at: Mapped[datetime | None]
    """When something is done next: the tick and its jitter, or a retry. `None` when nothing is due until somebody acts."""
    rests_until: Mapped[datetime | None]
    """Until when a person wants it left alone."""
    attempts: Mapped[int] = mapped_column(default=0)
    """Failures in a row."""
    active_sync_id: Mapped[str | None]
    """The `Sync` that is under way."""
    looked_at: Mapped[datetime | None]
    """When the one under way was looked at last."""
    status: Mapped[str]
    """One of `words.Status`, but for `disabled`, which follows from the two words `enabled`."""
    last_sync_at: Mapped[datetime | None]
    """When the last one ended."""
    last_run_id: Mapped[str | None]
    has_changes: Mapped[bool | None]
    """Whether the last plan had any; `None` before the first."""
    drifted: Mapped[bool | None]
    """Whether the last plan found that something was changed behind terraform's back."""
    problem: Mapped[str | None]
    """Why the last one failed, in a sentence."""
    problem_code: Mapped[str | None]
    problem_since: Mapped[datetime | None]


class Sync(Base):
    """One time that a workspace was synced, from the decision to do so to its end: the history."""

    __tablename__ = "sync_runs"
    __table_args__ = (
        Index("ix_sync_runs_workspace", "workspace_id", "created_at", "id"),
        Index("ix_sync_runs_run_id", "run_id"),
        Index("ix_sync_runs_ended_at", "ended_at"),
        # However long the history is, what is not over is few.
        Index("ix_sync_runs_going_on", "workspace_id", sqlite_where=_GOING_ON, postgresql_where=_GOING_ON),
        Index("ix_sync_runs_given_up", "workspace_id", sqlite_where=text("given_up = 1"), postgresql_where=text("given_up")),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    """`sync-…`; stands in the run's message, so that a run whose making was not noted is found again."""
    workspace_id: Mapped[str] = mapped_column(ForeignKey("sync_workspaces.workspace_id", ondelete="CASCADE"))
    cause: Mapped[str]
    """`schedule`, `retry`, `manual`, `catch-up` or `resolution`."""
    mode: Mapped[str]
    """One of `policies.Mode`, or `refresh` for one that takes into the state what is there."""
    operations: Mapped[list[str]]
    """What its plan may hold to be applied without a person."""
    acting_id: Mapped[str]
    """In whose name."""
    tick_at: Mapped[datetime | None]
    """The due moment it answers; `None` when a person wanted it."""
    attempt: Mapped[int] = mapped_column(default=0)
    run_id: Mapped[str | None]
    """`None` until the run is made, or when none could be."""
    plan_digest: Mapped[str | None]
    has_changes: Mapped[bool | None]
    drifted: Mapped[bool | None]
    forbidden: Mapped[list[dict[str, Any]]] = mapped_column(default=list)
    """What its plan would do beyond `operations`: `address`, `does`, `needs`."""
    reason: Mapped[str | None]
    """What is forbidden, in words, or why it failed."""
    status: Mapped[str]
    """One of `words.Status`."""
    given_up: Mapped[bool] = mapped_column(default=False)
    """It is over, and its run is still to be discarded: whoever was to do so may have died."""
    created_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]


class Conflict(Base):
    """Something that kept a sync from going on, and what became of it."""

    __tablename__ = "sync_conflicts"
    __table_args__ = (
        Index("ix_sync_conflicts_open", "workspace_id", "kind", unique=True, sqlite_where=_OPEN, postgresql_where=_OPEN),
        Index("ix_sync_conflicts_listed", "created_at", "id"),
        Index("ix_sync_conflicts_resolved_at", "resolved_at"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    """`conflict-…`. Another plan is another conflict: what is resolved is what was shown."""
    workspace_id: Mapped[str] = mapped_column(ForeignKey("sync_workspaces.workspace_id", ondelete="CASCADE"))
    kind: Mapped[str]
    """One of `words.ConflictKind`."""
    sync_id: Mapped[str | None]
    run_id: Mapped[str | None]
    plan_digest: Mapped[str | None]
    detail: Mapped[str]
    steps: Mapped[list[dict[str, Any]]]
    """What is forbidden: `address`, `does`, `needs`."""
    status: Mapped[str]
    """`open`, `resolved`, or `passed` when it went away by itself."""
    resolution: Mapped[str | None]
    """One of `words.Resolution`, or of `words.ConflictResolution` where the configuration decided."""
    resolved_by_id: Mapped[str | None]
    resolved_at: Mapped[datetime | None]
    ignored_until: Mapped[datetime | None]
    resulting_run_id: Mapped[str | None]
    created_at: Mapped[datetime]
