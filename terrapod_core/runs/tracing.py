"""The trace of a run: how long its phases waited, each try at one, and the run itself. Each part is told once it is over and committed."""

from __future__ import annotations

from functools import partial

from terrapod_core import traces
from terrapod_core.db import UnitOfWork
from terrapod_core.runs.models import Phase, Run
from terrapod_core.runs.status import RunStatus


def waited(uow: UnitOfWork, run: Run, phase: Phase) -> None:
    """A runner takes the phase. To be called before its start is noted: of another try it is not known since when it waited."""
    if traces.are_on() and phase.queued_at is not None and phase.started_at is None:
        name = f"queue {phase.kind}"
        uow.then(partial(traces.of_run, run.id, name, phase.queued_at, uow.now(), _of_phase(run, phase)))


def tried(uow: UnitOfWork, run: Run, phase: Phase, outcome: str) -> None:
    """The runner that has the phase of this epoch has ended, or is lost."""
    if traces.are_on() and phase.claimed_by is not None and phase.started_at is not None:
        attributes = {**_of_phase(run, phase), "terrapod.epoch": phase.epoch, "terrapod.outcome": outcome}
        span, failed = traces.phase_span(phase.id, phase.epoch), outcome in ("errored", "lost")
        uow.then(partial(traces.of_run, run.id, phase.kind, phase.started_at, uow.now(), attributes, span_id=span, failed=failed))


def moved(uow: UnitOfWork, run: Run) -> None:
    """The run has another status; when it is the last one, the run's own span is told."""
    if traces.are_on() and run.is_final:
        attributes = {"terrapod.workspace_id": run.workspace_id, "terrapod.outcome": run.status}
        failed = run.status == RunStatus.ERRORED
        uow.then(partial(traces.run_over, run.id, run.created_at, uow.now(), attributes, failed=failed))


def _of_phase(run: Run, phase: Phase) -> dict[str, str | int]:
    """No names: they are nobody's business who reads traces."""
    attributes: dict[str, str | int] = {
        "terrapod.workspace_id": run.workspace_id,
        "terrapod.phase_id": phase.id,
        "terrapod.phase": phase.kind,
    }
    if phase.listener_id is not None:
        attributes["terrapod.listener_id"] = phase.listener_id
    if phase.backend is not None:
        attributes["terrapod.backend"] = phase.backend
    return attributes
