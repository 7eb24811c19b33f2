"""The JSON syntax (`*.tf.json`)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from .syntax import DEPTH, LARGEST_NUMBER, Block, Expression, NotConfiguration, Unknown, clean
from .writing import literal

LABELS: Final = {"resource": 2, "data": 2, "ephemeral": 2, "variable": 1, "output": 1, "module": 1, "provider": 1}
"""Block types at the top level that are read, and how many labels they have; `terraform` has none."""
BLOCKS: Final = {"validation", "required_providers"}
COMMENT: Final = "//"


def parse(text: str) -> list[Block]:
    """The blocks of a file that are read. Raises `NotConfiguration`."""
    try:
        document = json.loads(text.removeprefix("\ufeff"), parse_constant=_no_number, parse_int=_integer, parse_float=_float)
    except ValueError as error:
        raise NotConfiguration(f"it is not JSON: {str(error)[:200]}") from None
    if not isinstance(document, (dict, list)):
        raise NotConfiguration("it is JSON, and neither an object nor a list of objects")
    return [
        _block(type_, labels, body)
        for outer in _bodies(document)
        for type_, value in outer.items()
        if type_ in LABELS or type_ == "terraform"
        for labels, body in _labelled(value, LABELS.get(type_, 0))
    ]


def _no_number(word: str) -> float:
    raise ValueError(f"{word} is no number")


class _Digits(str):
    """A number of the document that is none in JSON for everybody."""

    __slots__ = ()


def _integer(digits: str) -> int | _Digits:
    return int(digits) if abs(float(digits)) <= LARGEST_NUMBER else _Digits(digits)


def _float(digits: str) -> float | _Digits:
    return number if abs(number := float(digits)) <= LARGEST_NUMBER else _Digits(digits)


def _bodies(value: Any) -> Iterator[dict[str, Any]]:
    """An object, or the objects of a list: both may stand for a body."""
    for each in value if isinstance(value, list) else [value]:
        if isinstance(each, dict):
            yield each


def _labelled(value: Any, count: int) -> Iterator[tuple[list[str], dict[str, Any]]]:
    for body in _bodies(value):
        if not count:
            yield [], body
            continue
        for name, inner in body.items():
            if name != COMMENT:
                yield from ((([clean(name), *labels]), found) for labels, found in _labelled(inner, count - 1))


def _block(type_: str, labels: list[str], body: dict[str, Any]) -> Block:
    block = Block(type_, labels)
    for name, value in body.items():
        if name == COMMENT:
            continue
        if name in BLOCKS:
            block.blocks += [_block(name, [], inner) for inner in _bodies(value)]
        else:
            block.attributes[clean(name)] = Json(value)
    return block


class Json(Expression):
    """A value of the JSON syntax, where a text is a template or the expression itself."""

    def __init__(self, value: Any) -> None:
        self._value = value

    @property
    def text(self) -> str:
        if isinstance(self._value, _Digits):
            return self._value
        try:
            return literal(self.value())
        except Unknown:
            return clean(json.dumps(self._value, ensure_ascii=False))

    @property
    def reference(self) -> str:
        return clean(self._value) if isinstance(self._value, str) else self.text

    def value(self, depth: int = DEPTH) -> Any:
        if not depth:
            raise Unknown
        match self._value:
            case _Digits():
                raise Unknown
            case str() as text:
                if "${" in text.replace("$${", "") or "%{" in text.replace("%%{", ""):
                    raise Unknown
                return clean(text.replace("$${", "${").replace("%%{", "%{"))
            case list():
                return [element.value(depth - 1) for element in self.elements()]
            case dict():
                return {name: member.value(depth - 1) for name, member in self.items().items()}
        return self._value

    def items(self) -> dict[str, Expression]:
        return {clean(name): Json(value) for name, value in self._value.items()} if isinstance(self._value, dict) else {}

    def elements(self) -> list[Expression]:
        return [Json(value) for value in self._value] if isinstance(self._value, list) else []
