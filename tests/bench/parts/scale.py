"""State cycles beside a bare loop of the same inserts and files; pages of long lists beside pages of short ones."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import secrets
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import psutil
from sqlalchemy import Table, insert

from terrapod_core import ids
from terrapod_core.audit import AuditEntry
from terrapod_core.db import Base, Database, OutboxRow
from terrapod_core.states.models import StateVersion, StateVersionOutput
from tests.bench.tools import cycles as clients
from tests.bench.tools.bodies import new_workspace
from tests.bench.tools.load import measure as load
from tests.bench.tools.report import Report
from tests.bench.tools.servers import BenchServer, serving
from tests.support.many import Numbers, plant
from tests.support.postgres import PostgresServer

CLIENTS, CYCLES = 8, 150
FEW = 100
MANY = Numbers(big=100_000, workspaces=10_000, other=100, heavy=100)
PAGE_MS, FLAT, DEEP = 12, 1.5, 500
FIRST = "ws-0000000000000001"
LISTS = {
    "workspaces": "/api/v2/organizations/default/workspaces",
    "runs of a workspace": f"/api/v2/workspaces/{FIRST}/runs",
    "runs": "/api/v2/organizations/default/runs",
    "state versions": f"/api/v2/workspaces/{FIRST}/state-versions",
}
KINDS = ("SQLite", "PostgreSQL")


def cycles(report: Report, directory: Path, postgres: PostgresServer, *, rounds: int, seconds: float) -> None:
    """In turn: whole cycles over HTTP, and the bare loop into the same database and onto the same disk."""
    for kind in KINDS:
        report.section(f"state create + upload cycles, {CLIENTS} clients, {kind}, states of 4 KiB (median of {rounds})")
        url = postgres.url(postgres.create()) if kind == "PostgreSQL" else None
        with serving(directory / f"cycles-{kind}", database_url=url) as server:
            served, bare, times, work = [], [], [], []
            for number in range(rounds):
                report.doing(f"round {number + 1} of {rounds}")
                workspaces = [new_workspace(server, f"cycles-{number}-{client}", locked=True) for client in range(CLIENTS)]
                before = _processor(server)
                found = clients.measure(server.url, server.token, workspaces, seconds=seconds)
                work.append(1000 * (_processor(server) - before) / (found.rate * seconds))
                served.append(found.rate)
                times.append(found.p50)
                bare.append(asyncio.run(_bare(url or _sqlite(server), workspaces, directory / f"bare-{kind}-{number}", seconds)))
            rate = median(served)
            aim = f"at least {CYCLES}/s" if kind == "PostgreSQL" else ""
            report.add("cycles", f"{rate:.0f}/s, p50 {median(times):.0f} ms", aim=aim, met=rate >= CYCLES if aim else None)
            report.add("processor time of the server", f"{median(work):.1f} ms a cycle")
            report.add("bare loop", f"{median(bare):.0f}/s", f"cycles are {rate / median(bare):.2f} of it")


def _processor(server: BenchServer) -> float:
    spent = psutil.Process(server.pid).cpu_times()
    return spent.user + spent.system


def _sqlite(server: BenchServer) -> str:
    return f"sqlite+aiosqlite:///{server.data / 'terrapod.db'}"


async def _bare(url: str, workspaces: Sequence[str], directory: Path, seconds: float) -> float:
    """Eight loops that insert the rows of a cycle in its two transactions, and write its file durably; cycles a second."""
    db = Database(url)
    try:
        ends = time.monotonic() + seconds
        done = await asyncio.gather(*(_loop(db, each, directory / each, ends) for each in workspaces))
    finally:
        await db.close()
    return sum(done) / seconds


async def _loop(db: Database, workspace_id: str, directory: Path, ends: float) -> int:
    await asyncio.to_thread(directory.mkdir, parents=True)
    done = 0
    while time.monotonic() < ends:
        version_id = ids.new("sv")
        content = json.dumps({"serial": done, "outputs": {"filler": {"value": "x" * clients.CYCLE_BYTES}}}).encode()
        md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
        now = db.clock.now()
        audit = {
            "at": now, "actor_kind": "user", "actor_id": "user-1", "actor_name": "bare", "resource_type": "state-versions",
            "resource_id": version_id, "outcome": "allowed", "detail": {"serial": done, "md5": md5},
        }  # fmt: skip
        version = {
            "id": version_id, "workspace_id": workspace_id, "serial": -done - 1, "md5": md5, "status": "discarded",
            "created_by_name": "bare", "created_at": now, "upload_expires_at": now,
        }  # fmt: skip
        async with db.uow() as uow:
            await _insert(uow, StateVersion, version)
            await _insert(uow, AuditEntry, {"id": ids.new("audit"), "action": "bare.create", **audit})
            await uow.commit()
        await asyncio.to_thread(_write, directory, content)
        output = {"id": ids.new("wsout"), "state_version_id": version_id, "name": "filler", "sensitive": False, "type": "string"}
        event = {"id": ids.new("event"), "event": "bare", "payload": {}, "created_at": now}
        async with db.uow() as uow:
            await _insert(uow, StateVersionOutput, {**output, "value": secrets.token_bytes(clients.CYCLE_BYTES)})
            await _insert(uow, AuditEntry, {"id": ids.new("audit"), "action": "bare.upload", **audit})
            await _insert(uow, OutboxRow, event)
            await uow.commit()
        done += 1
    return done


async def _insert(uow: object, table: type[Base], values: dict[str, object]) -> None:
    rows: Table = Base.metadata.tables[table.__tablename__]
    await uow.session.execute(insert(rows).inline(), values)  # type: ignore[attr-defined]


def _write(directory: Path, content: bytes) -> None:
    temporary = directory / secrets.token_hex(8)
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(directory / f"{temporary.name}.state")
    folder = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def pages(report: Report, directory: Path, postgres: PostgresServer, *, rounds: int, seconds: float) -> None:
    """The first page and a deep one of long lists, beside the first page of the same lists with a hundred rows; as a platform admin."""
    for kind in KINDS:
        report.section(f"pages of 20 on {kind}, 1 connection, platform admin (median of {rounds})")
        urls = [postgres.url(postgres.create()) if kind == "PostgreSQL" else None for _ in range(2)]
        few = Numbers(big=FEW, workspaces=FEW, other=FEW, heavy=100, few={})
        with (
            serving(directory / f"few-{kind}", database_url=urls[0]) as short,
            serving(directory / f"many-{kind}", database_url=urls[1]) as long,
        ):
            report.doing("filling in")
            asyncio.run(plant(urls[0] or _sqlite(short), few))
            asyncio.run(plant(urls[1] or _sqlite(long), MANY))
            for name, path in LISTS.items():
                report.doing(name)
                _compare(report, name, path, short, long, rounds, seconds)


def _compare(report: Report, name: str, path: str, short: BenchServer, long: BenchServer, rounds: int, seconds: float) -> None:
    deep = DEEP if name != "workspaces" else MANY.workspaces // 20 - 20  # a fiftieth of them is deleted
    found: dict[str, list[float]] = {"of 100": [], "page 1": [], f"page {deep}": []}
    for _ in range(rounds):
        for what, server, number in zip(found, (short, long, long), (1, 1, deep), strict=True):
            url = f"{server.url.replace('localhost', '127.0.0.1')}{path}?page%5Bnumber%5D={number}"
            headers = {"Authorization": f"Bearer {server.token}", "Accept": "application/vnd.api+json"}
            measured = load(url, connections=1, seconds=seconds, headers=headers)
            if measured.refused:
                raise RuntimeError(f"{measured.refused} refusals of {url}")
            found[what].append(measured.p50)
    base = median(found.pop("of 100"))
    for what, times in found.items():
        p50 = median(times)
        beside = f"{base:.1f} ms of 100: {p50 / base:.2f} times"
        met = p50 < PAGE_MS and p50 / base < FLAT
        report.add(f"{name}, {what}", f"p50 {p50:.1f} ms", beside, aim=f"p50 under {PAGE_MS} ms, flat (under {FLAT})", met=met)
