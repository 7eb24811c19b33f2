"""Blanks sensitive values in a stream of bytes, also where a value is cut by the border of two chunks.

A convenience for readers of a log, not a control: a program that wants to print a value in another form can.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

SHORTEST = 8
"""Characters below which a value is left alone: masking `true` or `eu` would only make the log unreadable."""
MASK = b"***"

_HCL_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"')


def secrets_of(values: Iterable[tuple[str, bool]]) -> frozenset[bytes]:
    """What to blank, from sensitive `(value, hcl)` pairs: whole values, their lines, and the strings inside an HCL expression."""
    found: set[str] = set()
    for value, hcl in values:
        found.add(value)
        found.update(line.strip() for line in value.splitlines())
        if hcl:
            found.update(_HCL_STRING.findall(value))
    return frozenset(text.encode("utf-8", "surrogateescape") for text in found if len(text) >= SHORTEST)


class Masker:
    """Holds back no more than what may be the beginning of a secret, so that lines still appear as they are printed."""

    def __init__(self, secrets: Iterable[bytes]) -> None:
        self._secrets = sorted((secret for secret in secrets if len(secret) >= SHORTEST), key=len, reverse=True)
        self._pattern = re.compile(b"|".join(re.escape(secret) for secret in self._secrets)) if self._secrets else None
        self._held = b""

    def feed(self, chunk: bytes) -> bytes:
        """The part of everything fed so far that is safe to show now."""
        if self._pattern is None:
            return chunk
        text, self._held = self._held + chunk, b""
        shown: list[bytes] = []
        position = 0
        while True:
            border = self._possible_start(text, position)
            match = self._pattern.search(text, position)
            # A match that begins where a longer secret may be beginning waits for what comes next.
            if match is None or match.start() >= border:
                break
            shown += (text[position : match.start()], MASK)
            position = match.end()
        self._held = text[border:]
        return b"".join((*shown, text[position:border]))

    def finish(self) -> bytes:
        """What was held back, at the end of the stream."""
        rest, self._held = self._held, b""
        return self._pattern.sub(MASK, rest) if self._pattern else rest

    def _possible_start(self, text: bytes, position: int) -> int:
        """The first place from which the text, to its end, is the beginning of some secret that is not complete; else its length."""
        border = len(text)
        for secret in self._secrets:
            start = max(position, len(text) - len(secret) + 1)
            while (start := text.find(secret[:SHORTEST], start, border + SHORTEST)) != -1 and start < border:
                if secret.startswith(text[start:]):
                    border = start
                    break
                start += 1
            for length in range(SHORTEST - 1, 0, -1):
                if len(text) - length < max(position, 0) or len(text) - length >= border:
                    continue
                if text.endswith(secret[:length]):
                    border = len(text) - length
        return border
