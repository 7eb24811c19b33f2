"""The ladder of policies: what a run may do to a workspace.

A workspace has two. The general policy bounds every run; the sync policy says what the schedule may do, and may not weigh more.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Operation(StrEnum):
    """What a policy can allow."""

    CREATED = "CREATED"
    """Resources are created, or imported into the state."""
    UPDATED = "UPDATED"
    """Resources are changed in place."""
    RENAMED = "RENAMED"
    """Resources get another address in the state."""
    MARKED_TO_DELETION = "MARKED_TO_DELETION"
    """Resources are destroyed, replaced, or no longer kept in the state."""
    OUTPUTS = "OUTPUTS"
    """Outputs change, which are of the state alone. Not a word of the field: theirs count as one of the others."""
    SYNC = "SYNC"
    """The schedule plans."""
    RETRY = "RETRY"
    """A failed run is tried again."""
    NOTHING = "NOTHING"
    """A run that finds nothing to do."""
    INVOKED = "INVOKED"
    """Actions of providers are started, which may do anything. Not a word of the field: it has none for them."""
    UNKNOWN = "UNKNOWN"
    """What a plan has and this version has no word for. No policy allows it."""


_O = Operation
CHANGING: Final = frozenset({_O.CREATED, _O.UPDATED, _O.RENAMED, _O.MARKED_TO_DELETION, _O.OUTPUTS, _O.INVOKED})
"""Operations that an apply carries out; with none of them allowed, a run is of use as a plan alone."""


@dataclass(frozen=True)
class Policy:
    """One rung."""

    name: str
    operations: frozenset[Operation]
    weight: int

    def __str__(self) -> str:
        return self.name


FULL_CONTROL: Final = Policy("full-control", frozenset(_O) - {_O.UNKNOWN}, 10)
APPLY: Final = Policy("apply", frozenset({_O.UPDATED, _O.CREATED, _O.RENAMED, _O.SYNC, _O.RETRY, _O.NOTHING, _O.OUTPUTS}), 9)
OBSERVE: Final = Policy("observe", frozenset({_O.SYNC}), 8)
CREATE_ONLY: Final = Policy("create-only", frozenset({_O.CREATED, _O.RETRY, _O.SYNC, _O.OUTPUTS}), 8)

POLICIES: Final = (FULL_CONTROL, APPLY, CREATE_ONLY, OBSERVE)
"""From what may most to what may least."""
ALIASES: Final = {"create-update-only": APPLY, "observe-only": OBSERVE}
NAMES: Final = (*(policy.name for policy in POLICIES), *ALIASES)

_KNOWN: Final = {**{policy.name: policy for policy in POLICIES}, **ALIASES}


class UnknownPolicy(ValueError):
    """No policy of that name; says which there are."""


def named(name: str) -> Policy:
    """The policy of that name, or alias. Raises `UnknownPolicy`."""
    policy = _KNOWN.get(name)
    if policy is None:
        raise UnknownPolicy(f"must be one of {', '.join(NAMES)}")
    return policy


def compatible(general: Policy, sync: Policy) -> bool:
    """Whether the general policy is a ceiling for this sync policy: by weight, as the field has it."""
    return general.weight >= sync.weight


def effective(general: Policy, sync: Policy) -> frozenset[Operation]:
    """What the schedule may do: what both allow."""
    return general.operations & sync.operations


def allowing(operations: Iterable[Operation]) -> list[Policy]:
    """The policies that allow all of these, from the one that allows least; none for `UNKNOWN`."""
    wanted = frozenset(operations)
    return [policy for policy in reversed(POLICIES) if wanted <= policy.operations]


def implied(sync: Policy | None, auto_apply: bool | None) -> Policy | None:
    """The sync policy that an entry means: the one it names, `apply` where it names none and says `auto_apply: true`, else None."""
    return sync or (APPLY if auto_apply else None)


def incompatible(general: Policy, sync: Policy) -> str:
    """The refusal of a pair that is not `compatible`, for the person who chose it."""
    return f"Policy {sync} or {general} not compatible"


def incompatible_logged(general: Policy, sync: Policy) -> str:
    """The same for the log."""
    return f"Conflict: 'sync-policy': {sync} and 'policy': {general} are not compatible"


class Mode(StrEnum):
    """How far a run of the schedule goes by itself."""

    OBSERVE = "observe"
    """A plan and no more: nothing can be applied."""
    SAVE = "save"
    """A saved plan that holds nothing up until a person approves it."""
    APPLY = "apply"
    """The plan is applied when the policies allow all that is in it."""


@dataclass(frozen=True)
class Intent:
    """What a run of the schedule is to do."""

    mode: Mode
    operations: frozenset[Operation]
    """What its plan may hold, for it to be applied by whomever."""


def intent(general: Policy | None, sync: Policy | None, auto_apply: bool | None) -> Intent:
    """What the entry of a workspace means.

    Without a general policy that is `full-control`. Without a sync policy, `auto_apply: true` means `apply`, and anything else a saved
    plan within the general policy. With one, it decides how far a run goes, and `auto_apply: false` has a person approve whatever it
    allows. Where nothing that changes anything is allowed, no more than a plan is made.
    """
    operations = effective(general or FULL_CONTROL, implied(sync, auto_apply) or FULL_CONTROL)
    if not operations & CHANGING - {_O.OUTPUTS}:
        return Intent(Mode.OBSERVE, operations)
    applies = auto_apply if auto_apply is not None else sync is not None
    return Intent(Mode.APPLY if applies else Mode.SAVE, operations)
