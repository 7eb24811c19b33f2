"""How servers of one PostgreSQL hear of each other: what it costs while nothing happens, and how soon a wake-up comes."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from pathlib import Path
from statistics import quantiles

import asyncpg
import psutil
from sqlalchemy import text

from terrapod_coordination_redis.coordination import RedisCoordination
from terrapod_coordination_redis.settings import RedisCoordinationSettings
from terrapod_core.coordination import PostgreSQLCoordination
from terrapod_core.db import Database
from terrapod_core.jobs.looking import Looking
from terrapod_core.plugin import CoordinationBackend
from tests.bench.parts.listeners import joined
from tests.bench.tools.pollers import polling
from tests.bench.tools.report import Report
from tests.bench.tools.servers import serving
from tests.support.listeners import make_pool
from tests.support.postgres import PostgresServer
from tests.support.redis_server import redis_server

SETTLE_SECONDS = 3.0


def idle(report: Report, directory: Path, postgres: PostgresServer, *, listeners: int, watched: float) -> None:
    """Transactions a second of a server that nobody asks anything, alone and with listeners that wait."""
    name = postgres.create()
    with serving(directory / "idle", database_url=postgres.url(name)) as server:
        report.section("an idle server on PostgreSQL")
        _watch(report, "alone", postgres, name, server.pid, watched)
        known = joined(server, make_pool(server.api)["id"], listeners)
        with polling(server.url, known) as pollers:
            pollers.line(), pollers.line()
            _watch(report, f"{listeners} listeners wait", postgres, name, server.pid, watched)


def wakes(report: Report, postgres: PostgresServer, *, times: int, looks: int) -> None:
    """From asking for the commit at one server to the wake-up at another: `times` with each backend, `looks` by the clock."""
    report.section("a commit wakes another server")
    url = postgres.url(postgres.create())
    with redis_server() as redis:
        ways: dict[str, Callable[[Database], CoordinationBackend]] = {
            "NOTIFY": lambda db: PostgreSQLCoordination(db.url),
            "Redis": lambda _db: RedisCoordination(redis.url, RedisCoordinationSettings()),
        }
        for what, make in ways.items():
            report.doing(what)
            _add(report, what, asyncio.run(_woken(url, make, times)))
        report.doing("a look every second")
        _add(report, "neither: a look every second", asyncio.run(_looked(url, looks)))
        report.doing("Redis counting requests")
        _add(report, "one request counted in Redis", asyncio.run(_counted(redis.url, times)))


def _add(report: Report, what: str, latencies: list[float]) -> None:
    cut = quantiles(latencies, n=100, method="inclusive")
    report.add(what, f"p50 {1000 * cut[49]:.1f} ms, p99 {1000 * cut[98]:.1f} ms", f"{len(latencies)} times")


async def _woken(url: str, make: Callable[[Database], CoordinationBackend], times: int) -> list[float]:
    here, there = Database(url), Database(url)
    heard = asyncio.Event()
    there.wakeups.on("bench", lambda _key: heard.set())
    for db in (here, there):
        db.wakeups.use(make(db))
        db.wakeups.start()
    while not (here.wakeups.hears and there.wakeups.hears):  # noqa: ASYNC110 - they say it to the log
        await asyncio.sleep(0.05)
    found = []
    for number in range(times):
        heard.clear()
        async with here.uow() as uow:
            await uow.session.execute(text("SELECT pg_current_xact_id()"))  # as one that has written
            uow.wake("bench", str(number))
            began = time.perf_counter()
            await uow.commit()
        await heard.wait()
        found.append(time.perf_counter() - began)
    for db in (here, there):
        await db.wakeups.close()
        await db.close()
    return found


async def _looked(url: str, times: int) -> list[float]:
    db, looked = Database(url), asyncio.Event()

    async def look() -> None:
        await db.ping()
        looked.set()

    looking, found = Looking("bench", lambda: 1.0, look), []
    looking.start()
    for _ in range(times):
        await asyncio.sleep(random.random())
        looked.clear()
        began = time.perf_counter()
        await looked.wait()
        found.append(time.perf_counter() - began)
    await looking.stop()
    await db.close()
    return found


async def _counted(url: str, times: int) -> list[float]:
    backend = RedisCoordination(url, RedisCoordinationSettings())
    backend.start(lambda _wakeup: None, lambda: None)
    while backend.trouble is not None:  # noqa: ASYNC110 - it says it to the log
        await asyncio.sleep(0.05)
    found = []
    for _ in range(times):
        began = time.perf_counter()
        await backend.take("token at-1", 30.0, 60)
        found.append(time.perf_counter() - began)
    await backend.close()
    return found


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
