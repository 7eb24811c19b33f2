"""How runs end without a runner's word, and their phases with them."""

from __future__ import annotations

from terrapod_core import audit
from terrapod_core.authz import SYSTEM
from terrapod_core.db import UnitOfWork
from terrapod_core.runs import queue
from terrapod_core.runs.freshness import state_moved
from terrapod_core.runs.history import note
from terrapod_core.runs.logs import Logs
from terrapod_core.runs.models import Phase, Run
from terrapod_core.runs.status import PhaseStatus, RunStatus


async def end_phases(uow: UnitOfWork, logs: Logs, run: Run, status: PhaseStatus) -> None:
    """End what has not ended of a run: the phase that was next becomes `status`, one that never will be is unreachable."""
    first = True
    for phase_id in (run.plan_id, run.apply_id):
        phase = await uow.session.get_one(Phase, phase_id, with_for_update=True)
        if phase.is_final:
            continue
        phase.status = (status if first else PhaseStatus.UNREACHABLE).value
        phase.finished_at = uow.now()
        phase.lease_expires_at = None
        if first and phase.log_size:
            logs.close(uow, phase)
        first = False


async def give_up_if_stale(uow: UnitOfWork, logs: Logs, run: Run) -> None:
    """Discard a saved plan that was made from a state which is no longer the workspace's: nobody could confirm it any more."""
    moved = await uow.run(lambda session: state_moved(session, run))
    if moved is None:
        return
    queue.move(uow, run, RunStatus.DISCARDED)
    await end_phases(uow, logs, run, PhaseStatus.UNREACHABLE)
    note(uow, run, "discarded", f"the saved plan was discarded: {moved}")
    audit.record(uow, SYSTEM, "run.discard", "runs", run.id, reason=moved)
