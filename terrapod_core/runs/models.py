"""Tables: runs, their phases (the plan and the apply), the text a phase prints, and what happened to a run."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from sqlalchemy import ForeignKey, Index, false, text
from sqlalchemy.orm import Mapped, mapped_column

from terrapod_core.db import Base, Sealed
from terrapod_core.errors import InvalidTransition
from terrapod_core.runs.status import ALLOWED, CANCELABLE, CONFIRMABLE, DISCARDABLE, FINAL, Cancel, PhaseStatus, RunStatus
from terrapod_core.secrets import SEALED
from terrapod_core.storage.named import NAMED
from terrapod_core.storage.objects import ObjectKind

KEPT_HANDLE: Final = text("handle IS NOT NULL AND finished_at IS NOT NULL")
"""Of which phases something is still to be put away."""

KEPT_LOG: Final = text("log_removed_at IS NULL AND log_size > 0")
KEPT_PLAN: Final = text("coalesce(plan_file_key, plan_json_key, provider_schemas_key) IS NOT NULL")
"""Which phases have something that retention may remove, in the words of the indices that find them."""


BY_HAND: Final = ("manual", "retry", "vcs")
"""Why runs are made that a person asked for, or that bring in what a person changed (`trigger_reason`)."""

ASSESSING: Final = text("trigger_reason NOT IN ('manual', 'retry', 'vcs')")
"""Runs made for any other reason, in the words of the index that finds them."""


class Run(Base):
    """One request to plan, and perhaps to apply, a configuration on a workspace. Its inputs never change after creation."""

    __tablename__ = "runs"
    __table_args__ = (
        # Of lists: in their order, and what narrows them unless they are asked otherwise told by the index.
        Index("ix_runs_workspace", "workspace_id", "created_at", "id", "plan_only"),
        Index("ix_runs_workspace_status", "workspace_id", "status", "created_at", "id"),
        Index("ix_runs_newest", "created_at", "id", "workspace_id", "plan_only"),
        Index("ix_runs_status", "status", "created_at"),
        Index("ix_runs_created_by_id", "created_by_id", "status"),
        Index("ix_runs_assessing", "workspace_id", sqlite_where=ASSESSING, postgresql_where=ASSESSING),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspaces.id", ondelete="CASCADE"))
    configuration_version_id: Mapped[str]
    plan_id: Mapped[str]
    apply_id: Mapped[str]
    status: Mapped[str]
    message: Mapped[str]
    source: Mapped[str]
    trigger_reason: Mapped[str]
    is_destroy: Mapped[bool]
    refresh: Mapped[bool]
    refresh_only: Mapped[bool]
    plan_only: Mapped[bool]
    save_plan: Mapped[bool]
    auto_apply: Mapped[bool]
    allow_empty_apply: Mapped[bool]
    allow_config_generation: Mapped[bool]
    target_addrs: Mapped[list[str]]
    replace_addrs: Mapped[list[str]]
    variables: Mapped[bytes | None] = mapped_column(Sealed)
    """Run variables (`-var`), sealed: a JSON list of `{key, value}` whose values are HCL expressions."""
    terraform_version: Mapped[str]
    """What was asked for until the plan has begun, then the exact version that made it."""
    engine: Mapped[str | None]
    """`terraform` or `tofu`, once the plan has begun."""
    has_changes: Mapped[bool] = mapped_column(default=False)
    state_serial: Mapped[int | None]
    """Serial of the state the plan was made from; `None` for none."""
    state_lineage: Mapped[str | None]
    input_state_version_id: Mapped[str | None]
    """The state version the plan was made from."""
    trusted: Mapped[bool]
    """Whether what it executes came from somebody with the level write; any other run is plan-only for ever."""
    of_fork: Mapped[bool] = mapped_column(default=False, server_default=false())
    """Whether what it executes is of somebody who may not push to the workspace's repository: it gets no secret, no state, nothing."""
    created_by_id: Mapped[str | None]
    confirmed_by_id: Mapped[str | None]
    canceled_by_id: Mapped[str | None]
    held_for: Mapped[str | None]
    """Why no runner has it though one is free: `no_isolation`, or what a runner backend said that could not start it then.

    Cleared when it is launched.
    """
    failure: Mapped[str | None]
    """Why it errored, when the log cannot say it."""
    status_timestamps: Mapped[dict[str, str]]
    created_at: Mapped[datetime]
    canceled_at: Mapped[datetime | None]
    force_cancel_available_at: Mapped[datetime | None]

    def move_to(self, status: RunStatus, now: datetime) -> None:
        """The only writer of `status`; stamps the moment. Raises `InvalidTransition` for a step the table does not have."""
        if status not in ALLOWED[RunStatus(self.status)]:
            raise InvalidTransition(f"a run that is {self.status} cannot become {status}")
        self.status = status
        stamp = f"{status.value.replace('_', '-')}-at"
        self.status_timestamps = {**self.status_timestamps, stamp: now.strftime("%Y-%m-%dT%H:%M:%SZ")}

    @property
    def is_final(self) -> bool:
        """Whether it will never move again."""
        return self.status in FINAL

    @property
    def assesses(self) -> bool:
        """Whether its plan is a look at the world that nobody took by hand, at all of it, by a configuration that can be believed."""
        by_itself = self.trigger_reason not in BY_HAND
        return by_itself and self.refresh and not self.target_addrs and self.trusted and not self.of_fork

    @property
    def holds_workspace(self) -> bool:
        """Whether this run takes the workspace for itself before it plans; plan-only runs and saved plans run beside others."""
        return not (self.plan_only or self.save_plan)

    @property
    def is_confirmable(self) -> bool:
        """Whether its state allows a confirmation."""
        return self.status in CONFIRMABLE and (self.has_changes or self.allow_empty_apply)

    @property
    def is_discardable(self) -> bool:
        """Whether its state allows to discard it."""
        return self.status in DISCARDABLE

    @property
    def is_cancelable(self) -> bool:
        """Whether its state allows to cancel it, and nobody has."""
        return self.status in CANCELABLE and self.canceled_at is None

    def is_force_cancelable(self, now: datetime) -> bool:
        """Whether a cancel has had its time and did not end it."""
        return not self.is_final and self.force_cancel_available_at is not None and now >= self.force_cancel_available_at


