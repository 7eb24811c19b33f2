"""Tables: how far each workspace has followed its repository, the changes it has seen, and comments below pull requests."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import ForeignKey, Index, false, text
from sqlalchemy.orm import Mapped, mapped_column

from terrapod_core.db import Base, JSONValue

_DUE: Final = text("next_try_at IS NOT NULL")
_UNTOLD: Final = text("tell_at IS NOT NULL")


class ChangeKind(StrEnum):
    """What changed."""

    PUSH = "push"
    TAG = "tag"
    PULL = "pull"


class ChangeStatus(StrEnum):
    """How far a change has come."""

    PENDING = "pending"
    """Its files are to be fetched."""
    WAITING = "waiting"
    """It is a fork's, and somebody has to approve it."""
    STORED = "stored"
    """Its files are here; a run is to be started."""
    STARTED = "started"
    """There is a run."""
    SKIPPED = "skipped"
    """No run is wanted; `reason` says why."""
    REFUSED = "refused"
    """It cannot become a run; `reason` says why."""
    SUPERSEDED = "superseded"
    """A newer commit of the same pull request came, or it was closed."""


class Following(Base):
    """How far a workspace has followed its repository."""

    __tablename__ = "vcs_followings"

    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspaces.id", ondelete="CASCADE"), primary_key=True)
    repository_id: Mapped[str]
    branch: Mapped[str]
    """The branch, or the expression for tags, that the rest is about: another one begins anew."""
    sha: Mapped[str | None]
    """The newest commit of the branch that was seen."""
    done_sha: Mapped[str | None]
    """The newest that was dealt with: what has changed since then is what matters for triggers."""
    tags: Mapped[dict[str, str] | None] = mapped_column(JSONValue)
    """The tags that were seen, and their commits."""


class Change(Base):
    """One commit that a workspace has to deal with, once: a push to its branch, a tag, or the head of a pull request."""

    __tablename__ = "vcs_changes"
    __table_args__ = (
        Index("uq_vcs_changes_commit", "workspace_id", "kind", "ref", "sha", unique=True),
        Index("ix_vcs_changes_listed", "workspace_id", "created_at", "id"),
        Index("ix_vcs_changes_sha", "sha"),
        Index("ix_vcs_changes_run_id", "run_id"),
        Index("ix_vcs_changes_updated_at", "updated_at"),
        Index("ix_vcs_changes_pull", "repository_id", "number"),
        Index("ix_vcs_changes_due", "next_try_at", sqlite_where=_DUE, postgresql_where=_DUE),
        Index("ix_vcs_changes_untold", "tell_at", sqlite_where=_UNTOLD, postgresql_where=_UNTOLD),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspaces.id", ondelete="CASCADE"))
    repository_id: Mapped[str]
    kind: Mapped[str]
    ref: Mapped[str]
    """The branch, the tag, or the number of the pull request."""
    sha: Mapped[str]
    before: Mapped[str | None]
    """What it is compared with: the commit before a push, the base branch of a pull request; `None` when everything is new."""
    number: Mapped[int | None]
    """Of the pull request."""
    about: Mapped[dict[str, Any]]
    """What the forge said of a pull request; empty for others."""
    is_fork: Mapped[bool] = mapped_column(default=False, server_default=false())
    first: Mapped[bool] = mapped_column(default=False, server_default=false())
    """Whether the workspace had followed nothing before."""
    open: Mapped[bool] = mapped_column(default=True)
    """For pull requests, whether this is its newest head, and it is open."""
    status: Mapped[str] = mapped_column(default=ChangeStatus.PENDING.value)
    reason: Mapped[str | None]
    approved_by_id: Mapped[str | None]
    approved_at: Mapped[datetime | None]
    configuration_version_id: Mapped[str | None]
    run_id: Mapped[str | None]
    attempts: Mapped[int] = mapped_column(default=0)
    next_try_at: Mapped[datetime | None]
    """When it is to be dealt with next; `None` when nothing is to be done."""
    told: Mapped[str | None]
    """What its commit was told last: the state and its description."""
    tell_at: Mapped[datetime | None]
    """When its commit is to be told; `None` when there is no news."""
    telling_until: Mapped[datetime | None]
    """While a process tells it."""
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class PullComment(Base):
    """The comment below a pull request."""

    __tablename__ = "vcs_pull_comments"

    repository_id: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    comment_id: Mapped[str | None]
    digest: Mapped[str | None]
    """SHA-256 of what it says."""
    busy_until: Mapped[datetime | None]
    """While a process writes it."""
