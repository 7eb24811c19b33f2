"""Structured logs as people read them: terraform's JSON lines (its machine-readable UI) as the text of a terminal.

A line is told by itself, so that a log can be told from the beginning of any of its lines and nothing has to be remembered. What
is no such line is passed on as it is: words of the server and of the runner, and everything of a log that is text anyway.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec

LONGEST_LINE: Final = 128 * 1024
"""Bytes that are waited for until a line is whole; runners shorten lines to half of that."""

_OPENING: Final = b'{"@'
_FRAME: Final = "\x02\x03\r"
"""STX and ETX, which stand around a log, and may stand on a line of it."""

_PLAIN, _BOLD, _RED, _GREEN, _YELLOW, _CYAN, _DIM = (f"\x1b[{code}m" for code in (0, 1, 31, 32, 33, 36, 2))
_LEVELS: Final = {"error": _RED, "warn": _YELLOW, "debug": _DIM, "trace": _DIM}
_LABELS: Final = {"error": "Error", "warn": "Warning", "debug": "Debug", "trace": "Trace"}
_ACTIONS: Final = {
    "create": (_GREEN, "  +", "will be created"),
    "update": (_YELLOW, "  ~", "will be changed"),
    "delete": (_RED, "  -", "will be destroyed"),
    "replace": (_RED, "-/+", "will be replaced"),
    "read": (_CYAN, " <=", "will be read during the apply"),
    "move": (_CYAN, " ->", "will be moved"),
    "import": (_CYAN, " <-", "will be imported"),
    "remove": (_YELLOW, "  .", "will be forgotten and not destroyed"),
    "noop": (_DIM, "   ", "stays as it is"),
}
_DRIFTS: Final = {"update": (_YELLOW, "  ~", "has changed outside of terraform"), "delete": (_RED, "  -", "is gone outside of terraform")}
_REASONS: Final = {
    "tainted": "it is tainted",
    "requested": "as requested",
    "cannot_update": "it cannot be changed in place",
    "delete_because_no_resource_config": "it is not in the configuration any more",
}


def complete(data: bytes) -> int:
    """How many bytes of a log's newest piece can be told: the beginning of a message waits for its end, text does not."""
    start = data.rfind(b"\n") + 1
    opening = data.find(_OPENING, start)
    if opening < 0:
        # Its first bytes may be all there is of it.
        opening = next((len(data) - n for n in (2, 1) if data[start:].endswith(_OPENING[:n])), len(data))
    return opening if len(data) - opening < LONGEST_LINE else len(data)


def readable(text: str) -> str:
    """The text with its JSON lines told in words, with the terminal's codes for colours."""
    return "\n".join(_line(line) for line in text.split("\n"))


def _line(line: str) -> str:
    """A line without its end; a message may follow text that somebody did not end, as it would in a terminal."""
    before, opening, rest = line.partition(_OPENING.decode())
    if not opening:
        return line
    bare = (opening + rest).rstrip(_FRAME)
    try:
        said = msgspec.json.decode(bare)
        if not isinstance(said, dict) or not isinstance(said.get("@message"), str):
            return line
    except (msgspec.DecodeError, RecursionError):
        return line
    try:
        told = list(_TELLERS.get(said.get("type"), _message)(said))
    except (AttributeError, KeyError, TypeError, ValueError):
        # A type that is known, in a form that is not: of another engine, or a later one.
        told = list(_message(said))
    return before + "\n".join(told) + line[len(before) + len(bare) :]


def _message(said: dict[str, Any]) -> Iterator[str]:
    level, message = str(said.get("@level")), said["@message"]
    label = _LABELS.get(level)
    if label is None:
        yield message
    elif message.startswith(f"{label}:"):
        yield f"{_LEVELS[level]}{message}{_PLAIN}"
    else:
        yield f"{_LEVELS[level]}{label}:{_PLAIN} {message}"


