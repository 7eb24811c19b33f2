"""Reads over runs. A run is shown together with its workspace, whose owner decides who sees it and whose lock it may wait for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, and_, func, or_, select
from sqlalchemy.orm import Session

from terrapod_core.authz import Actor, Authorizer, Permission
from terrapod_core.jsonapi import Page, PageRequest
from terrapod_core.runs.models import Phase, Run, RunEvent
from terrapod_core.runs.status import FINAL, RUNNING, PhaseStatus, RunStatus
from terrapod_core.workspaces import Workspace
from terrapod_core.workspaces.models import GUARD

WAITING: Final = (RunStatus.PENDING.value, RunStatus.PLAN_QUEUED.value, RunStatus.APPLY_QUEUED.value)


@dataclass(frozen=True)
class WaitingOn:
    """Why a run does not go on by itself."""

    code: str
    detail: str
    since: datetime


@dataclass(frozen=True)
class RunView:
    """A run as it is shown."""

    run: Run
    workspace: Workspace
    launched: bool
    """Whether a runner has its queued phase already."""
    event_ids: tuple[str, ...] = ()
    position: int = 0
    variables: tuple[dict[str, str | None], ...] = ()
    """Run variables; their values for those who may write, `None` for others."""

    @property
    def id(self) -> str:
        """The run's id."""
        return self.run.id

    @property
    def waiting_on(self) -> WaitingOn | None:
        """What it waits for; `None` while it is running or ended."""
        run, workspace = self.run, self.workspace
        if run.status == RunStatus.PENDING:
            if workspace.lock_kind == "user":
                why = f": {workspace.lock_reason}" if workspace.lock_reason else ""
                detail = f"the workspace is locked by {workspace.lock_holder_name}{why}"
                return WaitingOn("workspace_locked", detail, workspace.locked_at or run.created_at)
            return WaitingOn("queued_behind", f"{workspace.current_run_id or 'an earlier run'} has the workspace", run.created_at)
        if run.status in (RunStatus.PLAN_QUEUED, RunStatus.APPLY_QUEUED) and not self.launched:
            return WaitingOn("concurrency", "every runner of this server is busy", _reached(run, run.status))
        if run.status == RunStatus.PLANNED or (run.status == RunStatus.PLANNED_AND_SAVED and run.is_confirmable):
            return WaitingOn("approval", "somebody has to confirm or discard the plan", _reached(run, run.status))
        return None


def _reached(run: Run, status: str) -> datetime:
    stamp = run.status_timestamps.get(f"{status.replace('_', '-')}-at")
    return datetime.fromisoformat(stamp) if stamp else run.created_at


_LAUNCHED = (
    select(Phase.id)
    .where(Phase.run_id == Run.id, Phase.lease_expires_at.is_not(None), Phase.finished_at.is_(None))
    .exists()
    .label("launched")
)


def _shown() -> Select[Run, Workspace, bool]:
    return select(Run, Workspace, _LAUNCHED).join(Workspace, Workspace.id == Run.workspace_id).where(Workspace.deleted_at.is_(None))


def by_id(session: Session, run_id: str) -> RunView | None:
    """One run with all there is to show."""
    row = session.execute(_shown().where(Run.id == run_id)).one_or_none()
    if row is None:
        return None
    events = tuple(
        session.execute(select(RunEvent.id).where(RunEvent.run_id == run_id).order_by(RunEvent.created_at, RunEvent.id)).scalars()
    )
    return RunView(row[0], row[1], bool(row[2]), events, position(session, row[0]))


def by_ids(session: Session, actor: Actor, authz: Authorizer, ids: Sequence[str]) -> list[RunView]:
    """Those of the runs that the actor may see."""
    rows = session.execute(_shown().where(Run.id.in_(ids)))
    return [RunView(row[0], row[1], bool(row[2])) for row in rows if authz.allows(actor, Permission.RUN_READ, row[1])]


