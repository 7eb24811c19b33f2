"""Processes by what `/proc` says of them (proc(5)), and signals that never hit a stranger.

A process id is used again sooner or later, so a process is known by its id together with its start time.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")


@dataclass(frozen=True)
class Process:
    """A process at the moment it was looked at."""

    pid: int
    started: int
    """Clock ticks after boot."""
    state: str
    """One letter: `T` is stopped, `Z` ended and not yet fetched by its parent."""
    parent: int
    group: int
    session: int
    terminal: int
    """0: it has none."""

    @property
    def alive(self) -> bool:
        return self.state not in ("Z", "X", "x")


def look(pid: int) -> Process | None:
    """The process of that id; `None` when there is none."""
    try:
        # The name stands in brackets and may hold anything, brackets and blanks too.
        fields = (PROC / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    state, parent, group, session, terminal = fields[0].decode(), *map(int, fields[1:5])
    return Process(pid, int(fields[19]), state, parent, group, session, terminal)


def everybody() -> Iterator[Process]:
    """Every process that is alive."""
    for entry in PROC.iterdir():
        process = look(int(entry.name)) if entry.name.isdigit() else None
        if process is not None and process.alive:
            yield process


def same(pid: int, started: int) -> Process | None:
    """The process of that id if it is still the one that began at `started`, and alive."""
    process = look(pid)
    return process if process is not None and process.started == started and process.alive else None


def send(process: Process, number: signal.Signals) -> bool:
    """Send a signal to exactly this process; whether it was there to get it."""
    try:
        descriptor = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return False
    try:
        # The descriptor keeps naming one process: if that began at the same time, it is ours whatever happens next.
        if same(process.pid, process.started) is None:
            return False
        signal.pidfd_send_signal(descriptor, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(descriptor)
    return True


def belonging(pid: int, started: int, directory: Path | None) -> list[Process]:
    """The process itself, its group, all that descends from it, and what works in `directory` without a terminal.

    terraform runs in a session of its own and is nobody's child once the program that started it is gone, but its working
    directory tells. A shell in which somebody looks around there has a terminal, and is left alone. `None` asks for no directory.
    """
    everyone = list(everybody())
    by_pid = {process.pid: process for process in everyone}
    leader = by_pid.get(pid)
    reused = leader is not None and leader.started != started
    found = {process.pid for process in everyone if not reused and process.group == pid and process.started >= started}
    if directory is not None:
        inside = directory.resolve()
        found |= {process.pid for process in everyone if process.terminal == 0 and _works_in(process.pid, inside)}
    more = True
    while more:
        children = {process.pid for process in everyone if process.parent in found} - found
        found |= children
        more = bool(children)
    return [by_pid[each] for each in sorted(found) if each != os.getpid()]


def _works_in(pid: int, directory: Path) -> bool:
    try:
        # A directory that was removed meanwhile is shown with " (deleted)" behind it.
        where = Path((PROC / str(pid) / "cwd").readlink().as_posix().removesuffix(" (deleted)"))
    except OSError:
        return False
    return where == directory or directory in where.parents
