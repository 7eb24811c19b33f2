"""Plain progress lines for programs that run before anything is installed: elapsed seconds, and a tick on long steps."""

from __future__ import annotations

import collections
import itertools
import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

STARTED = time.monotonic()
TAIL_LINES = 25
TICK_TERMINAL = 0.5  # seconds between two updates of the running line
TICK_LOG = 15.0  # and between two lines where nobody can overwrite one, a CI log
SPINNER = "|/-\\"


class StepFailed(Exception):
    """A step that cannot be got around. The text is for a person: what failed and what to do."""


def say(text: str) -> None:
    """One line, with the seconds since the program started in front."""
    print(f"{time.monotonic() - STARTED:6.1f}s  {text}", flush=True)


def run(title: str, command: Sequence[str | Path], *, log: Path, help_text: str = "") -> None:
    """Run one command under a live line; what it prints goes to `log`, and its last lines to the screen when it fails.

    Raises StepFailed when the command cannot be started or ends with another code than 0.
    """
    with _Ticker(title), log.open("a", encoding="utf-8") as output:
        output.write(f"\n$ {' '.join(map(str, command))}\n")
        output.flush()
        begin = output.tell()
        try:
            done = subprocess.run(list(map(str, command)), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, check=False)
        except OSError as error:
            raise StepFailed(f"{title}: {error}. {help_text}".rstrip()) from error
        if done.returncode:
            raise StepFailed(f"{title}: failed with exit code {done.returncode}.\n{_tail(log, begin)}\n{help_text}".rstrip())


def _tail(log: Path, begin: int) -> str:
    with log.open("rb") as stream:
        stream.seek(begin)
        lines = collections.deque(stream.read().decode(errors="replace").splitlines(), TAIL_LINES)
    return "\n".join(f"    {line}" for line in lines)


class _Ticker:
    """Shows that a step is alive: a spinner with seconds on a terminal, a line now and then elsewhere."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._live = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._tick, daemon=True)

    def __enter__(self) -> None:
        self._begun = time.monotonic()
        if not self._live:
            say(f"{self._title} ...")
        self._thread.start()

    def __exit__(self, failure: type[BaseException] | None, *_: object) -> None:
        self._over.set()
        self._thread.join()
        if self._live:
            print("\r\033[K", end="")
        if failure is None:
            say(f"{self._title}: {time.monotonic() - self._begun:.1f} s")

    def _tick(self) -> None:
        for turn in itertools.count():
            if self._over.wait(TICK_TERMINAL if self._live else TICK_LOG):
                return
            if self._live:
                print(f"\r{time.monotonic() - STARTED:6.1f}s  {self._title} {SPINNER[turn % len(SPINNER)]}", end="", flush=True)
            else:
                say(f"{self._title} ... {time.monotonic() - self._begun:.0f} s")
