"""What a phase did, in numbers: from the plan's JSON, and from the lines an apply prints."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

LARGEST_PARSED = 64 << 20
"""Bytes of plan JSON above which it is kept but not read; the log's summary line has to do."""

_ANSI = re.compile(rb"\x1b\[[0-9;]*m")
_DONE = re.compile(rb"[^(]*: (Creation|Modifications|Destruction|Import) complete(?: after|$| \[)")
_APPLIED = re.compile(rb"Apply complete! Resources: (?:(\d+) imported, )?(\d+) added, (\d+) changed, (\d+) destroyed\.")
_PLANNED = re.compile(rb"Plan: (?:(\d+) to import, )?(\d+) to add, (\d+) to change, (\d+) to destroy")


@dataclass(frozen=True)
class Counts:
    """Resources, as terraform's own summary counts them: a replacement is an addition and a destruction."""

    additions: int = 0
    changes: int = 0
    destructions: int = 0
    imports: int = 0


def planned(plan_json: Path, summary: Counts) -> Counts:
    """Count the plan's changes; `summary` (from the log) is for a plan too large to read here."""
    if plan_json.stat().st_size > LARGEST_PARSED:
        return summary
    document: dict[str, Any] = json.loads(plan_json.read_bytes())
    changes = [item["change"] for item in document.get("resource_changes") or () if item.get("mode", "managed") == "managed"]
    actions = [change.get("actions") or [] for change in changes]
    return Counts(
        additions=sum("create" in action for action in actions),
        changes=sum("update" in action for action in actions),
        destructions=sum("delete" in action for action in actions),
        imports=sum(change.get("importing") is not None for change in changes),
    )


class Tally:
    """Reads the engine's output as it passes. An apply that fails prints no summary: then the lines of what was done count."""

    def __init__(self) -> None:
        self._rest = b""
        self._done = {b"Creation": 0, b"Modifications": 0, b"Destruction": 0, b"Import": 0}
        self._summary: Counts | None = None

    def feed(self, chunk: bytes) -> None:
        """Output, cut anywhere; lines over 64 KiB are not looked at."""
        *lines, rest = (self._rest + chunk).split(b"\n")
        self._rest = rest[-65536:]
        for line in lines:
            if b"omplete" in line or b"Plan:" in line:
                self._line(_ANSI.sub(b"", line).strip())

    @property
    def counts(self) -> Counts:
        if self._summary is not None:
            return self._summary
        done = self._done
        return Counts(done[b"Creation"], done[b"Modifications"], done[b"Destruction"], done[b"Import"])

    def _line(self, line: bytes) -> None:
        if self._summary is None and (found := _APPLIED.match(line) or _PLANNED.match(line)):
            imports, additions, changes, destructions = (int(number or 0) for number in found.groups())
            self._summary = Counts(additions, changes, destructions, imports)
        elif done := _DONE.match(line):
            self._done[done.group(1)] += 1


class StructuredTally:
    """The same for output that is a JSON object a line, where what a provisioner prints cannot be taken for terraform's words."""

    _DONE: ClassVar = {"create": "additions", "update": "changes", "delete": "destructions", "import": "imports"}

    def __init__(self) -> None:
        self._rest = b""
        self._done = dict.fromkeys(self._DONE.values(), 0)
        self._summary: Counts | None = None

    def feed(self, chunk: bytes) -> None:
        """Output, cut anywhere; lines over 64 KiB are not looked at."""
        *lines, rest = (self._rest + chunk).split(b"\n")
        self._rest = rest[-65536:]
        for line in lines:
            if b'"type":"apply_complete"' in line or b'"type":"change_summary"' in line:
                self._line(line)

    @property
    def counts(self) -> Counts:
        return self._summary or Counts(**self._done)

    def _line(self, line: bytes) -> None:
        try:
            document: dict[str, Any] = json.loads(line)
            if document["type"] == "change_summary":
                changes = document["changes"]
                self._summary = Counts(changes["add"], changes["change"], changes["remove"], changes.get("import", 0))
            elif document["type"] == "apply_complete" and (done := self._DONE.get(document["hook"]["action"])):
                self._done[done] += 1
        except (ValueError, KeyError, TypeError):
            return
