"""Which run has the workspace, and which may have it next.

One run at a time holds a workspace: it is the workspace's current run and the workspace is locked by it. Plan-only runs and
saved plans hold nothing and run beside. Whoever calls these functions holds the workspace's row lock, so that two replicas
never admit two runs.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from terrapod_core.db import UnitOfWork
from terrapod_core.metrics.definitions import RUN_TRANSITIONS
from terrapod_core.plugin.events import RunStatusChanged
from terrapod_core.runs import tracing
from terrapod_core.runs.history import note
from terrapod_core.runs.models import Phase, Run
from terrapod_core.runs.status import PhaseStatus, RunStatus
from terrapod_core.workspaces import LockKind, Workspace, Workspaces


def move(uow: UnitOfWork, run: Run, status: RunStatus) -> None:
    """Move a run and tell it."""
    previous = run.status
    run.move_to(status, uow.now())
    uow.then(RUN_TRANSITIONS.labels(previous, status.value).inc)
    tracing.moved(uow, run)
    uow.emit(RunStatusChanged(run_id=run.id, workspace_id=run.workspace_id, status=status.value, previous=previous))


def enqueue(phase: Phase, now: datetime) -> None:
    """Let a runner take the phase."""
    phase.status = PhaseStatus.QUEUED.value
    phase.queued_at = phase.queued_at or now
    phase.lease_expires_at = None
    phase.handle = None
    phase.claimed_by = None


def overlooked(session: Session) -> list[str]:
    """Workspaces that are free although runs wait for them."""
    free = (
        select(Run.workspace_id)
        .join(Workspace, Workspace.id == Run.workspace_id)
        .where(Run.status == RunStatus.PENDING.value, Workspace.lock_kind.is_(None), Workspace.deleted_at.is_(None))
    )
    return list(session.execute(free.distinct()).scalars())


def overdue(session: Session, now: datetime) -> list[str]:
    """Workspaces that a run which is over has kept for its state until now."""
    query = select(Workspace.id).where(Workspace.lock_until <= now, Workspace.deleted_at.is_(None))
    return list(session.execute(query).scalars())


def next_pending(session: Session, workspace_id: str) -> Run | None:
    """The oldest run that waits for the workspace."""
    waiting = (
        select(Run)
        .where(Run.workspace_id == workspace_id, Run.status == RunStatus.PENDING.value, Run.plan_only.is_(False), Run.save_plan.is_(False))
        .order_by(Run.created_at, Run.id)
        .limit(1)
    )
    return session.execute(waiting).scalar_one_or_none()


async def admit(uow: UnitOfWork, workspaces: Workspaces, workspace: Workspace) -> Run | None:
    """Give a free workspace to the run that has waited longest; `None` when it is taken or nobody waits."""
    if workspace.lock_kind == LockKind.RUN:
        return None
    await uow.flush()
    run = await uow.run(lambda session: next_pending(session, workspace.id))
    if run is None:
        return None
    if workspace.lock_kind is not None:
        # A waiting terraform speaks of a manual lock only when the current run of a locked workspace is pending.
        workspaces.set_current_run(uow, workspace, run.id)
        return None
    workspaces.take_for_run(uow, workspace, run.id)
    await start_plan(uow, run)
    return run


async def start_plan(uow: UnitOfWork, run: Run) -> None:
    """Queue the plan of an admitted run."""
    move(uow, run, RunStatus.PLAN_QUEUED)
    note(uow, run, "plan-queued", "the plan is queued for a runner")
    enqueue(await uow.session.get_one(Phase, run.plan_id), uow.now())


async def start_apply(uow: UnitOfWork, run: Run) -> None:
    """Queue the apply of a run that is confirmed, or was confirmed by `auto_apply`."""
    move(uow, run, RunStatus.CONFIRMED)
    move(uow, run, RunStatus.APPLY_QUEUED)
    enqueue(await uow.session.get_one(Phase, run.apply_id), uow.now())


async def release(uow: UnitOfWork, workspaces: Workspaces, workspace: Workspace, run: Run) -> Run | None:
    """Let go of the workspace after a run has ended, and admit the next."""
    workspaces.release_from_run(uow, workspace, run.id)
    return await admit(uow, workspaces, workspace)
