"""Redaction: what a reader gets of a plan."""

from __future__ import annotations

import msgspec

from terrapod_core.runs.plan_json import _redact, blank


def test_a_sensitive_value_is_blanked_at_any_depth() -> None:
    value = {"name": "a", "password": "hunter22", "list": [{"token": "t"}, {"plain": 1}]}
    marks = {"password": True, "list": [{"token": True}, {}]}
    assert blank(value, marks) == {"name": "a", "password": None, "list": [{"token": None}, {"plain": 1}]}


def test_a_mark_over_a_whole_value_blanks_it_all() -> None:
    assert blank({"a": [1, 2]}, True) is None


def test_marks_shorter_than_the_list_leave_the_rest_alone() -> None:
    assert blank(["a", "b"], [True]) == [None, "b"]


def test_the_redacted_plan_holds_no_sensitive_value_and_no_variables() -> None:
    secret = "hunter22-planted"
    plan = {
        "format_version": "1.2",
        "variables": {"password": {"value": secret}},
        "planned_values": {"root_module": {"resources": [{"values": {"input": secret}}]}},
        "prior_state": {"values": secret},
        "configuration": {"root_module": {"variables": {"password": {"default": secret}}}},
        "resource_changes": [
            {
                "address": "terraform_data.a",
                "change": {
                    "actions": ["update"],
                    "before": {"input": secret},
                    "after": {"input": secret, "output": "plain"},
                    "before_sensitive": {"input": True},
                    "after_sensitive": {"input": True},
                    "generated_config": f"input = {secret}",
                },
            }
        ],
        "resource_drift": [{"change": {"before": {"x": secret}, "before_sensitive": {"x": True}}}],
        "output_changes": {"o": {"before": None, "after": secret, "after_sensitive": True}},
    }
    redacted = _redact(msgspec.json.encode(plan), b'{"format_version": "1.0", "provider_schemas": {"p": {}}}')
    assert secret.encode() not in redacted
    document = msgspec.json.decode(redacted)
    assert document["plan_format_version"] == "1.2"
    assert document["provider_format_version"] == "1.0"
    assert document["provider_schemas"] == {"p": {}}
    assert document["resource_changes"][0]["change"]["after"]["output"] == "plain"
