"""A run whose apply prints far more than its log may hold, beside another run; what both cost."""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from tests.support import wire
from tests.support.gate import Gate
from tests.support.server import Server
from tests.support.waiting import until

MiB = 1 << 20
LIMIT = 64 * MiB
"""Bytes that the log of a phase keeps: product rules, section 4."""
LAST_LINE = b"[The log ends here: it reached %d bytes. The rest is not kept; the run goes on.]\n\x03" % LIMIT
MOST_MEMORY = 256 * MiB
"""What the server may take beside what it had, and what a runner may have in all."""
MOST_DISK = 4 * LIMIT
"""The runner's spool, the database with its journal, and the object into which the log is moved."""
LINE = "it goes on and on and on, as floods do, until nobody is left who reads it"
SAMPLE_SECONDS = 0.1
SETTINGS = {"RUNNER__LOCAL__CONCURRENCY": "2"}

CONFIGURATION = """
resource "terraform_data" "flood" {{
  provisioner "local-exec" {{
    command = "yes '{line}' | head -c {size} >/proc/$PPID/fd/1; {gate}"
  }}
}}
"""
"""Straight into what terraform prints to: line by line, as terraform passes on what a provisioner says, it is a megabyte a second."""


@dataclass
class Figures:
    """Bytes and seconds."""

    printed: int
    seconds: float
    """From the beginning of the apply until everything was printed."""
    log: bytes
    """As it is served."""
    status: str
    other_status: str
    other_seconds: float
    """Of the other run, begun after the flood and over before its end."""
    server_before: int
    server_peak: int
    runner_peak: int
    disk_before: int
    disk_peak: int
    disk_after: int
    """Of the data directory: SQLite, objects and the directories of runs."""

    def __str__(self) -> str:
        sizes = {
            "printed": self.printed,
            "log": len(self.log),
            "server before": self.server_before,
            "server at most": self.server_peak,
            "runner at most": self.runner_peak,
            "data directory before": self.disk_before,
            "data directory at most": self.disk_peak,
            "data directory after": self.disk_after,
        }
        lines = [f"{name}: {size / MiB:.1f} MiB" for name, size in sizes.items()]
        return "\n".join([*lines, f"all printed after {self.seconds:.1f} s; meanwhile another run took {self.other_seconds:.1f} s"])

    def problems(self) -> list[str]:
        """What is not as it must be, in sentences."""
        wrong = {
            f"the run is {self.status}": self.status != "applied",
            f"the other run is {self.other_status}": self.other_status != "applied",
            f"the log has {len(self.log)} bytes": not LIMIT - MiB < len(self.log) <= LIMIT + MiB,
            f"the log ends with {self.log[-200:]!r}": not self.log.endswith(LAST_LINE) or self.log.count(b"The log ends here") != 1,
            "the server took too much memory": self.server_peak - self.server_before > MOST_MEMORY,
            "the runner took too much memory": self.runner_peak > MOST_MEMORY,
            "it took too much of the disk": self.disk_peak - self.disk_before > MOST_DISK,
        }
        return [sentence for sentence, is_wrong in wrong.items() if is_wrong]


def flood(server: Server, gate: Gate, size: int, *, seconds: float) -> Figures:
    """Have an apply print `size` bytes on a started server, and apply something else meanwhile. `seconds` is for the printing."""
    _apply(server, wire.QUICK)  # what a server has once it has done something
    disk_before, server_before = _disk(server.data), _most(server.pid)
    with _Watch(server) as watch:
        flooded = _begin(server, CONFIGURATION.format(line=LINE, size=size, gate=gate.command))
        wire.run_at(server.api, flooded, "applying")
        began = time.monotonic()
        other_status = _apply(server, wire.QUICK)
        other_seconds = time.monotonic() - began
        until(gate.is_reached, "everything to be printed", seconds=seconds)
        took = time.monotonic() - began
        gate.open()
        status = wire.run_at(server.api, flooded, *wire.FINAL)["attributes"]["status"]
        until(lambda: not (server.data / "runs" / flooded).exists(), "the directory of the run to be removed")
    return Figures(
        printed=size,
        seconds=took,
        log=_log(server, flooded),
        status=status,
        other_status=other_status,
        other_seconds=other_seconds,
        server_before=server_before,
        server_peak=_most(server.pid),
        runner_peak=watch.runner,
        disk_before=disk_before,
        disk_peak=watch.disk,
        disk_after=_disk(server.data),
    )


def _begin(server: Server, configuration: str) -> str:
    workspace = wire.make_workspace(server.api, auto_apply=True)["id"]
    return wire.make_run(server.api, workspace, wire.make_configuration(server.api, workspace, {"main.tf": configuration}))


def _apply(server: Server, configuration: str) -> str:
    return str(wire.run_at(server.api, _begin(server, configuration), *wire.FINAL)["attributes"]["status"])


def _log(server: Server, run_id: str) -> bytes:
    url = wire.attributes(server.api.get(f"runs/{run_id}/apply"))["log-read-url"]
    pieces = []
    offset = 0
    while piece := httpx.get(url, params={"offset": offset, "limit": MiB}, trust_env=False).content:
        pieces.append(piece)
        offset += len(piece)
    return b"".join(pieces)


class _Watch:
    """Looks at runners and the disk while the block lasts."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self.runner = 0
        self.disk = 0

    def __enter__(self) -> _Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(SAMPLE_SECONDS):
            self.disk = max(self.disk, _disk(self._server.data))
            self.runner = max([self.runner, *(_most(pid) for pid in _runners(self._server))])


def _runners(server: Server) -> list[int]:
    """The runner programs, without the terraforms below them."""
    found = []
    for process in psutil.Process(server.pid).children():
        try:
            if "terrapod_core.runner" in process.cmdline():
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


def _most(pid: int) -> int:
    """The most memory that a process ever had; 0 when it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return max((int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM:")), default=0)


def _disk(directory: Path) -> int:
    """Bytes of all files; what vanishes meanwhile does not count."""
    total = 0
    for place, _, names in os.walk(directory):
        for name in names:
            with suppress(OSError):
                total += Path(place, name).lstat().st_size
    return total
