"""Several processes of one server: a parent that starts, watches and stops them, and does nothing else.

They are forked before any of them has a loop, a thread or a connection, and listen on one socket that the parent keeps: while one
is started again, connections wait for another. The parent ends when they have ended; a child whose parent is gone drains and ends.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog

BEGAN_WELL_SECONDS: Final = 60.0
"""A process that lived for so long is started again at once; one that ends sooner waits, each time twice as long."""

LONGEST_PAUSE_SECONDS: Final = 30.0
INSIST_SECONDS: Final = 15.0
"""How much longer than their time to drain the processes get before they are killed."""

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)

log = structlog.get_logger("terrapod.crew")


@dataclass(frozen=True)
class Part:
    """What one of the processes is told."""

    number: int
    """From 0; it keeps its number when it is started again."""
    parent: int
    """A descriptor that can be read from once the parent is gone."""
    ready: Callable[[], None]
    """To be called when it serves."""


@dataclass
class _Child:
    pid: int
    began: float
    is_ready: bool = False


class Crew:
    """The parent's side."""

    def __init__(
        self, size: int, listening: socket.socket, drain_seconds: float, greet: Callable[[], None], ended: Callable[[int], None]
    ) -> None:
        """`greet` is called once, when all serve for the first time; `ended` with the id of each process that has ended."""
        self._size = size
        self._listening = listening
        self._drain_seconds = drain_seconds
        self._greet = greet
        self._tell_ended = ended
        self._greeted = False
        self._children: dict[int, _Child] = {}
        self._due = dict.fromkeys(range(1, size), 0.0)
        """When which of them is to be started: at first when the first one serves, so that what is wrong is said once; later, again."""
        self._first_serves = False
        self._pauses: dict[int, float] = {}
        self._stopping_since: float | None = None
        self._insisted = False
        self._code = 0
        self._alive, self._held = os.pipe()
        self._said, self._says = os.pipe()

    def split(self) -> Part:
        """Start the processes. Returns in each of them; in the parent it raises `SystemExit` when they have ended."""
        woken, wake = socket.socketpair()
        woken.setblocking(False)
        wake.setblocking(False)
        for each in (*SIGNALS, signal.SIGCHLD):
            signal.signal(each, lambda *_: None)
        signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
        if (part := self._start(0)) is not None:
            return _in_the_child(part, woken, wake)
        while self._children or (self._due and self._stopping_since is None):
            readable, _, _ = select.select([woken.fileno(), self._said], [], [], 1.0)
            if woken.fileno() in readable and any(each in SIGNALS for each in woken.recv(4096)):
                self._stop(0)
            if self._said in readable:
                self._note_ready(os.read(self._said, 4096))
            self._reap()
            self._insist()
            for number in self._due_now():
                if (part := self._start(number)) is not None:
                    return _in_the_child(part, woken, wake)
        raise SystemExit(self._code)

    def _start(self, number: int) -> Part | None:
        """Fork; what the child is told, `None` in the parent."""
        self._due.pop(number, None)
        pid = os.fork()
        if pid:
            self._children[number] = _Child(pid, time.monotonic())
            return None
        os.close(self._held)
        os.close(self._said)
        return Part(number, self._alive, lambda: _say(self._says, number))

    def _note_ready(self, numbers: bytes) -> None:
        self._first_serves = True
        for number in numbers:
            if number in self._children:
                self._children[number].is_ready = True
        if not self._greeted and len(self._children) == self._size and all(child.is_ready for child in self._children.values()):
            self._greeted = True
            self._greet()

    def _reap(self) -> None:
        for number, child in list(self._children.items()):
            pid, status = os.waitpid(child.pid, os.WNOHANG)
            if pid:
                del self._children[number]
                self._tell_ended(pid)
                self._ended(number, child, os.waitstatus_to_exitcode(status))

    def _ended(self, number: int, child: _Child, code: int) -> None:
        if self._stopping_since is not None:
            self._code = self._code or abs(code)
        elif not self._greeted:
            # It said why, and another try would say it again.
            self._stop(abs(code) or 1)
        else:
            lived = time.monotonic() - child.began
            pause = 0.0 if lived > BEGAN_WELL_SECONDS else min(self._pauses.get(number, 0.5) * 2, LONGEST_PAUSE_SECONDS)
            self._pauses[number] = pause
            self._due[number] = time.monotonic() + pause
            log.warning("a process of the server ended and is started again", number=number, pid=child.pid, code=code, pause=pause)

    def _due_now(self) -> list[int]:
        if self._stopping_since is not None or not self._first_serves:
            return []
        return [number for number, due in self._due.items() if due <= time.monotonic()]

    def _stop(self, code: int) -> None:
        self._code = self._code or code
        if self._stopping_since is None:
            self._stopping_since = time.monotonic()
            self._listening.close()  # or connections would wait here for processes that take no more
        self._tell(signal.SIGTERM)

    def _insist(self) -> None:
        since = self._stopping_since
        if since is not None and not self._insisted and time.monotonic() - since > self._drain_seconds + INSIST_SECONDS:
            self._insisted = True
            log.warning("processes of the server do not end and are killed", pids=[child.pid for child in self._children.values()])
            self._tell(signal.SIGKILL)

    def _tell(self, number: signal.Signals) -> None:
        for child in self._children.values():
            with contextlib.suppress(ProcessLookupError):
                os.kill(child.pid, number)


def _in_the_child(part: Part, *ends: socket.socket) -> Part:
    signal.set_wakeup_fd(-1)
    for each in (*SIGNALS, signal.SIGCHLD):
        signal.signal(each, signal.SIG_DFL)
    for end in ends:
        end.close()
    return part


def _say(descriptor: int, number: int) -> None:
    with contextlib.suppress(OSError):  # the parent is gone; the other descriptor tells
        os.write(descriptor, bytes([number]))
