from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from terrapod_core.ui.ansi import plain
from terrapod_core.ui.render import duration, words


@pytest.mark.parametrize(
    ("printed", "read"),
    [
        (b"\x02\x1b[1m\x1b[38;5;196mred\x1b[0m\x03", "red"),
        (b"\x1b]0;title\x07text", "text"),
        (b"\x1b]8;;https://example.com\x1b\\link\x1b]8;;\x1b\\", "link"),
        (b"a\r\nb\tc\x00\x7f", "a\nb\tc"),
        (b"\x1b[2K\x1b[1Gdone", "done"),
        (b"cut \x1b[3", "cut [3"),
        ("grün \u2502".encode(), "grün \u2502"),
        (b"\xff", "\ufffd"),
    ],
)
def test_a_terminals_text_is_read_without_what_steers_the_terminal(printed: bytes, read: str) -> None:
    assert plain(printed.decode("utf-8", "replace")) == read


@given(st.binary(max_size=200))
def test_nothing_that_steers_a_terminal_is_left(printed: bytes) -> None:
    assert not [each for each in plain(printed.decode("utf-8", "replace")) if (ord(each) < 32 and each not in "\n\t\r") or ord(each) == 127]


@pytest.mark.parametrize(("seconds", "said"), [(None, ""), (0, "0 s"), (59, "59 s"), (75, "1 min 15 s"), (7260, "2 h 1 min")])
def test_a_length_of_time_is_said_in_two_parts_at_most(seconds: int | None, said: str) -> None:
    assert duration(seconds) == said


def test_a_word_of_the_wire_is_said_as_people_do() -> None:
    assert words("planned_and_finished") == "planned and finished"
