"""The ladder of policies."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from terrapod_sync.policies import (
    APPLY,
    CHANGING,
    CREATE_ONLY,
    FULL_CONTROL,
    OBSERVE,
    POLICIES,
    Intent,
    Mode,
    Operation,
    Policy,
    UnknownPolicy,
    allowing,
    compatible,
    effective,
    incompatible,
    incompatible_logged,
    intent,
    named,
)

O = Operation  # noqa: E741
POLICY = st.sampled_from(POLICIES)
MAYBE = st.one_of(st.none(), POLICY)


@pytest.mark.parametrize(
    ("name", "policy"),
    [
        ("full-control", FULL_CONTROL),
        ("apply", APPLY),
        ("create-update-only", APPLY),
        ("create-only", CREATE_ONLY),
        ("observe", OBSERVE),
        ("observe-only", OBSERVE),
    ],
)
def test_a_policy_is_known_by_its_name_and_its_alias(name: str, policy: Policy) -> None:
    assert named(name) is policy


@pytest.mark.parametrize("name", ["", "Apply", "full_control", "delete", " apply"])
def test_another_name_is_refused_with_those_there_are(name: str) -> None:
    with pytest.raises(UnknownPolicy, match="full-control, apply, create-only, observe, create-update-only, observe-only"):
        named(name)


def test_what_each_allows() -> None:
    field = {operation for operation in O if operation not in (O.OUTPUTS, O.INVOKED, O.UNKNOWN)}
    assert {policy.name: set(policy.operations) & field for policy in POLICIES} == {
        "full-control": {O.UPDATED, O.CREATED, O.RENAMED, O.SYNC, O.MARKED_TO_DELETION, O.RETRY, O.NOTHING},
        "apply": {O.UPDATED, O.CREATED, O.RENAMED, O.SYNC, O.RETRY, O.NOTHING},
        "create-only": {O.CREATED, O.RETRY, O.SYNC},
        "observe": {O.SYNC},
    }
    assert {policy.name: policy.weight for policy in POLICIES} == {"full-control": 10, "apply": 9, "create-only": 8, "observe": 8}
    assert [policy.name for policy in POLICIES if O.OUTPUTS in policy.operations] == ["full-control", "apply", "create-only"]
    assert [policy.name for policy in POLICIES if O.INVOKED in policy.operations] == ["full-control"]
    assert not [policy.name for policy in POLICIES if O.UNKNOWN in policy.operations]


def test_pairs_are_compatible_by_weight() -> None:
    refused = {(general.name, sync.name) for general in POLICIES for sync in POLICIES if not compatible(general, sync)}
    assert refused == {
        ("apply", "full-control"),
        ("create-only", "full-control"),
        ("create-only", "apply"),
        ("observe", "full-control"),
        ("observe", "apply"),
    }


def test_a_pair_of_one_weight_may_do_what_both_allow() -> None:
    assert compatible(OBSERVE, CREATE_ONLY)
    assert effective(OBSERVE, CREATE_ONLY) == {O.SYNC}


@given(POLICY, POLICY)
def test_what_is_allowed_is_never_more_than_either(general: Policy, sync: Policy) -> None:
    assert effective(general, sync) == effective(sync, general)
    assert effective(general, sync) <= general.operations
    assert effective(general, general) == general.operations


def test_the_words_of_a_refusal() -> None:
    assert incompatible(APPLY, FULL_CONTROL) == "Policy full-control or apply not compatible"
    assert incompatible_logged(APPLY, FULL_CONTROL) == "Conflict: 'sync-policy': full-control and 'policy': apply are not compatible"


def test_the_policies_that_would_allow_something_begin_with_the_least() -> None:
    assert allowing([O.CREATED]) == [CREATE_ONLY, APPLY, FULL_CONTROL]
    assert allowing([O.CREATED, O.UPDATED]) == [APPLY, FULL_CONTROL]
    assert allowing([O.MARKED_TO_DELETION]) == [FULL_CONTROL]
    assert allowing([O.UNKNOWN]) == []


@pytest.mark.parametrize(
    ("general", "sync", "auto_apply", "mode", "allowed"),
    [
        (None, None, True, Mode.APPLY, APPLY.operations),
        (None, None, False, Mode.SAVE, FULL_CONTROL.operations),
        (None, None, None, Mode.SAVE, FULL_CONTROL.operations),
        (CREATE_ONLY, None, False, Mode.SAVE, CREATE_ONLY.operations),
        (None, FULL_CONTROL, None, Mode.APPLY, FULL_CONTROL.operations),
        (None, FULL_CONTROL, True, Mode.APPLY, FULL_CONTROL.operations),
        (None, FULL_CONTROL, False, Mode.SAVE, FULL_CONTROL.operations),
        (APPLY, CREATE_ONLY, None, Mode.APPLY, CREATE_ONLY.operations),
        (None, OBSERVE, True, Mode.OBSERVE, OBSERVE.operations),
        (OBSERVE, CREATE_ONLY, True, Mode.OBSERVE, OBSERVE.operations),
        (OBSERVE, None, False, Mode.OBSERVE, OBSERVE.operations),
    ],
)
def test_what_an_entry_means(
    general: Policy | None, sync: Policy | None, auto_apply: bool | None, mode: Mode, allowed: frozenset[Operation]
) -> None:
    assert intent(general, sync, auto_apply) == Intent(mode, allowed)


@given(MAYBE, MAYBE, st.sampled_from([True, False, None]))
def test_nothing_is_applied_that_nobody_asked_for(general: Policy | None, sync: Policy | None, auto_apply: bool | None) -> None:
    meant = intent(general, sync, auto_apply)
    if auto_apply is False or OBSERVE in (general, sync) or (sync is None and not auto_apply):
        assert meant.mode is not Mode.APPLY
    if FULL_CONTROL is not sync and meant.mode is Mode.APPLY:
        assert O.MARKED_TO_DELETION not in meant.operations
    if OBSERVE in (general, sync):
        assert not meant.operations & CHANGING
