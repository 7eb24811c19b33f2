"""What a log shows of the engine's output."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from hypothesis import example, given, strategies as st

from terrapod_core.runner.lines import CUT, HELD, LONGEST, SHORTENED, Lines, PlainLines, StructuredLines
from terrapod_core.runner.masking import Masker

SECRET = 'quo"ted\\ <and> tägged'


def fed(lines: Lines, *chunks: bytes) -> bytes:
    return b"".join(map(lines.feed, chunks)) + lines.finish()


def plain(*secrets: str) -> PlainLines:
    return PlainLines(Masker(secret.encode() for secret in secrets))


def structured(*secrets: str) -> StructuredLines:
    return StructuredLines(Masker(secret.encode() for secret in secrets))


def message(**members: object) -> bytes:
    """A line as terraform writes it: Go's encoder escapes what would mean something in HTML."""
    text = json.dumps({"@level": "info", "@message": "m", **members}, ensure_ascii=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text.encode() + b"\n"


def test_a_line_of_text_is_shown_before_it_is_whole() -> None:
    lines = plain()
    assert lines.feed(b"no end ") == b"no end "
    assert lines.feed(b"yet\n") == b"yet\n"


@example([LONGEST])
@given(st.lists(st.integers(1, LONGEST + 10), min_size=1, max_size=8))
def test_a_line_that_is_too_long_is_cut_once_however_it_comes(sizes: list[int]) -> None:
    shown = fed(plain(), b"before\n", *(b"x" * size for size in sizes), b"\nafter\n")
    length = sum(sizes)
    assert shown == b"before\n" + (b"x" * length if length <= LONGEST else b"x" * LONGEST + CUT) + b"\nafter\n"


def test_a_structured_line_passes_as_it_is_and_only_when_it_is_whole() -> None:
    lines, line = structured(), message(type="log")
    assert lines.feed(line[:20]) == b""
    assert lines.feed(line[20:] + b"Text of our own\n") == line + b"Text of our own\n"


def test_the_end_of_a_stream_ends_its_last_line() -> None:
    assert fed(structured(), b"no newline") == b"no newline\n"


@pytest.mark.parametrize("where", [lambda text: {"@message": text}, lambda text: {"outputs": {"a": {"value": [text, {"b": text}]}}}])
def test_a_secret_is_masked_in_every_text_whatever_escapes_hide_it(where: Callable[[str], dict[str, object]]) -> None:
    line = message(**where(f"before {SECRET} after"))
    assert SECRET.encode() not in line
    assert json.loads(fed(structured(SECRET), line)) == json.loads(message(**where("before *** after")))


def test_words_of_terraforms_own_are_left_alone_and_numbers_that_spell_a_secret_are_not() -> None:
    line = message(type="change_summary", value=1234567890, other=17)
    shown = json.loads(fed(structured("change_summary", "1234567890"), line))
    assert (shown["type"], shown["value"], shown["other"]) == ("change_summary", None, 17)


def test_a_line_that_is_no_json_is_masked_as_text() -> None:
    assert fed(structured("hunter22-planted"), b'{"@message": hunter22-planted\n') == b'{"@message": ***\n'


def test_a_long_structured_line_is_shortened_inside_its_texts_and_stays_one() -> None:
    shown = fed(structured(), message(type="diagnostic", diagnostic={"summary": "short", "detail": "x" * (LONGEST + 1)}))
    document = json.loads(shown)
    assert len(shown) <= LONGEST
    assert document["diagnostic"] == {"summary": "short", "detail": "x" * SHORTENED + CUT.decode()}


def test_one_that_is_long_by_many_texts_keeps_its_message() -> None:
    shown = fed(structured(), message(type="outputs", outputs=[str(number) for number in range(20_000)]))
    assert json.loads(shown) == {"@level": "info", "@message": "m", "type": "log"}


def test_an_endless_line_takes_no_more_memory_than_it_may() -> None:
    lines = structured()
    shown = b"".join(lines.feed(b"{" + b"x" * LONGEST) for _ in range(3 * HELD // LONGEST))
    assert shown == b""
    shown = lines.feed(b"\n" + message(type="log"))
    assert shown == b"{" + (b"x" * LONGEST)[: LONGEST - 1] + CUT + b"\n" + message(type="log")
