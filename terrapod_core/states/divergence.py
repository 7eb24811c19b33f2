"""The condition `state-diverged`: what is recorded of the world may not be how the world is. In words for those who have to look."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from terrapod_core.states.models import StateVersion
from terrapod_core.workspaces.conditions import Condition, Severity

CODE: Final = "state-diverged"

COMPARE: Final = (
    "Look at the end of the apply's log, and start a new run: what it wants to create although it exists, import. "
    "A run that is started now and applied, or finds nothing to do, ends this condition; so does an admin who acknowledges it."
)


def lost(run_id: str, now: datetime) -> Condition:
    """The runner of an apply vanished, and with it whatever was done after the last state it handed in."""
    detail = (
        f"the runner of the apply of {run_id} was lost while it may have been changing things; "
        "what it did after the last state it handed in is not recorded"
    )
    return _condition(detail, f"{COMPARE} If the runner comes back within half an hour, its state is kept.", now, run_id)


def incomplete(run_id: str, why: str | None, now: datetime) -> Condition:
    """The runner of an apply says itself that the state it handed in may lack something."""
    said = (why or "its runner could not hand in the last state").rstrip(".")
    return _condition(f"the state may lack what the apply of {run_id} did: {said}", COMPARE, now, run_id)


def restored(run_id: str, made_at: datetime, now: datetime) -> Condition:
    """The installation was restored from a backup that was made while this run had not ended: nobody knows here how it went on."""
    detail = (
        f"the server was restored from a backup of {made_at:%Y-%m-%d %H:%M} UTC; {run_id} had not ended then, and what it or "
        "any later run did is not recorded here"
    )
    return _condition(detail, COMPARE, now, run_id)


def rescued(version: StateVersion, now: datetime) -> Condition:
    """A state came from a runner that had lost its lease, and waits."""
    detail = (
        f"a state with serial {version.serial} arrived from the runner of {version.run_id} when that run was over; "
        f"it is kept as {version.id} and is not the current one"
    )
    remedy = (
        f"Compare {version.id} with the current state. An admin makes it current with "
        f"`POST /api/v2/state-versions/{version.id}/actions/promote`, or acknowledges this condition and goes on from the current state."
    )
    return _condition(detail, remedy, now, version.run_id)


def _condition(detail: str, remedy: str, now: datetime, run_id: str | None) -> Condition:
    return Condition(code=CODE, severity=Severity.ERROR, detail=detail, remedy=remedy, since=now, run_id=run_id)
