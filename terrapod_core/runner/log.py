"""The phase's log: fit to be shown, bounded, spooled to a file, and shipped to the server a few times a second.

The spool is the truth and the server's size the cursor, so a server that goes away and comes back loses nothing: a refused
offset names the size to go on from.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from .client import Server
from .failures import PhaseGone, Refused
from .lines import Lines
from .notes import note

SHIP_SECONDS = 0.25
"""How long text may lie here: people watch."""
SHIP_BYTES = 64 << 10
LARGEST_PUT = 1 << 20


class PhaseLog:
    """Takes the engine's output and our own lines; never blocks the engine on the server.

    `limit` is in bytes: the line that would pass it is not begun, one line says so, and the rest is dropped. `hear` gets the
    `cancel` word of each answer.
    """

    def __init__(self, spool: Path, server: Server, *, lines: Lines, limit: int, hear: Callable[[object], None]) -> None:
        self._file = os.open(spool, os.O_CREAT | os.O_TRUNC | os.O_RDWR | os.O_NOFOLLOW, 0o600)
        self._server = server
        self._lines = lines
        self._limit = limit
        self._hear = hear
        self._changed = threading.Condition()
        self._written = 0
        self._acked = 0
        self._waiting_since = 0.0
        self._full = False
        self._in_line = False
        self._closed = False
        self._thread = threading.Thread(target=self._ship_all, name="log", daemon=True)
        self._thread.start()

    def write(self, chunk: bytes) -> None:
        """Output of the engine, as it comes."""
        with self._changed:
            if not self._full:  # nobody would see it, and somebody may be printing gigabytes
                self._append(self._lines.feed(chunk))

    def say(self, text: str) -> None:
        """Lines of our own; a newline is added."""
        with self._changed:
            self._append(self._lines.finish() + self._lines.feed(f"{text}\n".encode()) + self._lines.finish())

    def close(self) -> int:
        """End the log and wait until the server has all of it; its size in bytes."""
        with self._changed:
            self._append(self._lines.finish())
            self._closed = True
            self._changed.notify_all()
        self._thread.join()
        os.close(self._file)
        return self._written

    def _append(self, shown: bytes) -> None:
        if not shown or self._full or self._closed:
            return
        if self._written + len(shown) > self._limit:
            shown = self._up_to_limit(shown)
        self._in_line = not shown.endswith(b"\n")
        if self._written == self._acked:
            self._waiting_since = time.monotonic()
        view = memoryview(shown)
        while view:
            done = os.pwrite(self._file, view, self._written)
            self._written += done
            view = view[done:]
        self._changed.notify_all()

    def _up_to_limit(self, shown: bytes) -> bytes:
        """The last that the log takes: whole lines, and a word about what is missing."""
        self._full = True
        kept = shown[: self._limit - self._written]
        whole = kept[: kept.rfind(b"\n") + 1]
        last = f"[The log ends here: it reached {self._limit} bytes. The rest is not kept; the run goes on.]\n".encode()
        return (whole or (kept + b"\n" if self._in_line else b"")) + last

    def _ship_all(self) -> None:
        try:
            while (chunk := self._next_chunk()) is not None:
                self._ship(*chunk)
        except PhaseGone:
            pass  # everybody was told by the client; there is nobody to log to
        except Refused as refused:
            note(f"the server refuses this log: {refused.detail}")

    def _next_chunk(self) -> tuple[int, bytes] | None:
        """Offset and bytes to ship, once there is enough of them or they are old enough; `None` at the end."""
        with self._changed:
            while True:
                pending = self._written - self._acked
                if pending and (self._closed or pending >= SHIP_BYTES or self._acked == 0):
                    break
                if not pending and self._closed:
                    return None
                age = time.monotonic() - self._waiting_since
                if pending and age >= SHIP_SECONDS:
                    break
                self._changed.wait(SHIP_SECONDS - age if pending else None)
            self._waiting_since = time.monotonic()
            return self._acked, os.pread(self._file, min(pending, LARGEST_PUT), self._acked)

    def _ship(self, offset: int, chunk: bytes) -> None:
        try:
            answer = self._server.put("/log", chunk, offset=offset)
            size = answer.get("size")
            self._hear(answer.get("cancel"))
        except Refused as refused:
            if refused.status != 409 or refused.size is None or refused.size == offset:
                raise
            size = refused.size  # an answer was lost, or the server came back with less than it had acknowledged
        acked = size if isinstance(size, int) else offset + len(chunk)
        with self._changed:
            self._acked = min(max(0, acked), self._written)
