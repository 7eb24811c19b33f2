"""Small requests under load, beside the smallest request there is on the same server."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from tests.bench.tools.bodies import new_workspace
from tests.bench.tools.load import Load, measure as load
from tests.bench.tools.report import Report
from tests.bench.tools.served import HELLO
from tests.bench.tools.servers import BenchServer, serving
from tests.support.postgres import PostgresServer

NAME = "measured"
WORKSPACE = f"/api/v2/organizations/default/workspaces/{NAME}"
FIXED = {"/health": "/health", "/api/v2/ping": "ping", "/.well-known/terraform.json": "discovery"}
READ_SHARE, READ_RATE, FIXED_SHARE, P99_MS = 0.45, 500, 0.9, 400


@dataclass
class Cell:
    """One path at one number of connections, some rounds of it."""

    loads: list[Load] = field(default_factory=list)

    @property
    def rate(self) -> float:
        return median(each.rate for each in self.loads)

    @property
    def p99(self) -> float:
        return median(each.p99 for each in self.loads)

    def __str__(self) -> str:
        refused = sum(each.refused for each in self.loads)
        wrong = f", {refused} REFUSED" if refused else ""
        return f"{self.rate:.0f}/s, p50 {median(each.p50 for each in self.loads):.0f} ms, p99 {self.p99:.0f} ms{wrong}"


def measure(report: Report, directory: Path, postgres: PostgresServer, *, rounds: int, seconds: float) -> None:
    """An authenticated workspace at 16, 64 and 256 connections on both databases; the fixed documents at 16."""
    for kind in ("SQLite", "PostgreSQL"):
        url = postgres.url(postgres.create()) if kind == "PostgreSQL" else None
        report.section(f"GET workspace on {kind}, one process (own load generator in a process of its own, median of {rounds})")
        with serving(directory / kind.lower(), database_url=url) as server:
            new_workspace(server, NAME)
            bench = _Reads(report, server, rounds, seconds)
            bench.workspace()
            if url is None:
                report.section(f"documents that never change, 16 connections (median of {rounds})")
                bench.fixed()


class _Reads:
    def __init__(self, report: Report, server: BenchServer, rounds: int, seconds: float) -> None:
        self._report = report
        self._base = server.url.replace("localhost", "127.0.0.1")
        self._headers = {"Authorization": f"Bearer {server.token}", "Accept": "application/vnd.api+json"}
        self._rounds = rounds
        self._seconds = seconds

    def workspace(self) -> None:
        """The read that everything begins with."""
        for connections in (16, 64, 256):
            hello, read = self._beside(connections, HELLO, WORKSPACE)
            # The median of the pairs: both halves of a pair saw the same machine.
            share = median(one.rate / other.rate for one, other in zip(read.loads, hello.loads, strict=True))
            report, name = self._report, f"{connections} connections"
            report.add(name, str(read), f"hello {hello}")
            if connections == 16:
                report.add("", f"{share:.2f} of hello", aim=f"at least {READ_SHARE} of hello", met=share >= READ_SHARE)
                report.add("", f"{read.rate:.0f}/s", aim=f"at least {READ_RATE}/s", met=read.rate >= READ_RATE)
            elif connections == 64:
                report.add("", f"{share:.2f} of hello", aim=f"p99 under {P99_MS} ms", met=read.p99 < P99_MS)
            else:
                least = min(each.rate for each in read.loads)
                report.add("", f"{share:.2f} of hello", aim="no collapse", met=not any(each.refused for each in read.loads) and least > 0)

    def fixed(self) -> None:
        """What asks no database."""
        found = self._beside(16, HELLO, *FIXED)
        for cell, name in zip(found[1:], FIXED.values(), strict=True):
            share = median(one.rate / other.rate for one, other in zip(cell.loads, found[0].loads, strict=True))
            self._report.add(name, str(cell), f"hello {found[0]}")
            self._report.add("", f"{share:.2f} of hello", aim=f"at least {FIXED_SHARE} of hello", met=share >= FIXED_SHARE)

    def _beside(self, connections: int, *paths: str) -> list[Cell]:
        cells = [Cell() for _ in paths]
        for number in range(self._rounds):
            self._report.doing(f"{connections} connections, round {number + 1} of {self._rounds}")
            for path, cell in zip(paths, cells, strict=True):
                cell.loads.append(load(self._base + path, connections=connections, seconds=self._seconds, headers=self._headers))
        return cells