class Phase(Base):
    """A plan or an apply: one execution of terraform by one runner."""

    __tablename__ = "phases"
    __table_args__ = (
        Index("ix_phases_queue", "status", "kind", "queued_at"),
        Index("ix_phases_run", "run_id"),
        Index("ix_phases_launched_at", "launched_at"),
        Index("ix_phases_listener_id", "listener_id", "finished_at"),
        Index("ix_phases_kept_handle", "run_id", sqlite_where=KEPT_HANDLE, postgresql_where=KEPT_HANDLE),
        Index("ix_phases_old_logs", "finished_at", sqlite_where=KEPT_LOG, postgresql_where=KEPT_LOG),
        Index("ix_phases_old_plans", "finished_at", sqlite_where=KEPT_PLAN, postgresql_where=KEPT_PLAN),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"))
    kind: Mapped[str]
    """`plan` or `apply`."""
    status: Mapped[str]
    epoch: Mapped[int] = mapped_column(default=0)
    """Grows with each launch and loss; a runner of an older epoch can change nothing."""
    launches: Mapped[int] = mapped_column(default=0)
    lease_expires_at: Mapped[datetime | None]
    """Set while a runner has it (or is being started)."""
    listener_id: Mapped[str | None]
    """To whom it was given last; `None` for one that the server launched itself."""
    backend: Mapped[str | None]
    place: Mapped[str | None]
    """Where its backend launched it, for one that stays in place; `None` also for what was launched before that was noted."""
    handle: Mapped[dict[str, Any] | None]
    claimed_by: Mapped[str | None]
    cancel: Mapped[str] = mapped_column(default=Cancel.NONE.value)
    queued_at: Mapped[datetime | None]
    launched_at: Mapped[datetime | None]
    """When a runner was last started for it; by this the turns of those who wait are counted."""
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    has_changes: Mapped[bool] = mapped_column(default=False)
    generated_configuration: Mapped[bool] = mapped_column(default=False)
    structured_output: Mapped[bool] = mapped_column(default=False)
    """Whether its log is terraform's JSON lines, as was decided when it was claimed."""
    additions: Mapped[int] = mapped_column(default=0)
    changes: Mapped[int] = mapped_column(default=0)
    destructions: Mapped[int] = mapped_column(default=0)
    imports: Mapped[int] = mapped_column(default=0)
    log_head: Mapped[int] = mapped_column(default=0)
    """Bytes that the server put before the runner's text (STX, a line about waiting)."""
    log_size: Mapped[int] = mapped_column(default=0)
    """All bytes of the log so far, ETX included once it has ended."""
    log_key: Mapped[str | None]
    """Where the finished log lies in the store; until then it lies in `log_chunks`."""
    plan_file_key: Mapped[str | None]
    plan_file_digest: Mapped[str | None]
    plan_json_key: Mapped[str | None]
    provider_schemas_key: Mapped[str | None]
    log_removed_at: Mapped[datetime | None]
    """When retention removed the log."""
    plan_removed_at: Mapped[datetime | None]
    """When retention removed the plan file, the plan's JSON and the schemas."""
    report_digest: Mapped[str | None]
    """SHA-256 of the accepted report, so that its repetition is recognised."""
    mirror_failure: Mapped[str | None]
    """What a mirror of this server refused or could not bring while the phase went on, in a sentence; the last of them."""

    @property
    def is_final(self) -> bool:
        """Whether it has ended."""
        return self.finished_at is not None

    @property
    def timestamps(self) -> dict[str, datetime]:
        """`status-timestamps`: only the moments that were reached."""
        moments = {"queued-at": self.queued_at, "started-at": self.started_at}
        if self.finished_at is not None:
            names = {PhaseStatus.FINISHED: "finished-at", PhaseStatus.ERRORED: "errored-at", PhaseStatus.CANCELED: "canceled-at"}
            moments[names.get(PhaseStatus(self.status), "finished-at")] = self.finished_at
        return {name: moment for name, moment in moments.items() if moment is not None}


class LogChunk(Base):
    """A stretch of a running phase's log, as it came."""

    __tablename__ = "log_chunks"

    phase_id: Mapped[str] = mapped_column(ForeignKey("phases.id", ondelete="CASCADE"), primary_key=True)
    start: Mapped[int] = mapped_column(primary_key=True)
    size: Mapped[int]
    data: Mapped[bytes] = mapped_column(Sealed)


class RunEvent(Base):
    """One thing that happened to a run, for people."""

    __tablename__ = "run_events"
    __table_args__ = (Index("ix_run_events_run", "run_id", "created_at"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"))
    action: Mapped[str]
    description: Mapped[str]
    actor_id: Mapped[str | None]
    comment_id: Mapped[str | None]
    """What was said with it."""
    created_at: Mapped[datetime]


class Comment(Base):
    """What somebody said about a run, alone or with an action; a run event tells of each."""

    __tablename__ = "comments"
    __table_args__ = (Index("ix_comments_run", "run_id", "created_at"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"))
    run_event_id: Mapped[str]
    body: Mapped[str]
    actor_id: Mapped[str | None]
    created_at: Mapped[datetime]


SEALED.add(Run, "variables", "runs.variables")
SEALED.add(LogChunk, "data", "log_chunks.data", row="{phase_id}/{start}")
NAMED.add(ObjectKind.LOG, Phase, "log_key")
NAMED.add(ObjectKind.PLAN_FILE, Phase, "plan_file_key")
NAMED.add(ObjectKind.PLAN_JSON, Phase, "plan_json_key")
NAMED.add(ObjectKind.PROVIDER_SCHEMAS, Phase, "provider_schemas_key")
