"""What a plan would do, read from terraform's JSON of it, and which of it is not allowed.

Nothing that is not understood is allowed: an action this version has no word for, a document of another major version, one that cannot
be read.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from terrapod_sync.policies import Operation, allowing

_SHOWN: Final = 10
_O = Operation
_OPERATIONS: Final[dict[tuple[str, ...], Operation | None]] = {
    ("no-op",): None,
    ("read",): None,
    ("create",): _O.CREATED,
    ("update",): _O.UPDATED,
    ("delete",): _O.MARKED_TO_DELETION,
    ("delete", "create"): _O.MARKED_TO_DELETION,
    ("create", "delete"): _O.MARKED_TO_DELETION,
    ("forget",): _O.MARKED_TO_DELETION,  # nothing is destroyed, but nobody looks after it any longer
    ("create", "forget"): _O.MARKED_TO_DELETION,
    ("forget", "create"): _O.MARKED_TO_DELETION,
}
_WORDS: Final = {
    ("create",): "create",
    ("update",): "update",
    ("delete",): "destroy",
    ("delete", "create"): "replace",
    ("create", "delete"): "replace",
    ("forget",): "forget",
    ("create", "forget"): "replace, and forget what was there",
    ("forget", "create"): "replace, and forget what was there",
}


class UnreadablePlan(ValueError):
    """JSON that is no plan this version understands; nothing of it may be applied."""


class Change(msgspec.Struct, frozen=True):
    """What happens to one thing; its values are not read."""

    actions: tuple[str, ...] = ()
    importing: dict[str, Any] | None = None


class ResourceChange(msgspec.Struct, frozen=True):
    """What happens to one resource."""

    address: str
    change: Change
    mode: str = "managed"
    type: str = ""
    name: str = ""
    previous_address: str | None = None
    deposed: str | None = None
    action_reason: str | None = None


class DeferredChange(msgspec.Struct, frozen=True):
    """What terraform leaves to a later plan, as it does not know enough yet; an apply of this plan does not do it."""

    resource_change: ResourceChange
    reason: str | None = None


class ActionInvocation(msgspec.Struct, frozen=True):
    """An action of a provider that an apply starts."""

    address: str


class Plan(msgspec.Struct, frozen=True):
    """The part of a plan's JSON that tells what an apply would do. Read it with `read`."""

    format_version: str
    resource_changes: tuple[ResourceChange, ...] | None = None
    resource_drift: tuple[ResourceChange, ...] | None = None
    output_changes: dict[str, Change] | None = None
    deferred_changes: tuple[DeferredChange, ...] | None = None
    action_invocations: tuple[ActionInvocation, ...] | None = None
    errored: bool = False
    complete: bool | None = None
    """Whether nothing is left to a later plan; None where the version of terraform does not say."""

    @property
    def drifted(self) -> bool:
        """Whether something was changed behind terraform's back."""
        return any(_drifted(each.change) for each in self.resource_drift or ())

    @property
    def empty(self) -> bool:
        """Whether there is nothing in it that an apply would do, not even something to read."""
        resources = any(
            each.change.actions != ("no-op",) or each.change.importing is not None or each.previous_address is not None
            for each in self.resource_changes or ()
        )
        return not (
            resources or self.action_invocations or any(each.actions != ("no-op",) for each in (self.output_changes or {}).values())
        )


@dataclass(frozen=True)
class Step:
    """One thing that an apply would do."""

    address: str
    does: str
    """In a word, as `replace`."""
    needs: Operation

    def __str__(self) -> str:
        return f"{self.address} ({self.does})"


@dataclass(frozen=True)
class Verdict:
    """Whether a plan may be applied."""

    forbidden: tuple[Step, ...]
    reason: str
    """For a person; empty when all is allowed."""

    @property
    def allowed(self) -> bool:
        return not self.reason


_DECODER: Final = msgspec.json.Decoder(Plan)


def read(document: bytes) -> Plan:
    """Raises `UnreadablePlan`, whose words hold nothing of the document."""
    try:
        plan = _DECODER.decode(document)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise UnreadablePlan("The plan's JSON cannot be read, so nothing of it may be applied.") from None
    if plan.format_version.partition(".")[0] != "1":
        raise UnreadablePlan("The plan's JSON is of a version that is not known here, so nothing of it may be applied.")
    return plan


def steps(plan: Plan) -> Iterator[Step]:
    """All that an apply of the plan would do, in the plan's order."""
    for resource in plan.resource_changes or ():
        yield from _steps_of(resource)
    for name, change in (plan.output_changes or {}).items():
        if _operation(change.actions) is not None:
            yield Step(f"output.{name}", _WORDS.get(change.actions, "change"), _O.OUTPUTS)
    for action in plan.action_invocations or ():
        yield Step(action.address, "start an action", _O.INVOKED)


def forbidden(plan: Plan, operations: Collection[Operation]) -> list[Step]:
    """What the plan would do beyond these operations."""
    return [step for step in steps(plan) if step.needs not in operations]


def judge(plan: Plan, operations: Collection[Operation]) -> Verdict:
    """Whether all that the plan would do is among these operations, and in words what is not and which policies would allow it."""
    if plan.errored:
        return Verdict((), "The plan ended with an error, so nothing of it may be applied.")
    found = forbidden(plan, operations)
    return Verdict(tuple(found), _reason(found, [step.needs for step in steps(plan)]) if found else "")


def _steps_of(resource: ResourceChange) -> Iterator[Step]:
    actions = resource.change.actions
    if resource.mode == "data" and actions in (("read",), ("no-op",), ("delete",)):
        return  # it is read, or no longer read
    place = resource.address if resource.deposed is None else f"{resource.address} (deposed {resource.deposed})"
    if resource.previous_address is not None and resource.previous_address != resource.address:
        yield Step(place, f"move from {resource.previous_address}", _O.RENAMED)
    if resource.change.importing is not None:
        yield Step(place, "import", _O.CREATED)
    operation = _operation(actions)
    if operation is not None:
        yield Step(place, _WORDS.get(actions, "an unknown action"), operation)


def _operation(actions: tuple[str, ...]) -> Operation | None:
    """What it takes; None for what changes nothing."""
    return _OPERATIONS.get(actions, _O.UNKNOWN)


def _drifted(change: Change) -> bool:
    return change.actions not in (("no-op",), ("read",))


def _reason(found: Sequence[Step], needed: Collection[Operation]) -> str:
    shown = ", ".join(map(str, found[:_SHOWN])) + (f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else "")
    policies = ", ".join(policy.name for policy in allowing(needed))
    remedy = f"Policies that would allow it: {policies}." if policies else "No policy would allow it."
    return f"POLICY CONFLICT: the plan would do what the policy does not allow: {shown}. {remedy}"
