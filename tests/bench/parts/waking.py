"""How servers of one PostgreSQL hear of each other: what it costs while nothing happens, and how soon a wake-up comes."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import asyncpg
import psutil

from tests.bench.parts.listeners import _joined
from tests.bench.tools.pollers import polling
from tests.bench.tools.report import Report
from tests.bench.tools.servers import serving
from tests.support.listeners import make_pool
from tests.support.postgres import PostgresServer

SETTLE_SECONDS = 3.0


def idle(report: Report, directory: Path, postgres: PostgresServer, *, listeners: int, watched: float) -> None:
    """Transactions a second of a server that nobody asks anything, alone and with listeners that wait."""
    name = postgres.create()
    with serving(directory / "idle", database_url=postgres.url(name)) as server:
        report.section("an idle server on PostgreSQL")
        _watch(report, "alone", postgres, name, server.pid, watched)
        known = _joined(server, make_pool(server.api)["id"], listeners)
        with polling(server.url, known) as pollers:
            pollers.line(), pollers.line()
            _watch(report, f"{listeners} listeners wait", postgres, name, server.pid, watched)


def _watch(report: Report, what: str, postgres: PostgresServer, database: str, pid: int, watched: float) -> None:
    process = psutil.Process(pid)
    time.sleep(SETTLE_SECONDS)
    report.doing(f"{what}: watching for {watched:.0f} s")
    before, cpu, began = _transactions(postgres, database), sum(process.cpu_times()[:2]), time.monotonic()
    time.sleep(watched)
    took = time.monotonic() - began
    rate = (_transactions(postgres, database) - before) / took
    share = (sum(process.cpu_times()[:2]) - cpu) / took
    report.add(what, f"{rate:.1f} transactions a second", f"{100 * share:.2f} % of a core")


def _transactions(postgres: PostgresServer, database: str) -> int:
    async def ask() -> int:
        connection = await asyncpg.connect(postgres.url("postgres").replace("+asyncpg", ""))
        try:
            query = "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = $1"
            found: int = await connection.fetchval(query, database)
            return found
        finally:
            await connection.close()

    return asyncio.run(ask())
