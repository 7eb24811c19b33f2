"""What is remembered of a log's end, and how it is cut into events."""

from __future__ import annotations

from hypothesis import given, strategies as st

from terrapod_core.live.following import _whole_characters
from terrapod_core.runs.tails import KEPT_BYTES, Tail


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), st.integers(0, 32))
def test_text_is_never_cut_within_a_character(text: str, at: int) -> None:
    data = text.encode()
    cut = data[:at]
    told = cut[: _whole_characters(cut)]
    assert told.decode() == data.decode()[: len(told.decode())]
    assert len(cut) - len(told) < 4


@given(st.binary(max_size=8))
def test_bytes_that_are_no_text_are_held_back_for_three_bytes_at_most(data: bytes) -> None:
    assert len(data) - 3 <= _whole_characters(data) <= len(data)


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 20)), max_size=12), st.integers(0, 60), st.integers(0, 20))
def test_a_tail_remembers_only_what_is_true(pieces: list[tuple[int, int]], start: int, size: int) -> None:
    log = bytes(range(100))
    tail = Tail(0)
    for at, length in pieces:  # as they come, late ones and gaps among them
        tail.grow(at, log[at : at + length])
    assert tail.cut(start, start + size) in (None, log[start : start + size])
    assert tail.end == max([0, *(at + length for at, length in pieces)])


def test_a_tail_is_bounded_and_keeps_the_end() -> None:
    tail = Tail(0)
    for number in range(40):
        tail.grow(tail.end, bytes([number]) * 65_536)
    assert tail.end == 40 * 65_536
    assert tail.cut(tail.end - KEPT_BYTES, tail.end) == b"".join(bytes([number]) * 65_536 for number in range(36, 40))
    assert tail.cut(tail.end - KEPT_BYTES - 1, tail.end) is None
