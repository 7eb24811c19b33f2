"""What a log shows of the engine's output: sensitive values blanked, and no line longer than readers have to bear.

Two kinds: plain text as it comes, and (structured output) lines that are a JSON object each, which have to stay whole.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Protocol

from .masking import Masker

LONGEST = 64 << 10
"""Bytes of a line; terraform's CLI and the pages read line by line."""
HELD = 1 << 20
"""Bytes of a structured line that are kept to be looked at when it is longer than `LONGEST`."""
SHORTENED = 4096
"""Characters that remain of each text in such a line."""

CUT = b" [the line was longer than 65536 bytes; the rest is left out]"
_KEPT = ("@level", "@message", "@module", "@timestamp")
_OURS = frozenset({"@level", "@module", "@timestamp", "type"})
"""Members of terraform's own, which are no values of anybody's and which readers switch on."""


class Lines(Protocol):
    """Passes output on, as far as it can be shown."""

    def feed(self, chunk: bytes) -> bytes:
        """The part of everything fed so far that can be shown now."""

    def finish(self) -> bytes:
        """What was held back, at the end of a command or of the stream."""


class PlainLines:
    """Text as it comes: also the beginning of a line is shown at once."""

    def __init__(self, masker: Masker) -> None:
        self._masker = masker
        self._length = 0

    def feed(self, chunk: bytes) -> bytes:
        return self._shorten(self._masker.feed(chunk))

    def finish(self) -> bytes:
        return self._shorten(self._masker.finish())

    def _shorten(self, text: bytes) -> bytes:
        return b"".join(self._part(part) for part in text.splitlines(keepends=True))

    def _part(self, part: bytes) -> bytes:
        """A piece that holds at most the end of one line."""
        text = part.rstrip(b"\r\n")
        end = part[len(text) :]
        before, self._length = self._length, 0 if end else self._length + len(text)
        if before + len(text) <= LONGEST:
            return part
        return (text[: LONGEST - before] + CUT if before <= LONGEST else b"") + end


class StructuredLines:
    """Whole lines. In one that is a JSON object the values are masked, whatever escapes hide them; any other is plain text.

    A line that is too long is shortened inside its texts, or to its message: cut off it would be no JSON, and shown as it is.
    """

    def __init__(self, secrets: Masker) -> None:
        self._masker = secrets
        self._held = b""
        self._left_out = False

    def feed(self, chunk: bytes) -> bytes:
        *lines, rest = (self._held + chunk).split(b"\n")
        shown = []
        for line in lines:
            shown.append(self._line(line) + b"\n")
            self._left_out = False
        if len(rest) > HELD:
            self._left_out = True
        self._held = rest[:HELD]
        return b"".join(shown)

    def finish(self) -> bytes:
        rest, self._held = self._held, b""
        shown = self._line(rest) + b"\n" if rest else b""
        self._left_out = False
        return shown

    def _line(self, line: bytes) -> bytes:
        if not self._left_out and line[:1] == b"{":
            try:
                document = json.loads(line)
            except (ValueError, RecursionError):
                document = None
            if isinstance(document, dict) and "@message" in document:
                return self._structured(line, document)
        masked = self._masker.feed(line) + self._masker.finish()
        return masked if len(masked) <= LONGEST and not self._left_out else masked[:LONGEST] + CUT

    def _structured(self, line: bytes, document: dict[str, Any]) -> bytes:
        masked = {name: value if name in _OURS else _each(value, self._masked) for name, value in document.items()}
        text = line if masked == document else _encoded(masked)
        if len(text) <= LONGEST:
            return text
        text = _encoded({name: value if name in _OURS else _each(value, _shortened) for name, value in masked.items()})
        if len(text) <= LONGEST:
            return text
        return _encoded({name: _each(masked[name], _shortened) for name in _KEPT if name in masked} | {"type": "log"})

    def _masked(self, value: Any) -> Any:
        """A text with its secrets blanked; a number that spells one is none any more."""
        if isinstance(value, str):
            raw = value.encode("utf-8", "surrogatepass")
            shown = self._masker.feed(raw) + self._masker.finish()
            return value if shown == raw else shown.decode("utf-8", "replace")
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            raw = str(value).encode()
            return value if self._masker.feed(raw) + self._masker.finish() == raw else None
        return value


def _each(value: Any, change: Callable[[Any], Any]) -> Any:
    if isinstance(value, dict):
        return {name: _each(inner, change) for name, inner in value.items()}
    if isinstance(value, list):
        return [_each(inner, change) for inner in value]
    return change(value)


def _shortened(value: Any) -> Any:
    return value[:SHORTENED] + CUT.decode() if isinstance(value, str) and len(value) > SHORTENED else value


def _encoded(document: dict[str, Any]) -> bytes:
    # ASCII alone: half a surrogate pair, which JSON may spell, is no UTF-8.
    return json.dumps(document, separators=(",", ":")).encode()
