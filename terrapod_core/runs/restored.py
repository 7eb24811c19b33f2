"""What becomes of runs when the installation is restored from a backup.

None goes on. A runner that had one may still be at work for the former installation, and a plan that waited for somebody, or was
confirmed, may have been applied after the backup was made: to carry it out now would do it twice.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from sqlalchemy import select, update

from terrapod_core.db import UnitOfWork
from terrapod_core.runs import queue
from terrapod_core.runs.history import note
from terrapod_core.runs.logs import Logs
from terrapod_core.runs.models import Phase, Run
from terrapod_core.runs.phase_ends import end_phases
from terrapod_core.runs.status import FINAL, PhaseStatus, RunStatus
from terrapod_core.states import divergence
from terrapod_core.workspaces import LockKind, Workspace, Workspaces
from terrapod_core.workspaces.conditions import raise_on

BATCH: Final = 100


async def end_all(uow: UnitOfWork, workspaces: Workspaces, logs: Logs, made_at: datetime) -> int:
    """End every run that had not ended when the backup was made, as errored; free what runs held. How many there were.

    Locks of people stay. Runners lose their leases whatever they had.
    """
    why = f"the server was restored from a backup of {made_at:%Y-%m-%d %H:%M} UTC, made while this run had not ended; start a new run"
    await uow.session.execute(update(Phase).values(epoch=Phase.epoch + 1).where(Phase.lease_expires_at.is_not(None)))
    ended = 0
    while batch := await _unended(uow):
        for run in batch:
            await _end(uow, logs, run, why, made_at)
        ended += len(batch)
        await _settled(uow)
    while held := await _held(uow):
        for workspace in held:
            workspaces.release_from_run(uow, workspace, workspace.lock_holder_id or "")
        await _settled(uow)
    return ended


async def _unended(uow: UnitOfWork) -> list[Run]:
    query = select(Run).where(Run.status.not_in([status.value for status in FINAL])).limit(BATCH)
    return list((await uow.session.execute(query)).scalars())


async def _held(uow: UnitOfWork) -> list[Workspace]:
    query = select(Workspace).where(Workspace.lock_kind == LockKind.RUN.value).limit(BATCH)
    return list((await uow.session.execute(query)).scalars())


async def _settled(uow: UnitOfWork) -> None:
    await uow.flush()
    uow.session.expunge_all()


async def _end(uow: UnitOfWork, logs: Logs, run: Run, why: str, made_at: datetime) -> None:
    for phase_id in (run.plan_id, run.apply_id):
        phase = await uow.session.get_one(Phase, phase_id)
        if phase.status == PhaseStatus.RUNNING.value or (not phase.is_final and phase.log_size):
            phase.status, phase.finished_at, phase.lease_expires_at = PhaseStatus.ERRORED.value, uow.now(), None
            logs.close(uow, phase, f"\nError: {why}\n")
    run.failure = why
    queue.move(uow, run, RunStatus.ERRORED)
    note(uow, run, "errored", why)
    await end_phases(uow, logs, run, PhaseStatus.UNREACHABLE)
    workspace = await uow.session.get(Workspace, run.workspace_id)
    if workspace is not None and not run.plan_only:
        raise_on(uow, workspace, divergence.restored(run.id, made_at, uow.now()))
