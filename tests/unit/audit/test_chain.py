"""What is hashed: every field, and no field in another's place."""

from __future__ import annotations

from typing import Any

from hypothesis import given, strategies as st

from terrapod_core.audit.chain import Link, beginning, link_hash
from terrapod_core.audit.models import AuditSegment

FIELDS = [name for name in Link.__struct_fields__ if name not in ("seal_no", "hash")]
OPTIONAL = ("request_id", "address")
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=4)


@st.composite
def links(draw: st.DrawFn) -> Link:
    values: dict[str, Any] = {name: draw(st.none() | TEXT if name in OPTIONAL else TEXT) for name in FIELDS}
    return Link(seal_no=0, hash="", **values)


@given(links(), links())
def test_two_entries_give_the_same_bytes_only_when_they_are_the_same(one: Link, other: Link) -> None:
    assert (one.canonical() == other.canonical()) == (one == other)


@given(links(), st.integers(0, len(FIELDS) - 2))
def test_text_that_moves_to_the_next_field_is_another_entry(link: Link, at: int) -> None:
    values = {name: getattr(link, name) or "" for name in FIELDS}
    one = Link(seal_no=0, hash="", **values | {FIELDS[at]: values[FIELDS[at]] + "x"})
    other = Link(seal_no=0, hash="", **values | {FIELDS[at + 1]: "x" + values[FIELDS[at + 1]]})
    assert one.canonical() != other.canonical()


LINK = Link(**dict.fromkeys(FIELDS, "x"), seal_no=0, hash="")


def test_an_absent_address_is_not_an_empty_one() -> None:
    absent, empty = (Link(**dict.fromkeys(FIELDS, "x") | {"address": value}, seal_no=0, hash="") for value in (None, ""))  # type: ignore[arg-type]
    assert absent.canonical() != empty.canonical()


def test_the_hash_depends_on_the_place_and_on_what_came_before() -> None:
    hashes = {link_hash(LINK, previous, number) for previous in ("00" * 32, "01" * 32) for number in (1, 2, 256)}
    assert len(hashes) == 6


def test_the_hash_of_format_1_never_changes() -> None:
    """Chains that are out there are checked with it."""
    assert link_hash(LINK, "00" * 32, 1) == "fa8e786347cf10f214f5564c684c5fb7f45d3a7ae3e50c0fd4dcf65e4e5c5c57"
    segment = AuditSegment(segment=1, chain_id="ab", format=1, first_seal_no=1, previous_hash="")
    assert beginning(segment) == "b38d3cfe8c89c4314f11c9c0eb5a0ab586cf26dcb2d1e5938b8f555af98becf6"