def of_phase(session: Session, phase_id: str) -> tuple[Phase, RunView] | None:
    """A plan or apply and its run."""
    phase = session.get(Phase, phase_id)
    if phase is None:
        return None
    view = by_id(session, phase.run_id)
    return (phase, view) if view is not None else None


def phases(session: Session, ids: Sequence[str]) -> list[tuple[Phase, Workspace]]:
    """Phases with the workspace that guards them."""
    query = select(Phase, Workspace).join(Run, Run.id == Phase.run_id).join(Workspace, Workspace.id == Run.workspace_id)
    query = query.where(Phase.id.in_(ids), Workspace.deleted_at.is_(None))
    return [(row[0], row[1]) for row in session.execute(query)]


def position(session: Session, run: Run) -> int:
    """How many runs are served before this one: those of its workspace while it is pending, those of the server when it is queued."""
    if run.status == RunStatus.PENDING:
        ahead = and_(
            Run.workspace_id == run.workspace_id, Run.status.not_in(FINAL), Run.plan_only.is_(False), Run.save_plan.is_(False), _older(run)
        )
    elif run.status in WAITING:
        ahead = and_(Run.status == run.status, _older(run))
    else:
        return 0
    return session.execute(select(func.count()).select_from(Run).where(ahead)).scalar_one()


def _older(run: Run) -> ColumnElement[bool]:
    return or_(Run.created_at < run.created_at, and_(Run.created_at == run.created_at, Run.id < run.id))


@dataclass(frozen=True)
class RunFilters:
    """How a list of runs is narrowed; empty sequences narrow nothing."""

    statuses: Sequence[str] = ()
    operations: Sequence[str] = ()
    sources: Sequence[str] = ()
    workspace_names: Sequence[str] = ()
    text: str | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """As SQL."""
        found: list[ColumnElement[bool]] = []
        if self.statuses:
            found.append(Run.status.in_(self.statuses))
        if self.sources:
            found.append(Run.source.in_(self.sources))
        if self.workspace_names:
            found.append(Workspace.name.in_(self.workspace_names))
        if self.text:
            escaped = self.text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
            found.append(or_(Run.id == self.text, Run.message.like(f"%{escaped}%", escape="\\")))
        # go-tfe: plan-only runs are left out unless the operation filter names them.
        wanted = [_OPERATIONS[operation] for operation in self.operations if operation in _OPERATIONS]
        found.append(or_(*wanted) if wanted else Run.plan_only.is_(False))
        return found


_OPERATIONS: Final[dict[str, ColumnElement[bool]]] = {
    "plan_only": Run.plan_only.is_(True),
    "plan_and_apply": and_(Run.plan_only.is_(False), Run.save_plan.is_(False), Run.is_destroy.is_(False), Run.refresh_only.is_(False)),
    "save_plan": Run.save_plan.is_(True),
    "refresh_only": Run.refresh_only.is_(True),
    "destroy": Run.is_destroy.is_(True),
    "empty_apply": Run.allow_empty_apply.is_(True),
}


def page(
    session: Session, actor: Actor, authz: Authorizer, wanted: PageRequest, filters: RunFilters, *, workspace_id: str | None = None
) -> Page[RunView]:
    """Runs, newest first (the CLI counts its place in the queue from that order): of all workspaces that the actor sees, or of
    one that the caller knows it does.
    """
    conditions = filters.conditions()
    counted = select(func.count()).select_from(Run).join(Workspace, Workspace.id == Run.workspace_id)
    counted = counted.where(Workspace.deleted_at.is_(None), *conditions)
    rows = _shown().where(*conditions)
    if workspace_id is not None:
        counted, rows = counted.where(Run.workspace_id == workspace_id), rows.where(Run.workspace_id == workspace_id)
    else:
        counted, rows = authz.visible(counted, actor, GUARD), authz.visible(rows, actor, GUARD)
    rows = rows.order_by(Run.created_at.desc(), Run.id.desc()).limit(wanted.size).offset(wanted.offset)
    items = [RunView(row[0], row[1], bool(row[2])) for row in session.execute(rows)]
    return Page(items=items, number=wanted.number, size=wanted.size, total=session.execute(counted).scalar_one())


