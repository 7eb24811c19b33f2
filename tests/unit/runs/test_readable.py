from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import example, given, strategies as st

from terrapod_core.runs.readable import LONGEST_LINE, complete, readable


def line(kind: str, message: str = "the message", level: str = "info", **more: Any) -> str:
    return json.dumps({"@level": level, "@message": message, "@module": "terraform.ui", "type": kind, **more}) + "\n"


def words(text: str) -> str:
    """What is read, without the colours."""
    return re.sub(r"\x1b\[\d+m", "", readable(text))


def change(action: str, **more: Any) -> dict[str, Any]:
    return {"resource": {"addr": 'a.b["c"]'}, "action": action, **more}


@pytest.mark.parametrize(
    ("said", "read"),
    [
        (line("version", "Terraform 1.11.4"), "Terraform 1.11.4\n"),
        (line("apply_progress", "a.b: Still creating... [10s elapsed]"), "a.b: Still creating... [10s elapsed]\n"),
        (line("never_heard_of", "of another day"), "of another day\n"),
        (line("log", "mind this", "warn"), "Warning: mind this\n"),
        (line("log", "Error: it broke", "error"), "Error: it broke\n"),
        (line("planned_change", change=change("create")), '  + a.b["c"] will be created\n'),
        (line("planned_change", change=change("replace", reason="tainted")), '-/+ a.b["c"] will be replaced (it is tainted)\n'),
        (
            line("planned_change", change=change("move", previous_resource={"addr": "x.y"})),
            ' -> a.b["c"] will be moved (it was x.y)\n',
        ),
        (line("resource_drift", change=change("update")), '  ~ a.b["c"] has changed outside of terraform\n'),
        (line("planned_change", "what a later engine does", change=change("levitate")), "what a later engine does\n"),
        (line("change_summary", "Plan: 1 to add."), "\nPlan: 1 to add.\n"),
        (
            line("outputs", outputs={"b": {"sensitive": False, "value": {"a": [1]}}, "a": {"sensitive": True, "type": "string"}}),
            '\nOutputs:\n  a = (sensitive value)\n  b = {"a":[1]}\n',
        ),
        (line("outputs", outputs={"a": {"sensitive": True, "action": "create"}}), "\nOutputs:\n  + a will be created\n"),
        (line("outputs", "Outputs: 1", outputs=["a"]), "Outputs: 1\n"),
    ],
)
def test_a_message_is_told_in_words(said: str, read: str) -> None:
    assert words(said) == read


def test_a_diagnostic_is_told_with_its_place_and_what_is_wrong_underlined() -> None:
    diagnostic = {
        "severity": "error",
        "summary": "Reference to undeclared resource",
        "detail": "One line.\nAnother.",
        "range": {"filename": "main.tf", "start": {"line": 7, "column": 1, "byte": 0}, "end": {"line": 7, "column": 9, "byte": 9}},
        "snippet": {
            "context": "locals",
            "code": "é = nope.x",
            "start_line": 7,
            "highlight_start_offset": 5,
            "highlight_end_offset": 11,
            "values": [{"traversal": "var.a", "statement": 'is "b"'}],
        },
    }
    told = readable(line("diagnostic", "Error: …", "error", diagnostic=diagnostic))
    assert "   7: é = \x1b[4mnope.x\x1b[24m" in told
    assert re.sub(r"\x1b\[\d+m", "", told).splitlines() == [
        "╷",
        "│ Error: Reference to undeclared resource",
        "│   on main.tf line 7, in locals:",
        "│      7: é = nope.x",
        '│     ├─ var.a is "b"',
        "│",
        "│ One line.",
        "│ Another.",
        "╵",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "Terraform v1.11.4\non linux_amd64\n",
        '{"not": "a message"}\n{"@message": 7}\n{broken\n',
        '{"@message": "half a pair \\ud800"}\n',
        "[" * 100_000,
        '{"@message": ' + "[" * 100_000,
    ],
)
def test_what_is_no_message_is_passed_on_as_it_is(text: str) -> None:
    assert readable(text) == text


def test_the_frame_of_a_log_stays_around_what_is_told() -> None:
    assert words("\x02" + line("log", "all of it").rstrip("\n") + "\x03") == "\x02all of it\x03"


def test_a_message_after_text_that_nobody_ended_is_told_behind_it() -> None:
    assert words("Waiting... " + line("log", "Done")) == "Waiting... Done\n"
    assert complete(b'Waiting... {"') == complete(b'Waiting... {"@level": "in') == len(b"Waiting... ")


@example(["no end {", line("log", "ü told")], [8])
@given(
    st.lists(st.sampled_from([line("log", "ü told"), "text\n", "no end {", 'and "', "@not", line("outputs", outputs={})])),
    st.lists(st.integers(0, 500), max_size=8),
)
def test_a_log_that_is_told_in_pieces_reads_as_if_told_at_once(lines: list[str], cuts: list[int]) -> None:
    log = "".join(lines)
    whole, told, start = log.encode(), "", 0
    for end in sorted(min(cut, len(whole)) for cut in cuts):
        piece = whole[start:end]
        piece = piece[: complete(piece)]
        if not _is_text(piece):
            continue
        told, start = told + readable(piece.decode()), start + len(piece)
    assert told + readable(whole[start:].decode()) == readable(log)


def _is_text(piece: bytes) -> bool:
    try:
        piece.decode()
    except UnicodeDecodeError:
        return False
    return True


def test_a_line_without_an_end_is_not_waited_for_for_ever() -> None:
    opening = b'{"@message": "'
    assert complete(b"text\n" + opening) == 5
    assert complete(b"text\n{") == 5
    assert complete(b"a prompt: ") == 10
    assert complete(opening + b"x" * LONGEST_LINE) == len(opening) + LONGEST_LINE
