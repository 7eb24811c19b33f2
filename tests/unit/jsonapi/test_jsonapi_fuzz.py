from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given, strategies as st
from msgspec import UNSET, UnsetType

from terrapod_core.errors import TerrapodError
from terrapod_core.jsonapi import Ref, errors_document, parse, parse_action, parse_plain, parse_refs


class Mode(StrEnum):
    A = "a"


class Nested(msgspec.Struct, kw_only=True):
    some_id: str
    below: list[Nested] = []


class Everything(msgspec.Struct, kw_only=True):
    text: Annotated[str, msgspec.Meta(pattern="^a")] | UnsetType = UNSET
    flag: bool | None = None
    number: int = 0
    decimal: float = 0.0
    mode: Mode | None = None
    choice: Literal["x", "y"] = "x"
    labels: dict[str, str] | None = None
    nested: Nested | list[str] | None = None
    moment: datetime | None = None
    blob: bytes = b""
    free: Any = None
    one: Ref | None = None
    many: list[Ref] = []


PARSERS: dict[str, Callable[[bytes], object]] = {
    "parse": lambda raw: parse(raw, Everything),
    "parse_plain": lambda raw: parse_plain(raw, Everything),
    "parse_refs": parse_refs,
    "parse_action": parse_action,
}

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=-(10**400), max_value=10**400),
    st.floats(),
    st.text(),
    st.text(st.characters()),
    st.sampled_from(["a", "x", "2026-01-01T00:00:00Z", "9999-12-31T23:59:59-23:59", "- at `$.x[0]`", "[...]", "`"]),
)
KEYS = st.one_of(st.text(), st.sampled_from(["some-id", "some_id", "below", "id", "type", "attributes", "data"]))
VALUES = st.recursive(
    SCALARS,
    lambda children: st.one_of(
        st.lists(children, max_size=4),
        st.dictionaries(KEYS, children, max_size=4),
    ),
    max_leaves=12,
)
FIELDS = st.sampled_from([*Everything.__struct_fields__, "comment", "some-id"])
MEMBERS = st.one_of(VALUES, st.dictionaries(FIELDS, st.one_of(VALUES, st.fixed_dictionaries({"data": VALUES})), max_size=5))
DOCUMENTS = st.one_of(
    VALUES,
    MEMBERS,
    st.fixed_dictionaries({"data": st.one_of(VALUES, st.fixed_dictionaries({"attributes": MEMBERS, "relationships": MEMBERS}))}),
)


def refusal_of(name: str, raw: bytes) -> TerrapodError | None:
    """What the parser refuses with; `None` when it returns. Any other exception is a failure of the test."""
    try:
        PARSERS[name](raw)
    except TerrapodError as refusal:
        return refusal
    return None


def judge(name: str, raw: bytes) -> None:
    """The parser returns, or refuses with a 4xx that can be told."""
    refusal = refusal_of(name, raw)
    if refusal is not None:
        assert 400 <= refusal.status < 500
        members = json.loads(errors_document(refusal))["errors"]
        assert members
        assert all(member["detail"] for member in members)


@pytest.mark.parametrize("name", PARSERS)
@given(raw=st.binary())
def test_any_bytes_are_read_or_refused(name: str, raw: bytes) -> None:
    judge(name, raw)


@pytest.mark.parametrize("name", PARSERS)
@given(value=DOCUMENTS)
def test_any_json_is_read_or_refused(name: str, value: Any) -> None:
    judge(name, json.dumps(value).encode())


@pytest.mark.parametrize("name", PARSERS)
@given(value=DOCUMENTS, cut=st.integers(min_value=0, max_value=300), byte=st.integers(min_value=0, max_value=255))
def test_a_damaged_document_is_read_or_refused(name: str, value: Any, cut: int, byte: int) -> None:
    raw = bytearray(json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass"))
    if cut < len(raw):
        raw[cut] = byte
    judge(name, bytes(raw))


@given(value=MEMBERS)
def test_what_was_read_can_be_written_again(value: Any) -> None:
    try:
        read = parse(json.dumps({"data": {"attributes": value}}).encode(), Everything)
    except TerrapodError:
        return
    assert msgspec.json.encode(read)
