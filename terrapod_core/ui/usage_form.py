"""The form in which somebody says what the inputs of a module are to be, and the block that comes of it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from terrapod_core.errors import Invalid
from terrapod_core.registry.contents.structs import Input
from terrapod_core.registry.contents.usage import Reference, block

PREFIX: Final = "input-"
"""Before the names of the fields, so that no input has that of another field."""
LABEL: Final = "label"
BYTES: Final = 1 << 20
FIELDS: Final = 5000

_REFERENCE: Final = re.compile(r"\$\{([^{}]+)\}")
"""How a reference is written where a text is meant as well."""
_BARE: Final = re.compile(r"(var|local|module|data|each|path|terraform)\.[^\s]+|[a-z0-9]+_[A-Za-z0-9_]+\.[^\s]+")
"""How it may be written where no text is meant."""
_KINDS: Final[Mapping[str, tuple[tuple[type, ...], str]]] = {
    "number": ((int, float), "a number"),
    "bool": ((bool,), "true or false"),
    "list": ((list,), 'a list, as ["a", "b"]'),
    "set": ((list,), 'a list, as ["a", "b"]'),
    "tuple": ((list,), 'a list, as ["a", "b"]'),
    "map": ((dict,), 'an object, as {"key": "value"}'),
    "object": ((dict,), 'an object, as {"key": "value"}'),
}


@dataclass(frozen=True)
class Built:
    """What the form holds, and what came of it."""

    label: str
    typed: Mapping[str, str] = field(default_factory=dict)
    """By the names of inputs."""
    text: str | None = None
    """The block; `None` when nothing was sent, or something is wrong."""
    problems: Sequence[str] = ()


def kind_of(given: Input) -> str:
    """The first word of its type: `list` of `list(string)`; `any` where none is given."""
    return re.split(r"[^a-z]", given.type or "any", maxsplit=1)[0]


def example_of(given: Input) -> str:
    """Its default as the form takes it; empty when that cannot be said."""
    if given.value is msgspec.UNSET or given.value is None:
        return ""
    return given.value if isinstance(given.value, str) else msgspec.json.encode(given.value).decode()


def label_of(name: str) -> str:
    """What the block of a module of this name may be called: a name there begins with no digit."""
    return name if re.match(r"[A-Za-z_]", name) else f"module_{name}"


def built(source: str, version: str, inputs: Sequence[Input], fields: Mapping[str, str]) -> Built:
    """The block that these fields come to, or what is wrong with them."""
    label = fields.get(LABEL, "").strip()
    typed = {name.removeprefix(PREFIX): _lines(text) for name, text in fields.items() if name.startswith(PREFIX) and text.strip()}
    values: dict[str, Any] = {}
    problems: list[str] = []
    for each in inputs:
        if each.name in typed:
            try:
                values[each.name] = _value(each, typed[each.name])
            except ValueError as problem:
                problems.append(f"{each.name}: {problem}")
    try:
        text = block(label, source, version, inputs, values)
    except Invalid as refusal:
        return Built(label, typed, None, [*problems, *(each.detail for each in refusal.problems)])
    except RecursionError:
        return Built(label, typed, None, ["a value is nested too deeply"])
    return Built(label, typed, None if problems else text, problems)


def _lines(text: str) -> str:
    """What was written into a field; browsers end its lines as Windows does."""
    return text.replace("\r\n", "\n")


def _value(given: Input, text: str) -> Any:
    """What was meant; raises `ValueError` with what is expected instead."""
    kind, short = kind_of(given), text.strip()
    if reference := _REFERENCE.fullmatch(short):
        return Reference(reference[1].strip())
    try:
        value = msgspec.json.decode(short)
    except (msgspec.DecodeError, RecursionError):
        value = msgspec.UNSET
    if kind == "string":
        return value if isinstance(value, str) else text
    if value is msgspec.UNSET and _BARE.fullmatch(short):
        return Reference(short)
    types, expected = _KINDS.get(kind, ((), ""))
    if types and (not isinstance(value, types) or (kind == "number" and isinstance(value, bool))):
        raise ValueError(f"write {expected}, or a reference as var.{given.name}")
    return text if value is msgspec.UNSET else value
