"""Reads over runs. A run is shown together with its workspace, whose owner decides who sees it and whose lock it may wait for."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, TypeVarTuple

from sqlalchemy import Row, Select, and_, exists, func, or_, select
from sqlalchemy.orm import Session, aliased

from terrapod_core.agents.standing import standing
from terrapod_core.authz import Actor, Authorizer, GuardKind, Permission, visibility
from terrapod_core.db import SETTLES, SettledCounts
from terrapod_core.jsonapi import Page, PageRequest
from terrapod_core.runs import turns, waiting
from terrapod_core.runs.filters import RunFilters
from terrapod_core.runs.models import Comment, Phase, Run, RunEvent
from terrapod_core.runs.status import FINAL, RUNNING, RunStatus
from terrapod_core.runs.waiting import PoolView, WaitingOn
from terrapod_core.workspaces import Workspace
from terrapod_core.workspaces.models import GUARD

NEWEST: Final = (Run.created_at.desc(), Run.id.desc())

Columns = TypeVarTuple("Columns")

WAITING: Final = (RunStatus.PENDING.value, RunStatus.PLAN_QUEUED.value, RunStatus.APPLY_QUEUED.value)


@dataclass(frozen=True)
class RunView:
    """A run as it is shown."""

    run: Run
    workspace: Workspace
    launched: bool
    """Whether a runner has its queued phase already."""
    running: int = 0
    """How many phases the server's own runner has."""
    pool: PoolView | None = None
    """The pool whose listener it waits for."""
    event_ids: tuple[str, ...] = ()
    comment_ids: tuple[str, ...] = ()
    position: int = 0
    """How many runs are carried out at the moment or will be before this one; 0 when it does not wait for a runner."""
    variables: tuple[dict[str, str | None], ...] = ()
    """Run variables; their values for those who may write, `None` for others."""

    @property
    def id(self) -> str:
        """The run's id."""
        return self.run.id

    @property
    def waiting_on(self) -> WaitingOn | None:
        """What it waits for; `None` while it is running or ended."""
        return waiting.waiting_on(self.run, self.workspace, launched=self.launched, running=self.running, pool=self.pool)


_AT_WORK = aliased(Phase)

_LAUNCHED = (
    select(Phase.id)
    .where(Phase.run_id == Run.id, Phase.lease_expires_at.is_not(None), Phase.finished_at.is_(None))
    .exists()
    .label("launched")
)


_RUNNING = (
    select(func.count())
    .select_from(_AT_WORK)
    .where(_AT_WORK.status.in_(turns.LIVE), _AT_WORK.lease_expires_at.is_not(None), _AT_WORK.listener_id.is_(None))
    .scalar_subquery()
    .label("running")
)


def _shown() -> Select[Run, Workspace, bool, int]:
    query = select(Run, Workspace, _LAUNCHED, _RUNNING).join(Workspace, Workspace.id == Run.workspace_id)
    return query.where(Workspace.deleted_at.is_(None))


def _views(session: Session, rows: Iterable[Row[Run, Workspace, bool, int]], now: datetime) -> list[RunView]:
    found = list(rows)
    pools = pool_views(session, {pool for run, workspace, launched, _running in found if (pool := _awaited(run, workspace, launched))}, now)
    return [
        RunView(run, workspace, bool(launched), int(running), pool=pools.get(_awaited(run, workspace, launched) or ""))
        for run, workspace, launched, running in found
    ]


def _awaited(run: Run, workspace: Workspace, launched: bool) -> str | None:
    """The pool whose listener a run waits for."""
    return workspace.agent_pool_id if run.status in WAITING and not launched else None


def pool_views(session: Session, pool_ids: Collection[str], now: datetime) -> dict[str, PoolView]:
    """How busy these pools are; two queries for all of them, and none for none."""
    if not pool_ids:
        return {}
    counted = select(Workspace.agent_pool_id, func.count()).select_from(Phase).join(Run, Run.id == Phase.run_id)
    counted = counted.join(Workspace, Workspace.id == Run.workspace_id).where(
        Workspace.agent_pool_id.in_(pool_ids), Phase.status.in_(turns.LIVE)
    )
    counted = counted.where(Phase.lease_expires_at.is_not(None)).group_by(Workspace.agent_pool_id)
    at_work: dict[str | None, int] = {row[0]: row[1] for row in session.execute(counted)}
    return {pool_id: PoolView(each, at_work.get(pool_id, 0)) for pool_id, each in standing(session, pool_ids, now).items()}


def by_id(session: Session, run_id: str, now: datetime) -> RunView | None:
    """One run with all there is to show."""
    row = session.execute(_shown().where(Run.id == run_id)).one_or_none()
    if row is None:
        return None
    events = session.execute(
        select(RunEvent.id, RunEvent.comment_id).where(RunEvent.run_id == run_id).order_by(RunEvent.created_at, RunEvent.id)
    ).all()
    comments = tuple(event.comment_id for event in events if event.comment_id is not None)
    (view,) = _views(session, [row], now)
    ids = tuple(event.id for event in events)
    return replace(view, event_ids=ids, comment_ids=comments, position=position(session, row[0], now))


