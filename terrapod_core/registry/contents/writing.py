"""Values in the native syntax, as `terraform fmt` would leave them."""

from __future__ import annotations

import json
import re
import unicodedata
from typing import Any, Final

_PLAIN_KEY: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_RESERVED: Final = frozenset({"for", "if", "in", "null", "true", "false"})
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f\u0085\u2028\u2029]")
_JOINED: Final = frozenset({"Mn", "Mc", "Me", "Cf"})
"""Categories of characters that show no column of their own."""
_SHORT: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}

LINE: Final = 80
"""A list that is longer on one line gets a line for each element."""


def quoted(text: str) -> str:
    """A text as a quoted template that spells exactly it."""
    spelled = _escaped_templates(text.replace("\\", "\\\\").replace('"', '\\"'))
    return '"' + _CONTROL.sub(lambda match: _SHORT.get(match[0]) or _numbered(match[0]), spelled) + '"'


def _escaped_templates(text: str) -> str:
    return text.replace("${", "$${").replace("%{", "%%{")


def heredoc(text: str, indent: int) -> str | None:
    """A text of several whole lines as those lines; `None` where that would not spell exactly it, or nobody would want it.

    What ends it stands `indent` spaces from the left, and the lines two more, which are taken away again when it is read.
    """
    lines = text.split("\n")
    if len(lines) < 3 or lines.pop() or not any(line[:1].strip() for line in lines):
        return None
    if any(line.strip() == "EOT" or (line and not line.strip()) or _CONTROL.search(line.replace("\t", "")) for line in lines):
        return None
    left = " " * (indent + 2)
    inside = "".join(f"{left}{_escaped_templates(line)}\n" if line else "\n" for line in lines)
    return f"<<-EOT\n{inside}{' ' * indent}EOT"


def literal(value: Any, indent: int = 0) -> str:
    """A value of the kinds that JSON has, `indent` spaces from the left from its second line on."""
    match value:
        case str():
            return quoted(value)
        case dict() if value:
            return _object(value, indent)
        case list() if value:
            return _list(value, indent)
        case dict():
            return "{}"
        case list():
            return "[]"
    return json.dumps(value)


def _list(values: list[Any], indent: int) -> str:
    inner = [literal(value, indent + 2) for value in values]
    flat = f"[{', '.join(inner)}]"
    if len(flat) <= LINE and "\n" not in flat:
        return flat
    lines = "".join(f"{' ' * (indent + 2)}{element},\n" for element in inner)
    return f"[\n{lines}{' ' * indent}]"


def _object(members: dict[str, Any], indent: int) -> str:
    lines = aligned([(_key(name), literal(value, indent + 2)) for name, value in members.items()], indent + 2)
    return "{\n" + "".join(f"{line}\n" for line in lines) + " " * indent + "}"


def _key(name: str) -> str:
    """A key, with one column for each character, as the formatter counts them."""
    if _PLAIN_KEY.fullmatch(name) and name not in _RESERVED:
        return name
    return "".join(_numbered(each) if unicodedata.category(each) in _JOINED or each > "\uffff" else each for each in quoted(name))


def _numbered(character: str) -> str:
    code = ord(character)
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def aligned(assignments: list[tuple[str, str]], indent: int) -> list[str]:
    """A line or more for each name and value, `=` below `=` in neighbours, except where a bracket is opened and not closed."""
    lines: list[str] = []
    for group in _neighbours(assignments):
        width = max(len(name) for name, _ in group)
        lines += [f"{' ' * indent}{name:{width}} = {value}" for name, value in group]
    return lines


def _neighbours(assignments: list[tuple[str, str]]) -> list[list[tuple[str, str]]]:
    groups: list[list[tuple[str, str]]] = []
    alone = True
    for name, value in assignments:
        several = "\n" in value and not value.startswith("<<")
        if several or alone:
            groups.append([])
        groups[-1].append((name, value))
        alone = several
    return groups
