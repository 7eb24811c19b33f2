"""Every status of a run, and every step between them, as one table."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class RunStatus(StrEnum):
    """go-tfe's words (`RunStatus`), because the CLI switches on them."""

    PENDING = "pending"
    PLAN_QUEUED = "plan_queued"
    PLANNING = "planning"
    PLANNED = "planned"
    PLANNED_AND_FINISHED = "planned_and_finished"
    PLANNED_AND_SAVED = "planned_and_saved"
    CONFIRMED = "confirmed"
    APPLY_QUEUED = "apply_queued"
    APPLYING = "applying"
    APPLIED = "applied"
    DISCARDED = "discarded"
    CANCELED = "canceled"
    ERRORED = "errored"


_S = RunStatus
_ENDS: Final = frozenset({_S.CANCELED, _S.ERRORED})

ALLOWED: Final[dict[RunStatus, frozenset[RunStatus]]] = {
    _S.PENDING: frozenset({_S.PLAN_QUEUED, _S.DISCARDED}) | _ENDS,
    _S.PLAN_QUEUED: frozenset({_S.PLANNING}) | _ENDS,
    # Back to plan_queued: the runner was lost, and a plan may be tried once more elsewhere.
    _S.PLANNING: frozenset({_S.PLANNED, _S.PLANNED_AND_FINISHED, _S.PLANNED_AND_SAVED, _S.PLAN_QUEUED}) | _ENDS,
    _S.PLANNED: frozenset({_S.CONFIRMED, _S.DISCARDED}) | _ENDS,
    _S.PLANNED_AND_SAVED: frozenset({_S.CONFIRMED, _S.DISCARDED}) | _ENDS,
    _S.CONFIRMED: frozenset({_S.APPLY_QUEUED}) | _ENDS,
    _S.APPLY_QUEUED: frozenset({_S.APPLYING}) | _ENDS,
    # Back to apply_queued: the runner never claimed it, so nothing has begun.
    _S.APPLYING: frozenset({_S.APPLIED, _S.APPLY_QUEUED}) | _ENDS,
    _S.PLANNED_AND_FINISHED: frozenset(),
    _S.APPLIED: frozenset(),
    _S.DISCARDED: frozenset(),
    _S.CANCELED: frozenset(),
    _S.ERRORED: frozenset(),
}
"""From each status, where a run may go."""

FINAL: Final = frozenset(status for status, onward in ALLOWED.items() if not onward)
"""A run here never moves again."""

CONFIRMABLE: Final = frozenset({_S.PLANNED, _S.PLANNED_AND_SAVED})
DISCARDABLE: Final = frozenset({_S.PENDING, _S.PLANNED, _S.PLANNED_AND_SAVED})
CANCELABLE: Final = frozenset({_S.PENDING, _S.PLAN_QUEUED, _S.PLANNING, _S.CONFIRMED, _S.APPLY_QUEUED, _S.APPLYING})
RUNNING: Final = frozenset({_S.PLANNING, _S.APPLYING})
QUEUED: Final = frozenset({_S.PENDING, _S.PLAN_QUEUED, _S.APPLY_QUEUED})


class PhaseStatus(StrEnum):
    """The status of a plan or an apply. The CLI's log reader ends only on the last four."""

    PENDING = "pending"
    QUEUED = "queued"
    RUNNING = "running"
    FINISHED = "finished"
    ERRORED = "errored"
    CANCELED = "canceled"
    UNREACHABLE = "unreachable"


PHASE_FINAL: Final = frozenset({PhaseStatus.FINISHED, PhaseStatus.ERRORED, PhaseStatus.CANCELED, PhaseStatus.UNREACHABLE})


class Cancel(StrEnum):
    """What the runner of a phase is told to do with terraform."""

    NONE = "none"
    INTERRUPT = "interrupt"
    FORCE = "force"
