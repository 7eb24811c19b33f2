"""What msgspec says about a wrong value, in plain words and with a JSON pointer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from msgspec import inspect as kinds

from terrapod_core.jsonapi.decode import token

_EXPECTED: Final = re.compile(r"Expected `(?P<want>[^`]+)`(?: (?P<rule>[^,].*?))?(?:, got `(?P<got>[^`]+)`)?", re.DOTALL)
_MISSING: Final = re.compile(r"Object missing required field `(?P<name>[^`]+)`")
_STEP: Final = re.compile(r"\.(?P<name>[^.\[\]`]+)|\[(?P<index>[0-9]+)\]")
_LENGTH: Final = re.compile(r"of length (?P<sign>[<>]=?|==) (?P<size>[0-9]+)")
_BOUND: Final = re.compile(r"(?P<sign>[<>]=?) (?P<limit>\S+)")

_WANT: Final = {
    "bool": "true or false",
    "str": "a string",
    "int": "a whole number",
    "float": "a number",
    "array": "a list",
    "object": "an object",
    "datetime": "a time such as 2026-01-31T12:00:00Z",
    "null": "null",
    "bytes": "text in base64",
}
_GOT: Final = {
    "bool": "true or false",
    "str": "a string",
    "int": "a number",
    "float": "a decimal number",
    "array": "a list",
    "object": "an object",
    "null": "null",
}
_COMPARED: Final = {">=": "at least", "<=": "at most", ">": "more than", "<": "less than", "==": "exactly"}


def explain(name: str, message: str, kind: kinds.Type) -> tuple[str, str]:
    """The rest of the pointer, below the field called `name`, and the sentence.

    `message` is msgspec's; it may end with a path into the field (`- at `$.oauth_token_id``). `kind` is the field's type, for
    the choices of an enum, which msgspec does not name. A step that msgspec does not name either (the key of a dictionary)
    ends the pointer, and the sentence then speaks of "a value in" what is known.
    """
    text, _, path = message.rpartition(" - at `$")
    steps, unnamed = _steps(path.removesuffix("`")) if text else ([], False)
    text = text or message
    missing = _MISSING.fullmatch(text)
    if missing and not unnamed:
        steps.append(missing["name"])
    subject = ".".join([name, *(_kebab(step) for step in steps)])
    if unnamed:
        subject = f"a value in {subject}"
    pointer = "".join(f"/{token(_kebab(step))}" for step in steps)
    if missing:
        return pointer, f"{subject} lacks {_kebab(missing['name'])}" if unnamed else f"{subject} is required"
    return pointer, f"{subject} {_predicate(text, [] if unnamed else _below(kind, steps))}"


def _steps(path: str) -> tuple[list[str | int], bool]:
    """The steps of msgspec's path, and whether it goes on below one that has no name (`[...]`)."""
    steps: list[str | int] = []
    at = 0
    while found := _STEP.match(path, at):
        steps.append(found["name"] if found["name"] is not None else int(found["index"]))
        at = found.end()
    return steps, at < len(path)


def _kebab(step: str | int) -> str:
    return str(step).replace("_", "-")


def _below(kind: kinds.Type, steps: Sequence[str | int]) -> list[kinds.Type]:
    """The types a value at this place may have; none when the place cannot be found."""
    options = list(kind.types) if isinstance(kind, kinds.UnionType) else [kind]
    if not steps:
        return options
    first, rest = steps[0], steps[1:]
    for option in options:
        if isinstance(option, kinds.StructType | kinds.DataclassType | kinds.TypedDictType):
            for field in option.fields:
                if field.encode_name == first:
                    return _below(field.type, rest)
        elif isinstance(option, kinds.ListType | kinds.VarTupleType | kinds.SetType | kinds.FrozenSetType) and isinstance(first, int):
            return _below(option.item_type, rest)
    return []


def _predicate(text: str, options: Sequence[kinds.Type]) -> str:
    if text.startswith("Invalid enum value"):
        choices = _choices(options)
        return f"must be one of {', '.join(choices)}" if choices else "is not one of the values allowed"
    if text.startswith("Invalid RFC3339"):
        return "must be a time such as 2026-01-31T12:00:00Z"
    if text.startswith("Invalid base64"):
        return "must be text in base64"
    expected = _EXPECTED.fullmatch(text)
    if expected is None:
        return f"is not valid: {text}"
    if expected["rule"]:
        return _rule(expected["want"], expected["rule"])
    want = ", or ".join(_WANT.get(word, word) for word in expected["want"].split(" | "))
    got = expected["got"]
    return f"must be {want}, not {_GOT.get(got, got)}" if got else f"must be {want}"


def _choices(options: Sequence[kinds.Type]) -> list[str]:
    choices: list[str] = []
    for option in options:
        if isinstance(option, kinds.EnumType):
            choices.extend(str(member.value) for member in option.cls)
        elif isinstance(option, kinds.LiteralType):
            choices.extend(str(value) for value in option.values)
    return choices


def _rule(want: str, rule: str) -> str:
    if length := _LENGTH.fullmatch(rule):
        what = "characters" if want.startswith("str") else "members"
        return f"must have {_COMPARED[length['sign']]} {length['size']} {what}"
    if bound := _BOUND.fullmatch(rule):
        return f"must be {_COMPARED[bound['sign']]} {bound['limit']}"
    if rule.startswith("matching regex "):
        return f"must match {rule.removeprefix('matching regex ')}"
    if rule == "with a timezone component":
        return "needs a time zone, as in 2026-01-31T12:00:00Z"
    return f"must be {_WANT.get(want, want)} {rule}"
