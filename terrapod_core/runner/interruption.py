"""Who asked to stop, how urgently, and the signals that follow from it.

Two sources, one path: a signal to this program, and a word in any answer of the server. terraform takes a second interrupt as
"stop now, lose data", so it gets exactly one until somebody forces.
"""

from __future__ import annotations

import os
import signal
import threading
from enum import IntEnum
from typing import Protocol

from .failures import Interrupted, PhaseGone

FORCE_GRACE = 10.0
"""Seconds between the second interrupt and SIGKILL."""
GONE_GRACE = 30.0
"""Seconds an engine gets to write its state down after the phase was lost."""


class Level(IntEnum):
    """How urgently to stop; only ever grows."""

    NONE = 0
    INTERRUPT = 1
    FORCE = 2


class Stoppable(Protocol):
    """A running engine command."""

    def interrupt(self) -> None:
        """One SIGINT to the engine's own process; nothing when it ended."""

    def kill(self) -> None:
        """SIGKILL to its whole process group."""


class Interruption:
    """Collects requests to stop and passes them on to whatever command runs now or later."""

    def __init__(self, *, force_grace: float = FORCE_GRACE, gone_grace: float = GONE_GRACE) -> None:
        self._lock = threading.Lock()
        self._running: list[Stoppable] = []
        self._level = Level.NONE
        self._gone: PhaseGone | None = None
        self._force_grace = force_grace
        self._gone_grace = gone_grace
        self.killed = False
        """True once a command was killed, which may have cost the end of its work."""

    @property
    def requested(self) -> bool:
        """Whether anybody cancelled the run."""
        return self._level > Level.NONE

    @property
    def gone(self) -> PhaseGone | None:
        """Why the phase is not ours any more, or `None`."""
        return self._gone

    def request(self, level: Level) -> None:
        """Stop as urgently as `level` says; a level already reached changes nothing."""
        with self._lock:
            before, self._level = self._level, max(self._level, level)
            reached, running = self._level, list(self._running)
        for step in range(before + 1, reached + 1):
            for command in running:
                command.interrupt()
            if step == Level.FORCE:
                self._kill_later(self._force_grace)

    def hear(self, word: object) -> None:
        """Take the `cancel` member of an answer: `none`, `interrupt` or `force`."""
        if word == "interrupt":
            self.request(Level.INTERRUPT)
        elif word == "force":
            self.request(Level.FORCE)

    def abandon(self, gone: PhaseGone) -> None:
        """The phase is not ours any more: stop the engine so that it leaves its state, and kill it soon."""
        with self._lock:
            first, self._gone = self._gone is None, self._gone or gone
            running = list(self._running) if first and not self._level else []
        for command in running:
            command.interrupt()
        if first:
            self._kill_later(self._gone_grace)

    def check(self) -> None:
        """Raise `PhaseGone` or `Interrupted` when the phase shall not go on."""
        if self._gone is not None:
            raise self._gone
        if self.requested:
            raise Interrupted

    def attach(self, command: Stoppable) -> None:
        """A command started; if the request came first, it is stopped right away."""
        with self._lock:
            self._running.append(command)
            stop = self._gone is not None or self.requested
        if stop:
            command.interrupt()

    def detach(self, command: Stoppable) -> None:
        """The command ended."""
        with self._lock:
            self._running.remove(command)

    def listen(self) -> None:
        """Take SIGINT and SIGTERM as one cancel, SIGQUIT as force. Call from the main thread.

        The signals arrive through a pipe at a thread of their own, so a handler never runs in the middle of other work.
        """
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT):
            signal.signal(number, lambda *_: None)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        threading.Thread(target=self._hear_signals, args=(reader,), name="signals", daemon=True).start()

    def _hear_signals(self, reader: int) -> None:
        while numbers := os.read(reader, 64):
            for number in numbers:
                if number in (signal.SIGINT, signal.SIGTERM):
                    self.request(Level.INTERRUPT)
                elif number == signal.SIGQUIT:
                    self.request(Level.FORCE)

    def _kill_later(self, seconds: float) -> None:
        timer = threading.Timer(seconds, self._kill)
        timer.daemon = True
        timer.start()

    def _kill(self) -> None:
        with self._lock:
            running = list(self._running)
        for command in running:
            self.killed = True
            command.kill()
