"""Redaction: what a reader gets of a plan."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from terrapod_core.redaction.plan import CHANGED, STAND_IN, Sensitive, redact

PROVIDER = "registry.terraform.io/example/cloud"
SECRET = "hunter22-planted"
SCHEMAS = {
    "format_version": "1.0",
    "provider_schemas": {
        PROVIDER: {
            "provider": {"version": 0},
            "resource_schemas": {"cloud_key": {"version": 1}, "cloud_other": {"version": 2}},
            "data_source_schemas": {"cloud_key": {"version": 3}},
        },
        "terraform.io/builtin/terraform": {"provider": {"version": 0}, "resource_schemas": {"terraform_data": {"version": 0}}},
    },
}


def resource(change: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "address": "cloud_key.a",
        "mode": "managed",
        "type": "cloud_key",
        "name": "a",
        "provider_name": PROVIDER,
        "change": {"actions": ["update"], **change},
        **more,
    }


def redacted(plan: dict[str, Any], sensitive: Sensitive | None = None) -> tuple[str, dict[str, Any]]:
    """The text, and what it says."""
    whole = {"format_version": "1.2", **plan}
    text = redact(json.dumps(whole).encode(), json.dumps(SCHEMAS).encode(), sensitive or Sensitive()).decode()
    return text, json.loads(text)


def changed(before: Any, after: Any, before_mark: Any, after_mark: Any) -> dict[str, Any]:
    """The change of one resource, as it is shown."""
    change = {"before": before, "after": after, "before_sensitive": before_mark, "after_sensitive": after_mark}
    _, plan = redacted({"resource_changes": [resource(change)]})
    return dict(plan["resource_changes"][0]["change"])


def test_a_sensitive_value_is_replaced_at_any_depth_and_the_rest_is_left_alone() -> None:
    value = {"name": "a", "password": SECRET, "list": [{"token": "t"}, {"plain": 1}]}
    marks = {"password": True, "list": [{"token": True}, {}]}
    shown = changed(value, value, marks, marks)
    assert shown["before"] == shown["after"] == {"name": "a", "password": STAND_IN, "list": [{"token": STAND_IN}, {"plain": 1}]}


@pytest.mark.parametrize(
    ("before", "after", "shown"),
    [
        (None, SECRET, (None, CHANGED)),
        (SECRET, None, (STAND_IN, None)),
        (SECRET, "another one", (STAND_IN, CHANGED)),
        (True, False, (False, True)),
        (1234, 1234, (0, 0)),
        (1234, 5, (0, 1)),
        ([SECRET], [SECRET], ([], [])),
        ([SECRET], [], ([], [CHANGED])),
        ({SECRET: 1}, {SECRET: 2}, ({}, {"": CHANGED})),
    ],
)
def test_a_stand_in_says_whether_there_is_a_value_and_whether_it_changes(before: Any, after: Any, shown: tuple[Any, Any]) -> None:
    change = changed({"x": before}, {"x": after}, {"x": True}, {"x": True})
    assert (change["before"]["x"], change["after"]["x"]) == shown


@pytest.mark.parametrize(("before_mark", "after_mark"), [({"x": True}, {}), ({}, {"x": True}), (True, {}), (False, True)])
def test_what_is_sensitive_on_one_side_is_hidden_on_both(before_mark: Any, after_mark: Any) -> None:
    assert SECRET not in json.dumps(changed({"x": SECRET}, {"x": SECRET}, before_mark, after_mark))


def test_marks_shorter_than_the_list_leave_the_rest_alone() -> None:
    change = changed(None, {"l": ["first", "second"]}, False, {"l": [True]})
    assert change["after"]["l"] == [CHANGED, "second"]


def test_nothing_is_carried_over_but_what_the_cli_renders() -> None:
    plan = {
        "variables": {"password": {"value": SECRET}},
        "planned_values": {"root_module": {"resources": [{"values": {"input": SECRET}}]}},
        "prior_state": {"values": SECRET},
        "configuration": {"root_module": {"variables": {"password": {"default": SECRET}}}},
        "checks": [{"problems": [SECRET]}],
        "errored": False,
    }
    text, document = redacted(plan)
    assert SECRET not in text
    assert set(document) == {"errored", "plan_format_version", "provider_format_version", "provider_schemas"}
    assert (document["plan_format_version"], document["provider_format_version"]) == ("1.2", "1.0")


def test_a_sensitive_variable_is_searched_for_everywhere_by_declaration_and_by_the_workspaces_own_mark() -> None:
    plan = {
        "variables": {"declared": {"value": SECRET}, "kept": {"value": "kept-by-the-workspace"}, "plain": {"value": "plain-as-it-is"}},
        "configuration": {"root_module": {"variables": {"declared": {"sensitive": True}, "kept": {}, "plain": {}}}},
        "resource_changes": [
            resource({"after": {"a": f"x{SECRET}x", "b": "kept-by-the-workspace", "c": "plain-as-it-is", "d": "in-the-shell"}})
        ],
    }
    _, document = redacted(plan, Sensitive(["kept"], ["in-the-shell"]))
    assert document["resource_changes"][0]["change"]["after"] == {"a": "x***x", "b": "***", "c": "plain-as-it-is", "d": "***"}


def test_a_number_that_spells_a_secret_is_none_and_a_short_one_is_only_hidden_where_it_is_marked() -> None:
    plan = {
        "variables": {"n": {"value": 1234567890}},
        "resource_changes": [
            resource({"after": {"same": 1234567890, "longer": 912345678901, "pin": 42, "port": 42}, "after_sensitive": {"pin": True}})
        ],
    }
    _, document = redacted(plan, Sensitive(["n"]))
    assert document["resource_changes"][0]["change"]["after"] == {"same": None, "longer": None, "pin": 1, "port": 42}


def test_generated_configuration_is_kept_where_it_spells_no_secret_out() -> None:
    def generated(text: str, value: Any) -> Any:
        change = {"after": {"p": value}, "before_sensitive": {}, "after_sensitive": {"p": True}, "generated_config": text}
        return redacted({"resource_changes": [resource(change)]})[1]["resource_changes"][0]["change"].get("generated_config")

    assert generated('name = "x"\np = null # sensitive\n', SECRET) == 'name = "x"\np = null # sensitive\n'
    assert generated(f'p = "{SECRET}"\n', SECRET) == 'p = "***"\n'
    assert generated('p = "quo\\"ted secret"\n', 'quo"ted secret') == 'p = "***"\n'
    assert generated("p = <<-EOT\n  first line of it\n  second line of it\nEOT\n", "first line of it\nsecond line of it\n") == (
        "p = <<-EOT\n  ***\n  ***\nEOT\n"
    )
    assert generated('p = "abc"\n', "abc") is None
    assert generated("p = 17\n", 17) is None
    assert generated("port = 170\n", 17) == "port = 170\n"


def test_words_by_which_the_cli_finds_its_way_stay_whatever_they_are_equal_to() -> None:
    change = {"after": {"type": "cloud_key"}, "after_sensitive": {}, "before_sensitive": {}}
    _, document = redacted({"resource_changes": [resource(change)]}, Sensitive([], ["cloud_key", PROVIDER]))
    shown = document["resource_changes"][0]
    assert (shown["type"], shown["provider_name"], shown["address"]) == ("cloud_key", PROVIDER, "***.a")
    assert shown["change"]["after"] == {"type": "***"}


def test_the_schemas_are_those_of_what_changes_with_every_provider_named() -> None:
    _, document = redacted({"resource_changes": [resource({"after": {}}), resource({"after": {}}, mode="data")]})
    assert document["provider_schemas"] == {
        PROVIDER: {
            "provider": {"version": 0},
            "resource_schemas": {"cloud_key": {"version": 1}},
            "data_source_schemas": {"cloud_key": {"version": 3}},
        },
        "terraform.io/builtin/terraform": {"provider": {"version": 0}},
    }


NAMES = st.text("abcdefgh", min_size=1, max_size=5)
PLAIN = st.none() | st.booleans() | st.integers(-1000, 1000) | st.text('abc "\\\n${', max_size=12)


class Planted:
    """Draws values with secrets in them, and the marks that terraform would give them."""

    def __init__(self, draw: st.DrawFn) -> None:
        self._draw = draw
        self.secrets: list[str] = []

    def secret(self) -> str:
        tail = self._draw(st.text('xyz"\\\n<&é', max_size=6))
        self.secrets.append(f"planted-{len(self.secrets):04}-{tail}-secret")
        return self.secrets[-1]

    def value(self, depth: int = 3) -> tuple[Any, Any]:
        """A value, and its mark: `true` over all of it, or its own shape."""
        kind = self._draw(st.sampled_from(["plain", "secret", "map", "list", "marked"] if depth else ["plain", "secret"]))
        if kind == "plain":
            return self._draw(PLAIN), self._draw(st.sampled_from([False, None]))
        if kind == "secret":
            return self.secret(), True
        if kind == "map":
            inner = {name: self.value(depth - 1) for name in self._draw(st.sets(NAMES, max_size=3))}
            return {name: value for name, (value, _) in inner.items()}, {name: mark for name, (_, mark) in inner.items() if mark}
        if kind == "list":
            several = [self.value(depth - 1) for _ in range(self._draw(st.integers(0, 3)))]
            return [value for value, _ in several], [mark or False for _, mark in several]
        return {self.secret(): [self.secret(), {self.secret(): self._draw(PLAIN)}]}, True

    def change(self) -> dict[str, Any]:
        after, after_mark = self.value()
        # Either another value, or the same one whose mark is new.
        before, before_mark = self.value() if self._draw(st.booleans()) else (after, False)
        return {"actions": ["update"], "before": before, "after": after, "before_sensitive": before_mark, "after_sensitive": after_mark}

    def repeated(self) -> str:
        """A text that repeats one of the secrets where nothing marks it."""
        found = self._draw(st.sampled_from(self.secrets)) if self.secrets else "nothing"
        return self._draw(st.sampled_from([found, f"{found}/{found}", f"before {found}", json.dumps(found)[1:-1]]))

    def plan(self) -> dict[str, Any]:
        changes = [self.change() for _ in range(self._draw(st.integers(1, 4)))]
        drift, deferred, output = self.change(), self.change(), self.change()
        declared = self.secret()
        changes[0] |= {"generated_config": f'a = "{self.repeated()}"', "importing": {"id": self.repeated()}}
        changes[-1]["after_unknown"] = {self.repeated(): True}
        changes[-1]["replace_paths"] = [[self.repeated()]]
        return {
            "variables": {"declared": {"value": {"in": [declared]}}},
            "configuration": {"root_module": {"variables": {"declared": {"sensitive": True}}}},
            "resource_changes": [
                resource(change, address=f"cloud_key.a[{self.repeated()}]", index=self.repeated(), previous_address=self.repeated())
                for change in changes
            ],
            "resource_drift": [resource(drift)],
            "relevant_attributes": [{"resource": "cloud_key.a", "attribute": ["map", self.repeated()]}],
            "deferred_changes": [{"reason": self.repeated(), "resource_change": resource(deferred)}],
            "output_changes": {self.repeated(): output},
            "action_invocations": [{"config_values": {"a": self.secret(), "b": self.repeated()}, "config_sensitive": {"a": True}}],
        }


@st.composite
def planted(draw: st.DrawFn) -> tuple[dict[str, Any], list[str]]:
    plan = Planted(draw)
    return plan.plan(), plan.secrets


def texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for name, inner in value.items() for text in (name, *texts(inner))]
    if isinstance(value, list):
        return [text for inner in value for text in texts(inner)]
    return [value] if isinstance(value, str) else []


@settings(max_examples=150, deadline=None)
@given(planted())
def test_no_secret_is_left_anywhere(drawn: tuple[dict[str, Any], list[str]]) -> None:
    plan, secrets = drawn
    _, document = redacted(plan)
    left = [(secret, text) for text in texts(document) for secret in secrets if secret in text]
    assert not left
    assert "planted-" not in json.dumps(document["resource_changes"][0]["change"].get("after"))