def queue(session: Session, actor: Actor, authz: Authorizer, wanted: PageRequest) -> Page[RunView]:
    """The runs that wait, in the order in which they will be served, with their positions."""
    waiting = Run.status.in_(WAITING)
    counted = select(func.count()).select_from(Run).join(Workspace, Workspace.id == Run.workspace_id).where(waiting)
    rows = authz.visible(_shown().where(waiting), actor, GUARD).order_by(Run.created_at, Run.id)
    found = session.execute(rows.limit(wanted.size).offset(wanted.offset)).all()
    items = [RunView(row[0], row[1], bool(row[2]), position=wanted.offset + index + 1) for index, row in enumerate(found)]
    total = session.execute(authz.visible(counted, actor, GUARD)).scalar_one()
    return Page(items=items, number=wanted.number, size=wanted.size, total=total)


def capacity(session: Session) -> tuple[int, int]:
    """How many runs of the organization wait, and how many are running."""
    statuses = session.execute(select(Run.status, func.count()).where(Run.status.not_in(FINAL)).group_by(Run.status)).all()
    counts = {str(row[0]): int(row[1]) for row in statuses}
    return sum(counts.get(status, 0) for status in WAITING), sum(counts.get(status.value, 0) for status in RUNNING)


def events(session: Session, run_id: str) -> list[RunEvent]:
    """What happened to a run, oldest first."""
    return list(session.execute(select(RunEvent).where(RunEvent.run_id == run_id).order_by(RunEvent.created_at, RunEvent.id)).scalars())


def events_by_ids(session: Session, actor: Actor, authz: Authorizer, ids: Sequence[str]) -> list[RunEvent]:
    """Those of the events that the actor may see."""
    query = select(RunEvent, Workspace).join(Run, Run.id == RunEvent.run_id).join(Workspace, Workspace.id == Run.workspace_id)
    query = query.where(RunEvent.id.in_(ids), Workspace.deleted_at.is_(None))
    return [row[0] for row in session.execute(query) if authz.allows(actor, Permission.RUN_READ, row[1])]


def ids_with_status(statuses: Sequence[str]) -> Select[Any]:
    """The ids of runs in one of these statuses, for a filter of workspaces."""
    return select(Run.id).where(Run.status.in_(statuses))


def workspace_of(session: Session, run_id: str) -> str | None:
    """The id of the run's workspace; `None` for an unknown run."""
    return session.execute(select(Run.workspace_id).where(Run.id == run_id)).scalar_one_or_none()


def configuration_in_use(session: Session, version_id: str) -> bool:
    """Whether a run that has not ended needs this configuration version."""
    live = select(Run.id).where(Run.configuration_version_id == version_id, Run.status.not_in(FINAL)).limit(1)
    return session.execute(live).first() is not None


def of_workspace(session: Session, workspace_id: str) -> list[tuple[Run, Phase]]:
    """Every phase of a workspace with its run; for putting a deleted workspace away."""
    query = select(Run, Phase).join(Phase, Phase.run_id == Run.id).where(Run.workspace_id == workspace_id)
    return [(row[0], row[1]) for row in session.execute(query)]


def launchable(session: Session) -> list[Phase]:
    """Queued phases nobody has, applies before plans, then the oldest."""
    query = (
        select(Phase)
        .where(Phase.status == PhaseStatus.QUEUED.value, Phase.lease_expires_at.is_(None))
        .order_by(Phase.kind, Phase.queued_at, Phase.id)
        .limit(50)
    )
    return list(session.execute(query).scalars())


def launched(session: Session) -> list[Phase]:
    """Phases that some runner has, or should have."""
    live = (PhaseStatus.QUEUED.value, PhaseStatus.RUNNING.value)
    return list(session.execute(select(Phase).where(Phase.status.in_(live), Phase.lease_expires_at.is_not(None))).scalars())
