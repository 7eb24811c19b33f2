"""JSON as people send it: read strictly, and refused in one sentence that names the field."""

from __future__ import annotations

import json
from collections.abc import Collection
from enum import StrEnum
from typing import Any, Final, Never, TypeVar

_Word = TypeVar("_Word", bound=StrEnum)
_SHOWN: Final = 60


class InvalidConfig(Exception):
    """A document that is not taken. Nothing of it holds."""

    def __init__(self, message: str, *, field: str = "", word: str = "invalid_config") -> None:
        super().__init__(message)
        self.message = message
        """One sentence for the person who sent it."""
        self.field = field
        """Where it is wrong, as `workspaces.production.schedule`; empty for the document as a whole."""
        self.word = word
        """The contract's `error`."""


def parse(body: bytes, at_most: int) -> Any:
    """JSON in UTF-8 without keys given twice, numbers JSON has not, or more bytes than `at_most`. Raises `InvalidConfig`."""
    if len(body) > at_most:
        raise InvalidConfig(f"The document has {len(body)} bytes; at most {at_most} are allowed.")
    try:
        return json.loads(body.decode(), object_pairs_hook=_once, parse_constant=_no_number)
    except json.JSONDecodeError as error:
        raise InvalidConfig(f"The document must be JSON: it cannot be read from line {error.lineno}, column {error.colno}.") from None
    except UnicodeDecodeError:
        raise InvalidConfig("The document must be JSON in UTF-8.") from None
    except (ValueError, RecursionError):  # a number of thousands of digits, thousands of brackets
        raise InvalidConfig("The document must be JSON: it is nested too deeply, or has a number that is too long.") from None


def shown(value: Any) -> str:
    """A value as a refusal quotes it: in ASCII, not all of a long one, and nothing of what is in an object or a list."""
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    text = json.dumps(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def place(*names: str) -> str:
    """The name of a field in the document."""
    return ".".join(name for name in names if name)


def fields(value: Any, where: str, required: Collection[str], optional: Collection[str]) -> dict[str, Any]:
    """An object with all required fields and no others than these. Raises `InvalidConfig`."""
    if not isinstance(value, dict):
        raise InvalidConfig(f"{where or 'The document'} must be an object, not {shown(value)}.", field=where)
    allowed = [*required, *optional]
    for name in value:
        if name not in allowed:
            raise InvalidConfig(f"{place(where, _quoted(name))} is no field; allowed are {', '.join(allowed)}.", field=place(where, name))
    for name in required:
        if name not in value:
            raise InvalidConfig(f"{place(where, name)} must be given.", field=place(where, name))
    return value


def truth(value: Any, where: str) -> bool:
    """true or false. Raises `InvalidConfig`."""
    if not isinstance(value, bool):
        raise InvalidConfig(f"{where} must be true or false, not {shown(value)}.", field=where)
    return value


def text(value: Any, where: str) -> str:
    """Text that is not empty. Raises `InvalidConfig`."""
    if not isinstance(value, str) or not value:
        raise InvalidConfig(f"{where} must be text, not {shown(value)}; leave it out to have none.", field=where)
    return value


def word(value: Any, where: str, words: type[_Word]) -> _Word:
    """One of the words. Raises `InvalidConfig`."""
    try:
        return words(value)
    except ValueError:
        raise InvalidConfig(f"{where} must be one of {', '.join(words)}, not {shown(value)}.", field=where) from None


def _quoted(name: str) -> str:
    """A name of a field as it is, or quoted where that would be hard to read."""
    return name if name.isascii() and name.isprintable() and 0 < len(name) <= _SHOWN else shown(name)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise InvalidConfig(f"{shown(name)} is given twice in one object; give each key once.", field=name)
        found[name] = value
    return found


def _no_number(name: str) -> Never:
    raise InvalidConfig(f"The document must be JSON, which has no {name}.")
