"""What somebody writes into the form of a module's inputs, and the block that comes of it."""

from __future__ import annotations

import pytest

from terrapod_core.registry.contents.structs import Input
from terrapod_core.ui import usage_form
from terrapod_core.ui.usage_form import Built


def built(type_: str | None, text: str, **fields: str) -> Built:
    """The form of a module with one input of this type, with this text in its field."""
    return usage_form.built(
        "example.com/default/vpc/aws", "1.0.0", [Input(name="it", type=type_)], {"label": "vpc", "input-it": text} | fields
    )


def assigned(type_: str | None, text: str) -> str:
    """What the block sets the input to."""
    found = built(type_, text)
    assert found.problems == []
    assert found.text is not None
    return found.text.partition("it = ")[2].removesuffix("\n}\n")


@pytest.mark.parametrize(
    ("type_", "text", "expected"),
    [
        ("string", "eu-west-1", '"eu-west-1"'),
        ("string", '"eu-west-1"', '"eu-west-1"'),
        ("string", "8", '"8"'),
        ("string", "module.network.id", '"module.network.id"'),
        ("string", "${module.network.id}", "module.network.id"),
        ("string", "a ${var.b} c", '"a $${var.b} c"'),
        ("string", "one\r\ntwo", '"one\\ntwo"'),
        ("number", " 8.5 ", "8.5"),
        ("number", "var.count", "var.count"),
        ("bool", "true", "true"),
        ("list(string)", '["a", "b"]', '["a", "b"]'),
        ("list(string)", "aws_subnet.all[0]", "aws_subnet.all[0]"),
        ("set(number)", "[1]", "[1]"),
        ("map(string)", '{"a": "b"}', '{\n    a = "b"\n  }'),
        ("object({\n  a = string\n})", '{"a": "b"}', '{\n    a = "b"\n  }'),
        (None, "text", '"text"'),
        ("any", "true", "true"),
        ("any", "var.it", "var.it"),
    ],
)
def test_what_is_written_means_what_the_type_says(type_: str | None, text: str, expected: str) -> None:
    assert assigned(type_, text) == expected


@pytest.mark.parametrize(
    ("type_", "text", "says"),
    [
        ("number", "eight", "it: write a number"),
        ("number", "true", "it: write a number"),
        ("bool", "1", "it: write true or false"),
        ("list(string)", "a, b", "it: write a list"),
        ("map(string)", '["a"]', "it: write an object"),
        ("string", "${not a reference}", "is no reference"),
        ("list(any)", "[" * 100_000 + "]" * 100_000, "it: write a list"),
    ],
)
def test_what_cannot_be_meant_is_said_beside_what_was_written(type_: str, text: str, says: str) -> None:
    found = built(type_, text)
    assert found.text is None
    assert says in found.problems[0]
    assert found.typed["it"] == text


def test_a_value_nested_deeper_than_can_be_written_is_refused() -> None:
    found = built("any", "[" * 900 + "]" * 900)
    assert found.text is not None or found.problems == ["a value is nested too deeply"]


def test_every_problem_is_told_at_once() -> None:
    found = built("number", "x", **{"label": "no label", "input-other": "y"})
    assert len(found.problems) == 2
    assert "no label" in found.problems[1]


def test_a_field_of_an_input_that_is_not_there_says_nothing() -> None:
    found = built("string", "a", **{"input-gone": "b"})
    assert found.text is not None
    assert "gone" not in found.text


def test_a_block_whose_module_begins_with_a_digit_gets_a_name_that_terraform_takes() -> None:
    assert [usage_form.label_of(each) for each in ("vpc", "7-zip")] == ["vpc", "module_7-zip"]


def test_an_example_is_written_as_the_form_takes_it() -> None:
    shown = [Input(name="it", required=False, value=value) for value in ("text", ["a"], True, None)]
    assert [usage_form.example_of(each) for each in [*shown, Input(name="it")]] == ["text", '["a"]', "true", "", ""]
