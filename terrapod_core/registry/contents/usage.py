"""Blocks ready to be copied, formatted as `terraform fmt` formats: one that calls a module, from what its inputs are to be, and one that
requires a provider.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from terrapod_core.errors import Problems

from .structs import Input
from .writing import aligned, heredoc, literal, quoted

INDENT: Final = 2
TYPE_CHARACTERS: Final = 80
"""Of a type in a comment."""
_REFERENCE: Final = re.compile(r'[A-Za-z_][A-Za-z0-9_-]*(\.[A-Za-z_][A-Za-z0-9_-]*|\[([0-9]{1,9}|"[^"\\$%\x00-\x1f]*")\])+')
_LABEL: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


@dataclass(frozen=True)
class Reference:
    """A value that another part of the calling configuration has, as `module.network.id` or `var.zones[0]`."""

    text: str


def block(label: str, source: str, version: str | None, inputs: Sequence[Input], values: Mapping[str, Any]) -> str:
    """A `module` block with this label. `values` are in the terms of JSON, or `Reference`s.

    Required inputs come first, and one without a value gets a line that says what to fill in. An optional one without a value is left
    out. Raises `Invalid` that names everything wrong: a label that is none, an input that the module lacks, what is no reference.
    """
    _check(label, inputs, values)
    head: list[tuple[str, str]] = [("source", quoted(source))]
    if version is not None:
        head.append(("version", quoted(version)))
    required = [each for each in inputs if each.required]
    chosen = [each for each in inputs if not each.required and each.name in values]
    parts = [aligned(head, INDENT), *(list(_lines(group, values)) for group in (required, chosen) if group)]
    body = "\n\n".join("\n".join(lines) for lines in parts)
    return f"module {quoted(label)} {{\n{body}\n}}\n"


def requirement(name: str, source: str, version: str) -> str:
    """A `terraform` block that requires a provider, which is called `name` there."""
    entry = "\n".join(aligned([("source", quoted(source)), ("version", quoted(version))], 3 * INDENT))
    return f"terraform {{\n  required_providers {{\n    {name} = {{\n{entry}\n    }}\n  }}\n}}\n"


def _check(label: str, inputs: Sequence[Input], values: Mapping[str, Any]) -> None:
    known = {each.name for each in inputs}
    problems = Problems()
    if not _LABEL.fullmatch(label):
        problems.add(f"{label!r} cannot be the name of a module block: letters, digits, - and _")
    for name, value in values.items():
        if name not in known:
            problems.add(f"the module has no input {name!r}")
        if isinstance(value, Reference) and not _REFERENCE.fullmatch(value.text):
            problems.add(f"{value.text!r} is no reference, as var.name or module.network.id is")
    problems.refuse()


def _lines(inputs: Sequence[Input], values: Mapping[str, Any]) -> Iterator[str]:
    """Assignments, in groups that have no comment between them: the formatter aligns those."""
    group: list[tuple[str, str]] = []
    for each in inputs:
        comment = _comment(each, values)
        if comment is not None:
            yield from aligned(group, INDENT)
            group = []
            yield f"{' ' * INDENT}# {comment}"
        group.append((each.name, _value(each, values)))
    yield from aligned(group, INDENT)


def _comment(each: Input, values: Mapping[str, Any]) -> str | None:
    if each.sensitive and not isinstance(values.get(each.name), Reference):
        return "Sensitive: hand it over as a variable rather than writing it here."
    if each.name not in values:
        return f"Required, fill in: {_short(each.type)}"
    return None


def _short(type_: str | None) -> str:
    text = " ".join((type_ or "any type").split())
    return text if len(text) <= TYPE_CHARACTERS else text[: TYPE_CHARACTERS - 1] + "…"


def _value(each: Input, values: Mapping[str, Any]) -> str:
    if each.name not in values:
        return f"var.{each.name}" if each.sensitive else "null"
    value = values[each.name]
    if isinstance(value, Reference):
        return value.text
    if isinstance(value, str):
        return heredoc(value, INDENT) or quoted(value)
    return literal(value, INDENT)
