"""Bytes from a stranger to JSON values that are safe to look at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import msgspec

from terrapod_core.errors import BadRequest, Invalid

MAX_DEPTH: Final = 64
"""Lists and objects inside one another."""

MAX_MEMBERS: Final = 10_000
"""Of one list or object."""

MAX_VALUES: Final = 100_000
"""Of a whole document: what is let through is checked in milliseconds, whatever its shape."""

_INT64: Final = range(-(2**63), 2**63)
_TOO_DEEP: Final = f"The document is nested more than {MAX_DEPTH} levels deep"
_TOO_MANY: Final = f"A document may hold at most {MAX_VALUES} values"


def decode(raw: bytes) -> Any:
    """The JSON value in `raw`.

    `BadRequest` when it is not JSON in UTF-8 (`NaN` and half a surrogate pair are not), is nested too deep, or holds a whole
    number outside 64 bits; `Invalid`, with a pointer, for too many members and for text with a zero character, which
    PostgreSQL cannot store. Of a repeated key the last counts.
    """
    if raw.count(b"[") + raw.count(b"{") > 2 * MAX_VALUES:  # before decoding: a million empty lists take half a second
        raise Invalid(_TOO_MANY)
    try:
        value = msgspec.json.decode(raw)
    except RecursionError:
        raise BadRequest(_TOO_DEEP) from None
    except UnicodeDecodeError as error:
        raise BadRequest(f"The body is not text in UTF-8: byte {error.start} of a string is wrong") from None
    except msgspec.ValidationError as error:  # a number that no float or machine integer can hold
        raise BadRequest(f"The body holds a number out of range: {error}") from None
    except msgspec.DecodeError as error:
        raise BadRequest(f"The body is not JSON: {error}" if raw.strip() else "The body is empty; a JSON document is wanted") from None
    _Check(MAX_VALUES).value(value, "", 0)
    return value


def token(key: str) -> str:
    """One step of a JSON pointer (RFC 6901)."""
    return key.replace("~", "~0").replace("/", "~1")


@dataclass
class _Check:
    """Walks a document once. `left` is how many values it may still hold."""

    left: int

    def value(self, value: Any, pointer: str, depth: int) -> None:
        kind = type(value)
        if kind is str:
            _no_zero(value, pointer)
        elif kind is int:
            if value not in _INT64:
                raise BadRequest("The document holds a whole number that does not fit 64 bits", pointer=pointer or None)
        elif kind is dict:
            self._enter(value, pointer, depth)
            for key, item in value.items():
                _no_zero(key, pointer)
                self.value(item, f"{pointer}/{token(key)}", depth + 1)
        elif kind is list:
            self._enter(value, pointer, depth)
            for number, item in enumerate(value):
                self.value(item, f"{pointer}/{number}", depth + 1)

    def _enter(self, container: dict[str, Any] | list[Any], pointer: str, depth: int) -> None:
        if depth >= MAX_DEPTH:
            raise BadRequest(_TOO_DEEP)
        if len(container) > MAX_MEMBERS:
            raise Invalid(f"A list or an object may have at most {MAX_MEMBERS} members", pointer=pointer or None)
        self.left -= len(container)
        if self.left < 0:
            raise Invalid(_TOO_MANY, pointer=pointer or None)


def _no_zero(text: str, pointer: str) -> None:
    if "\0" in text:
        raise Invalid("Text may not hold a zero character (U+0000)", pointer=pointer or None)
