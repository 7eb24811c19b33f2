"""Which value of a variable is in force: every pair of places it can come from, and random heaps of them."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given, strategies as st

from terrapod_core.variables.models import Category, Variable
from terrapod_core.variables.precedence import Layer, Origin, RunValue, Tier, merge

LOW_TO_HIGH = [
    Origin(Tier.GLOBAL, "a"),
    Origin(Tier.GLOBAL, "b"),
    Origin(Tier.PROJECT, "a"),
    Origin(Tier.PROJECT, "b"),
    Origin(Tier.ASSIGNED, "A"),
    Origin(Tier.ASSIGNED, "a"),
    Origin(Tier.ASSIGNED, "b"),
    Origin(Tier.WORKSPACE, "net"),
    Origin(Tier.RUN),
    Origin(Tier.PRIORITY_ASSIGNED, "a"),
    Origin(Tier.PRIORITY_ASSIGNED, "b"),
    Origin(Tier.PRIORITY_PROJECT, "a"),
    Origin(Tier.PRIORITY_GLOBAL, "a"),
    Origin(Tier.PRIORITY_GLOBAL, "b"),
]
"""The rule, written out."""


def variable(key: str = "x", category: str = "terraform", *, sensitive: bool = False) -> Variable:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return Variable(
        id="var-1",
        key=key,
        category=category,
        hcl=False,
        sensitive=sensitive,
        value_sealed=b"",
        version_id="v",
        created_at=now,
        updated_at=now,
    )


def layer(origin: Origin, key: str = "x", category: str = "terraform", *, sensitive: bool = False) -> Layer:
    if origin.tier is Tier.RUN:
        return Layer(origin, [RunValue(key, '"run"')] if category == "terraform" else [])
    return Layer(origin, [variable(key, category, sensitive=sensitive)])


@pytest.mark.parametrize(("lower", "higher"), list(pairwise(LOW_TO_HIGH)), ids=str)
def test_each_place_beats_the_one_before_it(lower: Origin, higher: Origin) -> None:
    for order in ([lower, higher], [higher, lower]):
        (found,) = merge(layer(origin) for origin in order)
        assert found.origin == higher


@given(st.lists(st.tuples(st.sampled_from(LOW_TO_HIGH), st.sampled_from("xyz"), st.sampled_from(list(Category))), unique=True))
def test_of_any_heap_the_highest_is_in_force_and_the_two_categories_never_meet(heap: list[tuple[Origin, str, Category]]) -> None:
    heap = [(origin, key, category) for origin, key, category in heap if origin.tier is not Tier.RUN or category is Category.TERRAFORM]
    expected: dict[tuple[str, str], Origin] = {}
    for origin, key, category in sorted(heap, key=lambda each: LOW_TO_HIGH.index(each[0])):
        expected[category, key] = origin
    found = merge(layer(origin, key, category) for origin, key, category in heap)
    assert {(one.variable.category, one.variable.key): one.origin for one in found} == expected
    assert [(one.variable.category, one.variable.key) for one in found] == sorted(expected)


def test_what_takes_the_place_of_a_secret_in_a_run_is_one_and_what_beats_it_speaks_for_itself() -> None:
    secret, said = layer(Origin(Tier.GLOBAL, "a"), sensitive=True), layer(Origin(Tier.RUN))
    assert [one.sensitive for one in merge([secret, said])] == [True]
    assert [one.sensitive for one in merge([secret, layer(Origin(Tier.WORKSPACE, "net")), said])] == [False]
    assert [one.sensitive for one in merge([secret, said, layer(Origin(Tier.PRIORITY_GLOBAL, "a"))])] == [False]
    assert [one.sensitive for one in merge([said])] == [False]


def test_only_sets_with_priority_beat_the_run() -> None:
    assert [origin.tier for origin in LOW_TO_HIGH if origin.has_priority] == [
        tier for tier in (origin.tier for origin in LOW_TO_HIGH) if tier > 4
    ]
