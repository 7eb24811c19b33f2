"""The words of the Sync API: statuses, kinds of conflicts, and what is done about them."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Status(StrEnum):
    """How a workspace stands."""

    NEVER = "never"
    """It is on a schedule, and has not been synced yet."""
    PENDING = "pending"
    RUNNING = "running"
    SUCCESS = "success"
    """What is there is what the configuration says."""
    OUT_OF_SYNC = "out_of_sync"
    """A plan found changes, and nobody may or wants to apply them."""
    AWAITING_APPROVAL = "awaiting_approval"
    """A plan waits for a person."""
    CONFLICT = "conflict"
    """A policy does not allow what the plan would do."""
    ERROR = "error"
    DISABLED = "disabled"
    """It is not on a schedule, or the whole Sync API is switched off."""


class ConflictKind(StrEnum):
    """Why a sync could not go on."""

    POLICY = "policy"
    """The sync policy is above the general one."""
    DESTRUCTIVE_PLAN = "destructive_plan"
    """The plan would do what the policies do not allow."""
    LOCK = "lock"
    """The workspace was locked, or another run was under way."""
    STATE = "state"
    """The state moved while the run was under way."""
    CONFIG = "config"
    """A newer configuration arrived while the run was under way."""


class ConflictStatus(StrEnum):
    """What became of a conflict."""

    OPEN = "open"
    RESOLVED = "resolved"
    PASSED = "passed"
    """It went away by itself."""


class ConflictResolution(StrEnum):
    """What is done about a conflict when nobody is asked: `conflict_resolution` of the configuration."""

    MANUAL = "manual"
    """It waits for a person."""
    PREFER_CONFIG = "prefer_config"
    """What the configuration says is applied as far as the policies allow."""
    PREFER_REMOTE = "prefer_remote"
    """What is there is taken into the state; nothing is changed."""
    SKIP = "skip"
    """It is left alone until the next tick."""


class Resolution(StrEnum):
    """What a person decides about one conflict."""

    ACCEPT = "accept"
    PREFER_REMOTE = "prefer_remote"
    IGNORE = "ignore"
    """Until a date."""
    DISCARD = "discard"


_PENDING: Final = frozenset({"pending", "plan_queued"})
_RUNNING: Final = frozenset({"planning", "confirmed", "apply_queued", "applying"})
_WAITING: Final = frozenset({"planned", "planned_and_saved"})
_FAILED: Final = frozenset({"errored", "canceled", "force_canceled"})


def status_of(run: str | None, *, enabled: bool = True, has_changes: bool | None = None, blocked: bool = False) -> Status:
    """The status of a workspace from that of its last sync run.

    `run` is the run's status, None when there was none; `has_changes` is what its plan found, None when it does not say; `blocked` whether
    a policy held or refused what it planned. Raises `ValueError` for a status that no run has.
    """
    if not enabled:
        return Status.DISABLED
    if run is None:
        return Status.NEVER
    if blocked:
        return Status.CONFLICT
    if run == "planned_and_finished":
        return Status.OUT_OF_SYNC if has_changes else Status.SUCCESS
    if run == "discarded":  # a plan that nobody wanted, or one that was never made: in step only when that was seen
        return Status.SUCCESS if has_changes is False else Status.OUT_OF_SYNC
    for statuses, word in (
        (_PENDING, Status.PENDING),
        (_RUNNING, Status.RUNNING),
        (_WAITING, Status.AWAITING_APPROVAL),
        (_FAILED, Status.ERROR),
        ({"applied"}, Status.SUCCESS),
    ):
        if run in statuses:
            return word
    raise ValueError(f"no run has the status {run}")
