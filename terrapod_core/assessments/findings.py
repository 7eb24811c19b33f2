"""What a plan's JSON says of the world: which resources were changed outside of terraform, and how checks ended. No value is read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import msgspec

_UNCHANGED: Final = (("no-op",), ("read",), ())
_STATUSES: Final = ("pass", "fail", "error", "unknown")


class Unreadable(ValueError):
    """No plan that is understood here; the words hold nothing of the document."""


@dataclass(frozen=True)
class Findings:
    """What was found."""

    drifted: tuple[str, ...]
    """Addresses of what was changed, or is gone."""
    undrifted: int
    """How many other resources the state holds."""
    passed: int
    failed: int
    errored: int
    unknown: int
    """How many checks ended so. A check is what the configuration says once, however many instances it has."""


class _Change(msgspec.Struct):
    actions: tuple[str, ...] = ()


class _Drift(msgspec.Struct):
    address: str
    change: _Change
    mode: str = "managed"


class _Resource(msgspec.Struct):
    address: str
    mode: str = "managed"


class _Module(msgspec.Struct):
    resources: tuple[_Resource, ...] = ()
    child_modules: tuple[_Module, ...] = ()


class _Values(msgspec.Struct):
    root_module: _Module | None = None


class _State(msgspec.Struct):
    values: _Values | None = None


class _Check(msgspec.Struct):
    status: str


class _Plan(msgspec.Struct):
    format_version: str
    resource_drift: tuple[_Drift, ...] | None = None
    prior_state: _State | None = None
    checks: tuple[_Check, ...] | None = None
    errored: bool = False


_DECODER: Final = msgspec.json.Decoder(_Plan)


def read(document: bytes) -> Findings:
    """What the plan found. Takes its time with a large one. Raises `Unreadable`."""
    try:
        plan = _DECODER.decode(document)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise Unreadable("the plan's JSON cannot be read") from None
    if plan.format_version.partition(".")[0] != "1":
        raise Unreadable("the plan's JSON is of a version that is not known here")
    if plan.errored:
        raise Unreadable("the plan is not whole: it ended with an error, and its log says which")
    # By address, once: an instance and what was left of one before it are one resource.
    drifted = dict.fromkeys(
        each.address for each in plan.resource_drift or () if each.mode == "managed" and each.change.actions not in _UNCHANGED
    )
    held = set(_addresses(plan))
    ends = Counter(each.status if each.status in _STATUSES else "unknown" for each in plan.checks or ())
    return Findings(tuple(drifted), len(held - drifted.keys()), ends["pass"], ends["fail"], ends["error"], ends["unknown"])


def _addresses(plan: _Plan) -> Iterator[str]:
    """Of the managed resources in the state as it is after the refresh."""
    root = plan.prior_state.values.root_module if plan.prior_state is not None and plan.prior_state.values is not None else None
    modules = [root] if root is not None else []
    while modules:
        module = modules.pop()
        modules += module.child_modules
        yield from (each.address for each in module.resources if each.mode == "managed")