def by_ids(session: Session, actor: Actor, authz: Authorizer, ids: Sequence[str], now: datetime) -> list[RunView]:
    """Those of the runs that the actor may see."""
    rows = session.execute(_shown().where(Run.id.in_(ids)))
    return _views(session, (row for row in rows if authz.allows(actor, Permission.RUN_READ, row[1])), now)


def of_phase(session: Session, phase_id: str, now: datetime) -> tuple[Phase, RunView] | None:
    """A plan or apply and its run."""
    phase = session.get(Phase, phase_id)
    if phase is None:
        return None
    view = by_id(session, phase.run_id, now)
    return (phase, view) if view is not None else None


def phases(session: Session, ids: Sequence[str]) -> list[tuple[Phase, Workspace]]:
    """Phases with the workspace that guards them."""
    query = select(Phase, Workspace).join(Run, Run.id == Phase.run_id).join(Workspace, Workspace.id == Run.workspace_id)
    query = query.where(Phase.id.in_(ids), Workspace.deleted_at.is_(None))
    return [(row[0], row[1]) for row in session.execute(query)]


def position(session: Session, run: Run, now: datetime) -> int:
    """How many runs are carried out or will be before this one, as `runs/queue` counts them; 0 for one that does not wait."""
    if run.status not in WAITING:
        return 0
    if run.status == RunStatus.PENDING:
        return _before_pending(session, run)
    running, ids = turns.order_of_service(session, now)
    return running + ids.index(run.id) if run.id in ids else 0


def _before_pending(session: Session, run: Run) -> int:
    """The same without putting anybody in order: everything that runs or is queued goes before whatever is pending."""
    older = or_(Run.created_at < run.created_at, and_(Run.created_at == run.created_at, Run.id < run.id))
    going = Run.status.in_((*RUNNING, RunStatus.PLAN_QUEUED.value, RunStatus.APPLY_QUEUED.value))
    before = or_(going, and_(Run.status == RunStatus.PENDING.value, older))
    return session.execute(select(func.count()).select_from(Run).where(before)).scalar_one()


def page(
    session: Session,
    actor: Actor,
    authz: Authorizer,
    wanted: PageRequest,
    filters: RunFilters,
    now: datetime,
    totals: SettledCounts,
    *,
    workspace_id: str | None = None,
) -> Page[RunView]:
    """Runs, newest first (the CLI counts its place in the queue from that order): of all workspaces that the actor sees, or of
    one that the caller knows it does.
    """
    conditions = filters.conditions(now)
    # The runs before the page are passed over without their rows; only those of the page are read.
    chosen = _listed(actor, authz, select(Run.id), workspace_id, filters).where(*conditions)
    chosen_ids = chosen.order_by(*NEWEST).limit(wanted.size).offset(wanted.offset).subquery()
    rows = session.execute(_shown().join(chosen_ids, chosen_ids.c.id == Run.id).order_by(*NEWEST))
    items = _views(session, rows, now)

    def count(since: datetime | None, before: datetime | None) -> int:
        query = _listed(actor, authz, select(func.count()).select_from(Run), workspace_id, filters).where(*conditions)
        query = query.where(Run.created_at >= since) if since is not None else query
        query = query.where(Run.created_at < before) if before is not None else query
        return session.execute(query).scalar_one()

    if filters != RunFilters():
        return Page(items=items, number=wanted.number, size=wanted.size, total=count(None, None))
    key: Hashable = workspace_id
    if workspace_id is None:
        generation = visibility.generation(session, GuardKind.WORKSPACE)
        key = (actor.user_id, actor.platform, actor.roles.key, actor.scope, generation)
    return Page(items=items, number=wanted.number, size=wanted.size, total=totals.total(key, now - SETTLES, count))


def _listed(actor: Actor, authz: Authorizer, query: Select[*Columns], workspace_id: str | None, filters: RunFilters) -> Select[*Columns]:
    """Narrowed to what the list may show, with a look at each run's workspace only where it decides: few are deleted."""
    if workspace_id is not None:
        query = query.where(Run.workspace_id == workspace_id)
        return query if not filters.workspace_names else query.join(Workspace, Workspace.id == Run.workspace_id)
    if actor.reads_everything and not filters.workspace_names:
        return query.where(Run.workspace_id.not_in(select(Workspace.id).where(Workspace.deleted_at.is_not(None))))
    joined = query.join(Workspace, Workspace.id == Run.workspace_id).where(Workspace.deleted_at.is_(None))
    return authz.visible(joined, actor, GUARD)


