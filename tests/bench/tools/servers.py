"""Servers to be measured, and how much memory they take."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import psutil

from tests.bench.tools.timed import engine
from tests.support.postgres import PostgresServer, postgres_server
from tests.support.server import Server

HONEST = ("fsync = on", "synchronous_commit = on", "full_page_writes = on")
"""The tests' PostgreSQL forgets at a crash; a measured one must not, or its commits cost nothing."""


class Resident:
    """The memory of a process."""

    def __init__(self, pid: int) -> None:
        self._process = Path("/proc") / str(pid)

    def forget_peak(self) -> int:
        """Look for the peak anew from now on; what is resident now, in bytes."""
        (self._process / "clear_refs").write_text("5")
        return self._of("VmRSS")

    def peak(self) -> int:
        """The most that was resident since `forget_peak`, in bytes."""
        return self._of("VmHWM")

    def _of(self, name: str) -> int:
        lines = (self._process / "status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith(name + ":")).split()[1]) * 1024


class Programs:
    """The most memory that any program of a kind takes which a process starts, by kind; good while its block lasts, and afterwards.

    A kind is a word of the command's line, or the last part of one. Every few milliseconds each is asked for its peak so far.
    """

    def __init__(self, pid: int, *kinds: str) -> None:
        self.peaks: dict[str, int] = {}
        """Bytes; a kind that was not seen is not there."""
        self._kinds = kinds
        self._process = psutil.Process(pid)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_raised: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(0.02):
            for child in self._process.children(recursive=True):
                # It may have ended. Before it has become another program it has the line of the server, which no kind is a word of.
                with suppress(psutil.NoSuchProcess, OSError, StopIteration):
                    line = child.cmdline()
                    kind = next(each for each in self._kinds if each in {Path(word).name for word in line})
                    self.peaks[kind] = max(self.peaks.get(kind, 0), Resident(child.pid).peak())


class BenchServer(Server):
    """`tests/bench/tools/served.py` as a process."""

    program = ("-P", str(Path(__file__).with_name("served.py")))

    def resident(self) -> Resident:
        """Its memory."""
        return Resident(self.pid)


@contextmanager
def serving(directory: Path, *, timed: bool = False, **options: Any) -> Iterator[BenchServer]:
    """A started server. With `timed` its runs use an engine that notes its times in `<directory>/engine.log`."""
    shutil.rmtree(directory, ignore_errors=True)
    # Limits that nobody meets, and that are counted all the same: what they cost belongs to the figures.
    limits = {f"LIMITS__REQUESTS_PER_SECOND_PER_{whom}": "1000000" for whom in ("TOKEN", "ADDRESS")} | {
        "LIMITS__WORKSPACES_PER_USER": "100000",
        "LIMITS__CONNECTIONS_PER_ADDRESS": "1000000",
    }
    settings = {"LOG_FORMAT": "json", **limits, **options.pop("settings", {})}
    if timed:
        settings["RUNNER__ENGINES_DIR"] = str(engine(directory))
    server = BenchServer(directory, settings=settings, **options)
    try:
        server.start()
        yield server
    finally:
        server.close()


@contextmanager
def postgresql() -> Iterator[PostgresServer]:
    """A PostgreSQL that keeps its word."""
    with postgres_server() as server:
        server.execute(*(f"ALTER SYSTEM SET {setting}" for setting in HONEST), "SELECT pg_reload_conf()")
        yield server
