"""Whether a run may go on: the say that a plugin has about every plan before anything of it is applied."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol, TypeAlias, runtime_checkable


class Stage(StrEnum):
    """When a check is asked."""

    PLANNED = "planned"
    """The plan has been made. What is decided now goes into the run together with the plan's end."""
    CONFIRMED = "confirmed"
    """Somebody confirms the run. `Deny` refuses the confirmation with its reason; a `Hold` has been answered by confirming."""
    APPLYING = "applying"
    """A runner is about to begin the apply: the last look, since settings may have changed after the plan. `Deny` ends the run."""


@dataclass(frozen=True)
class Allow:
    """Nothing is in the way; says more than `None`, which has nothing to say."""


@dataclass(frozen=True)
class Advise:
    """The run goes on, and `reason` is told in its history."""

    reason: str


@dataclass(frozen=True)
class Hold:
    """The run does not go on by itself: a person has to confirm it. Of several decisions the strictest counts."""

    reason: str


@dataclass(frozen=True)
class Deny:
    """Nothing of this plan is ever applied."""

    reason: str


Decision: TypeAlias = Allow | Advise | Hold | Deny


@dataclass(frozen=True)
class CheckedRun:
    """A run as a check sees it."""

    id: str
    workspace_id: str
    workspace_name: str
    plan_id: str
    message: str
    trigger_reason: str
    """Why it was made: `manual`, `vcs`, or the name of the plugin that made it."""
    created_by_id: str | None
    confirmed_by_id: str | None
    plan_only: bool
    save_plan: bool
    auto_apply: bool
    is_destroy: bool
    refresh_only: bool
    has_changes: bool
    plan_digest: str | None
    """SHA-256 of the saved plan, in hexadecimal: what is applied is this and nothing else. `None` when none was saved."""
    plan_json: Callable[[], Awaitable[bytes | None]] = field(repr=False)
    """`await run.plan_json()` is the plan as `terraform show -json` prints it, with everything secret in it. `None` when there is
    none, or it is larger than 64 MiB. Parse it in a thread: the event loop is everybody's.
    """


@runtime_checkable
class RunCheck(Protocol):
    """One say. It is asked about every run, those of people included, and every plan-only one, where only the advice counts.

    A check that raises, or takes longer than ten seconds, counts as `Hold`, and at the last look as `Deny`: what cannot be judged
    is not applied.
    """

    @property
    def name(self) -> str:
        """What its decisions are told under: `policy`."""
        ...

    async def check(self, run: CheckedRun, stage: Stage) -> Decision | None:
        """Decide; `None` when this run is none of its business."""
        ...
