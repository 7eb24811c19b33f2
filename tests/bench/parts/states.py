"""A state of 100 MiB up and down with the server's memory, many small ones, and a long list of workspaces."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import median

import httpx
from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from terrapod_core import ids
from terrapod_core.db import Database
from terrapod_core.workspaces.models import Workspace
from tests.bench.tools import cycles
from tests.bench.tools.bodies import announce, bare_rate, large_state, new_workspace
from tests.bench.tools.load import measure as load
from tests.bench.tools.report import Report, mebibytes, spread
from tests.bench.tools.served import DISK
from tests.bench.tools.servers import BenchServer, Resident, serving
from tests.support.postgres import PostgresServer
from tests.support.workspace import data

SIZE = 100 * 2**20
WAIT = 600
SLOW_DISK = 20 * 10**6
MEMORY, UPLOAD_SHARE, CYCLES, CLIENTS = 32 * 2**20, 0.5, 150, 8
MANY, PAGE_MS = 10_000, 15


def large(report: Report, directory: Path, *, rounds: int, slow: bool) -> None:
    """100 MiB of state in both directions; once more with a store on a slow disk."""
    report.section(f"a state of {mebibytes(SIZE)} up and down (median of {rounds}); memory is the server's peak above idle")
    path = directory / "large.tfstate"
    report.doing("making a state that hardly compresses")
    large_state(path, SIZE)
    bare = median(bare_rate(path, directory / "scratch") for _ in range(rounds))
    with serving(directory / "large") as server:
        _transfer(report, server, path, rounds, bare, "")
    if slow:
        settings = {DISK.removeprefix("TERRAPOD_"): str(SLOW_DISK)}
        with serving(directory / "slow", settings=settings) as server:
            _transfer(report, server, path, 1, None, f", disk {SLOW_DISK // 10**6} MB/s")


def _transfer(report: Report, server: BenchServer, path: Path, rounds: int, bare: float | None, note: str) -> None:
    size = path.stat().st_size
    up, up_peak, down, down_peak = [], [], [], []
    for number in range(rounds):
        report.doing(f"round {number + 1} of {rounds}{note}")
        workspace = new_workspace(server, f"large-{number}", locked=True)
        link = announce(server, workspace, path)
        took, peak = peak_of(server.resident(), partial(upload, link, path))
        up.append(size / took)
        up_peak.append(peak)
        current = data(server.api.get(f"workspaces/{workspace}/current-state-version"))["attributes"]
        took, peak = peak_of(server.resident(), partial(download, current["hosted-state-download-url"], server.token, size))
        down.append(size / took)
        down_peak.append(peak)
    memory, aim = median(up_peak), "under 32 MiB above idle"
    report.add(f"up{note}: memory", spread(up_peak, mebibytes), aim=aim, met=memory < MEMORY)
    if bare is not None:
        share = median(up) / bare
        beside = f"write, md5 and sha256 in a bare loop {bare / 1e6:.0f} MB/s"
        report.add("up: rate", spread(up, rate_text), beside, aim="half of the bare loop", met=share >= UPLOAD_SHARE)
    else:
        report.add(f"up{note}: rate", spread(up, rate_text))
    report.add(f"down{note}: memory", spread(down_peak, mebibytes), aim=aim, met=median(down_peak) < MEMORY)
    report.add(f"down{note}: rate", spread(down, rate_text), "one client in Python")


def peak_of(resident: Resident, act: Callable[[], None]) -> tuple[float, float]:
    """Seconds that it takes, and the peak memory of the process above what it had before, in bytes."""
    idle = resident.forget_peak()
    began = time.monotonic()
    act()
    return time.monotonic() - began, resident.peak() - idle


def upload(link: str, path: Path) -> None:
    """Send a file to a link."""
    with path.open("rb") as file:
        answer = httpx.put(link, content=iter(lambda: file.read(1 << 18), b""), headers=_length(path), timeout=WAIT, trust_env=False)
    answer.raise_for_status()


def download(link: str, token: str, size: int) -> None:
    """Fetch so many bytes, and keep none."""
    seen = 0
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    with httpx.stream("GET", link, headers=headers, timeout=WAIT, trust_env=False) as answer:
        answer.raise_for_status()
        for piece in answer.iter_raw(1 << 20):
            seen += len(piece)
    if seen != size:
        raise RuntimeError(f"{seen} of {size} bytes came back")


def _length(path: Path) -> dict[str, str]:
    return {"Content-Length": str(path.stat().st_size), "Content-Type": "application/octet-stream"}


def rate_text(value: float) -> str:
    """Bytes a second as people read them."""
    return f"{value / 1e6:.0f} MB/s"


def small(report: Report, directory: Path, postgres: PostgresServer, *, rounds: int, period: float) -> None:
    """Announce, upload, again: eight clients, a workspace each."""
    report.section(f"state create + upload cycles, {CLIENTS} clients, PostgreSQL with fsync, states of 4 KiB (median of {rounds})")
    with serving(directory / "cycles", database_url=postgres.url(postgres.create())) as server:
        found = []
        for number in range(rounds):
            report.doing(f"round {number + 1} of {rounds}")
            workspaces = [new_workspace(server, f"cycle-{number}-{client}", locked=True) for client in range(CLIENTS)]
            found.append(cycles.measure(server.url, server.token, workspaces, seconds=period))
        rate = median(each.rate for each in found)
        times = f"p50 {median(each.p50 for each in found):.0f} ms, p99 {median(each.p99 for each in found):.0f} ms"
        report.add("cycles", f"{rate:.0f}/s, {times}", aim=f"at least {CYCLES}/s", met=rate >= CYCLES)


def listing(report: Report, directory: Path, postgres: PostgresServer, *, rounds: int, period: float) -> None:
    """The first page of 20 of many workspaces, for a platform admin; roles come with their own benchmark."""
    report.section(f"page 1 of {MANY} workspaces, 1 connection, platform admin (median of {rounds})")
    for kind in ("SQLite", "PostgreSQL"):
        url = postgres.url(postgres.create()) if kind == "PostgreSQL" else None
        with serving(directory / f"many-{kind}", database_url=url) as server:
            new_workspace(server, "pattern")
            report.doing(f"{kind}: filling in")
            asyncio.run(_fill(url or f"sqlite+aiosqlite:///{server.data / 'terrapod.db'}"))
            headers = {"Authorization": f"Bearer {server.token}"}
            base = server.url.replace("localhost", "127.0.0.1")
            path = f"{base}/api/v2/organizations/default/workspaces"
            found = [load(path, connections=1, seconds=period, headers=headers) for _ in range(rounds)]
            p50 = median(each.p50 for each in found)
            p99 = median(each.p99 for each in found)
            report.add(kind, f"p50 {p50:.1f} ms, p99 {p99:.1f} ms", aim=f"p50 under {PAGE_MS} ms", met=p50 < PAGE_MS)


async def _fill(url: str) -> None:
    """Copies of the one workspace that is there."""

    def pattern(session: Session) -> dict[str, object]:
        found = session.execute(select(Workspace).limit(1)).scalar_one()
        return {column.key: getattr(found, column.key) for column in Workspace.__table__.columns}

    db = Database(url)
    try:
        row = await db.read(pattern)
        made = datetime.now(UTC)
        rows = [row | {"id": ids.new("ws"), "name": f"many-{number:06}", "created_at": made} for number in range(MANY)]
        async with db.uow() as uow:
            await uow.session.execute(insert(Workspace), rows)
            await uow.commit()
    finally:
        await db.close()