def _planned_change(said: dict[str, Any]) -> Iterator[str]:
    change = said["change"]
    colour, sign, fate = _ACTIONS[change["action"]]
    moved, reason = change.get("previous_resource"), change.get("reason")
    notes = [f"it was {moved['addr']}"] if moved else []
    notes += [_REASONS.get(reason, reason.replace("_", " "))] if reason else []
    notes += ["it is imported"] if change.get("importing") and change["action"] != "import" else []
    yield f"{colour}{sign}{_PLAIN} {_BOLD}{change['resource']['addr']}{_PLAIN} {fate}{_in_brackets(notes)}"


def _resource_drift(said: dict[str, Any]) -> Iterator[str]:
    change = said["change"]
    colour, sign, fate = _DRIFTS[change["action"]]
    yield f"{colour}{sign}{_PLAIN} {_BOLD}{change['resource']['addr']}{_PLAIN} {fate}"


def _summary(said: dict[str, Any]) -> Iterator[str]:
    yield ""
    yield f"{_BOLD}{said['@message']}{_PLAIN}"


def _outputs(said: dict[str, Any]) -> Iterator[str]:
    told = [_output(name, output) for name, output in sorted(said["outputs"].items())]
    yield ""
    yield f"{_BOLD}Outputs:{_PLAIN}"
    yield from told


def _output(name: str, output: dict[str, Any]) -> str:
    if "value" not in output:
        if "action" not in output:
            return f"  {name} = {'(sensitive value)' if output.get('sensitive') else '(known after the apply)'}"
        colour, sign, fate = _ACTIONS[output["action"]]
        return f"{colour}{sign}{_PLAIN} {name} {fate}"
    value = "(sensitive value)" if output.get("sensitive") else msgspec.json.encode(output["value"]).decode()
    return f"  {name} = {value}"


def _diagnostic(said: dict[str, Any]) -> Iterator[str]:
    found = said["diagnostic"]
    severity = found["severity"]
    colour, label = (_YELLOW, "Warning") if severity == "warning" else (_RED, "Error")
    told = [f"{colour}{label}:{_PLAIN} {_BOLD}{found['summary']}{_PLAIN}", *_place(found)]
    if found.get("detail"):
        told += ["", *found["detail"].splitlines()]
    yield f"{colour}╷{_PLAIN}"
    for each in told:
        yield f"{colour}│{_PLAIN} {each}".rstrip()
    yield f"{colour}╵{_PLAIN}"


def _place(found: dict[str, Any]) -> Iterator[str]:
    """Where it is: the file, and the lines with what is wrong underlined."""
    place, snippet = found.get("range"), found.get("snippet")
    if found.get("address"):
        yield f"  with {found['address']}"
    if place is None:
        return
    context = f", in {snippet['context']}" if snippet is not None and snippet.get("context") else ""
    yield f"  on {place['filename']} line {place['start']['line']}{context}:"
    if snippet is None:
        return
    start, end = snippet["highlight_start_offset"], snippet["highlight_end_offset"]
    # The offsets count bytes of the code.
    code = snippet["code"].encode()
    before, marked, after = (part.decode("utf-8", "replace") for part in (code[:start], code[start:end], code[end:]))
    underlined = "\n".join(f"\x1b[4m{each}\x1b[24m" if each else each for each in marked.split("\n"))
    for number, line in enumerate((before + underlined + after).split("\n"), snippet["start_line"]):
        yield f"  {number:>4}: {line}"
    for value in snippet.get("values") or ():
        yield f"    {_DIM}├─{_PLAIN} {value['traversal']} {value['statement']}"


def _in_brackets(notes: list[str]) -> str:
    return f" ({', '.join(notes)})" if notes else ""


_TELLERS: Final[dict[Any, Callable[[dict[str, Any]], Iterator[str]]]] = {
    "planned_change": _planned_change,
    "resource_drift": _resource_drift,
    "change_summary": _summary,
    "outputs": _outputs,
    "diagnostic": _diagnostic,
}
"""By the type of a message; others are their message."""