def queue(session: Session, actor: Actor, authz: Authorizer, wanted: PageRequest, now: datetime) -> Page[RunView]:
    """The waiting runs that the actor sees, in the order in which they will be served. Their positions count everybody's:
    terraform tells people the difference of a position and `capacity.running`.
    """
    running, ids = turns.order_of_service(session, now)
    positions = {run_id: running + index for index, run_id in enumerate(ids)}
    of_actor = select(Run.id).join(Workspace, Workspace.id == Run.workspace_id)
    of_actor = of_actor.where(Run.status.in_(WAITING), Workspace.deleted_at.is_(None))
    seen = set(session.execute(authz.visible(of_actor, actor, GUARD)).scalars())
    mine = [run_id for run_id in ids if run_id in seen]
    chosen = mine[wanted.offset : wanted.offset + wanted.size]
    found = {view.id: view for view in _views(session, session.execute(_shown().where(Run.id.in_(chosen))), now)}
    items = [replace(found[each], position=positions[each]) for each in chosen if each in found]
    return Page(items=items, number=wanted.number, size=wanted.size, total=len(mine))


def capacity(session: Session) -> tuple[int, int]:
    """How many runs of the organization wait, and how many are running."""
    statuses = session.execute(select(Run.status, func.count()).where(Run.status.not_in(FINAL)).group_by(Run.status)).all()
    counts = {str(row[0]): int(row[1]) for row in statuses}
    return sum(counts.get(status, 0) for status in WAITING), sum(counts.get(status.value, 0) for status in RUNNING)


def comments(session: Session, run_id: str, wanted: PageRequest) -> Page[Comment]:
    """What was said about a run, oldest first."""
    query = select(Comment).where(Comment.run_id == run_id).order_by(Comment.created_at, Comment.id)
    items = list(session.execute(query.limit(wanted.size).offset(wanted.offset)).scalars())
    return Page(items=items, number=wanted.number, size=wanted.size, total=comments_on(session, run_id))


def comments_on(session: Session, run_id: str) -> int:
    """How many comments a run has."""
    return session.execute(select(func.count()).select_from(Comment).where(Comment.run_id == run_id)).scalar_one()


def comments_by_ids(session: Session, actor: Actor, authz: Authorizer, ids: Sequence[str]) -> list[Comment]:
    """Those of the comments that the actor may see."""
    query = select(Comment, Workspace).join(Run, Run.id == Comment.run_id).join(Workspace, Workspace.id == Run.workspace_id)
    query = query.where(Comment.id.in_(ids), Workspace.deleted_at.is_(None))
    return [row[0] for row in session.execute(query) if authz.allows(actor, Permission.RUN_READ, row[1])]


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


def saved_plans(session: Session, workspace_id: str) -> list[Run]:
    """The workspace's runs whose saved plans wait to be applied, their rows locked."""
    query = select(Run).where(Run.workspace_id == workspace_id, Run.status == RunStatus.PLANNED_AND_SAVED.value)
    return list(session.execute(query.order_by(Run.id).with_for_update()).scalars())


def with_saved_plans(session: Session, workspace_ids: Collection[str]) -> Collection[str]:
    """Those of the workspaces that have some."""
    query = select(Run.workspace_id).where(Run.workspace_id.in_(workspace_ids), Run.status == RunStatus.PLANNED_AND_SAVED.value)
    return set(session.execute(query).scalars())


def unended_of(session: Session, workspace_id: str) -> list[tuple[Run, Phase]]:
    """The phases of a workspace that have not ended, or whose run has not; for putting a deleted workspace away."""
    query = select(Run, Phase).join(Phase, Phase.run_id == Run.id).where(Run.workspace_id == workspace_id)
    return [(row[0], row[1]) for row in session.execute(query.where(or_(Run.status.not_in(FINAL), Phase.finished_at.is_(None))))]


_NAMES_OBJECTS: Final = func.coalesce(Phase.log_key, Phase.plan_file_key, Phase.plan_json_key, Phase.provider_schemas_key).is_not(None)

LEFT: Final = exists().where(Run.workspace_id == Workspace.id, Phase.run_id == Run.id, _NAMES_OBJECTS)
"""Whether a workspace's runs still name objects; for the purge of deleted ones."""


def with_objects(session: Session, workspace_id: str, most: int) -> Sequence[Phase]:
    """Some phases of a workspace that name objects, locked."""
    query = select(Phase).join(Run, Run.id == Phase.run_id).where(Run.workspace_id == workspace_id, _NAMES_OBJECTS)
    return session.execute(query.limit(most).with_for_update(of=Phase)).scalars().all()


def configurations_in_use() -> Select[str]:
    """The ids of the configuration versions that runs need which have not ended, as a query."""
    return select(Run.configuration_version_id).where(Run.status.not_in(FINAL))


def working_with_engine(session: Session, tool: str, version: str) -> Sequence[str]:
    """The ids of runs whose plan or apply works with this engine now, the oldest first."""
    working = Run.status.in_([each.value for each in RUNNING]) & (Run.engine == tool) & (Run.terraform_version == version)
    return session.execute(select(Run.id).where(working).order_by(Run.created_at, Run.id)).scalars().all()


def oldest_phase_at_work(session: Session) -> datetime | None:
    """When the oldest of the phases was launched that runners have now, or are being started for; `None` when there is none."""
    query = select(func.min(func.coalesce(Phase.launched_at, Phase.queued_at)))
    return session.execute(query.where(Phase.status.in_(turns.LIVE), Phase.lease_expires_at.is_not(None))).scalar_one()
