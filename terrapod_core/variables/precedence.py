"""Which of several values of one variable is in force. The one place that says so, for what people are shown and for what runs get."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar, Final, TypeAlias

from terrapod_core.variables.models import Category, Variable


class Tier(IntEnum):
    """Where a value comes from; the higher beats the lower.

    A set with priority is there to be obeyed: among those, the one that is meant for more workspaces wins.
    """

    GLOBAL = 0
    PROJECT = 1
    ASSIGNED = 2
    WORKSPACE = 3
    RUN = 4
    PRIORITY_ASSIGNED = 5
    PRIORITY_PROJECT = 6
    PRIORITY_GLOBAL = 7


WITH_PRIORITY: Final = {
    Tier.GLOBAL: Tier.PRIORITY_GLOBAL,
    Tier.PROJECT: Tier.PRIORITY_PROJECT,
    Tier.ASSIGNED: Tier.PRIORITY_ASSIGNED,
}
"""Where a set stands that has priority."""

SCOPES: Final = {
    **dict.fromkeys((Tier.GLOBAL, Tier.PRIORITY_GLOBAL), "global"),
    **dict.fromkeys((Tier.PROJECT, Tier.PRIORITY_PROJECT), "project"),
    **dict.fromkeys((Tier.ASSIGNED, Tier.PRIORITY_ASSIGNED, Tier.WORKSPACE), "workspace"),
    Tier.RUN: "run",
}
"""How far a tier's values reach."""


@dataclass(frozen=True, order=True)
class Origin:
    """Where a value comes from. Ordered: the later beats the earlier, so that of two sets of one tier the later name wins."""

    tier: Tier
    name: str = ""
    """The set's or the workspace's; empty for the run."""
    varset_id: str | None = None

    @property
    def has_priority(self) -> bool:
        """Whether it beats what the run says."""
        return self.tier > Tier.RUN


@dataclass(frozen=True)
class RunValue:
    """A `-var`: an HCL expression for one run."""

    key: str
    value: str
    category: ClassVar[Category] = Category.TERRAFORM
    hcl: ClassVar[bool] = True
    sensitive: ClassVar[bool] = False


Candidate: TypeAlias = Variable | RunValue


@dataclass(frozen=True)
class Layer:
    """All the values that come from one place, each key once in its category."""

    origin: Origin
    variables: Sequence[Candidate]


@dataclass(frozen=True)
class InForce:
    """A value that nothing beats."""

    origin: Origin
    variable: Candidate
    sensitive: bool
    """Also when the run says it in place of a sensitive value: what takes a secret's place is one."""


def merge(layers: Iterable[Layer]) -> list[InForce]:
    """One value for each category and key, in their order. `terraform` and `env` never meet."""
    merged: dict[tuple[str, str], InForce] = {}
    for layer in sorted(layers, key=lambda each: each.origin):
        for variable in layer.variables:
            place = (variable.category, variable.key)
            beaten = merged.get(place)
            in_place_of_a_secret = layer.origin.tier is Tier.RUN and beaten is not None and beaten.sensitive
            merged[place] = InForce(layer.origin, variable, variable.sensitive or in_place_of_a_secret)
    return [merged[place] for place in sorted(merged)]
