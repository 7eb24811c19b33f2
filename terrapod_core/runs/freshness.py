"""Whether a plan still fits the state it was made from."""

from __future__ import annotations

from sqlalchemy.orm import Session

from terrapod_core.runs.models import Run
from terrapod_core.states import queries as states


def state_moved(session: Session, run: Run) -> str | None:
    """How the state has moved since the run's plan was made, as a sentence; `None` when it has not."""
    current = states.current(session, run.workspace_id)
    now = (current.serial, current.lineage) if current is not None else (None, None)
    if now == (run.state_serial, run.state_lineage):
        return None
    return f"the state has moved since this plan was made (from serial {_serial(run.state_serial)} to {_serial(now[0])})"


def _serial(serial: int | None) -> str:
    return "none" if serial is None else str(serial)
