"""What the schedule of the sync plugin costs: a server with 5,000 entries beside one without any."""

from __future__ import annotations

import asyncio
import re
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import psutil
from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from terrapod_core import ids
from terrapod_core.accounts import User
from terrapod_core.db import Database
from terrapod_core.extensions.models import PluginDelegate
from terrapod_core.workspaces.models import Workspace
from terrapod_sync.models import GLOBAL_ID, GlobalConfig, SyncedWorkspace
from tests.bench.tools.report import Report
from tests.bench.tools.servers import BenchServer, serving
from tests.support import wire

SETTLE_SECONDS = 5.0
SHARE, LATE_SECONDS = 2.0, 2.0
DUE = 40
_LATE = re.compile(r'terrapod_sync_tick_lateness_seconds_bucket\{le="([^"]+)"\} (\S+)')


def schedule(report: Report, directory: Path, *, workspaces: int, watched: float) -> None:
    """Processor time while nobody asks anything: without entries, with all of them waiting, and while some are due."""
    with serving(directory / "sync") as server:
        report.section(f"a server on SQLite that nobody asks anything, watched for {watched:.0f} s")
        bare = _share(server, watched)
        report.add("no entries", f"{bare:.2f} % of a processor")
        asyncio.run(_fill(server, workspaces))
        full = _share(server, watched)
        cost = full - bare
        report.add(
            f"{workspaces:,} entries, none due",
            f"{full:.2f} %",
            f"{cost:+.2f} % of a processor",
            aim=f"under {SHARE:.0f} %",
            met=cost < SHARE,
        )
        asyncio.run(_make_due(server, DUE))
        busy = _share(server, watched, settle=0.0)
        report.add(f"{DUE} of them due, whose runs are refused for want of a configuration", f"{busy:.2f} %", f"{busy - bare:+.2f} %")
        late = _latest(server)
        report.add(
            "the latest of them begins", f"within {late:g} s", aim=f"within {LATE_SECONDS:g} s of its moment", met=late <= LATE_SECONDS
        )


def _share(server: BenchServer, watched: float, *, settle: float = SETTLE_SECONDS) -> float:
    """Percent of a processor that the server takes."""
    process = psutil.Process(server.pid)
    time.sleep(settle)
    before, began = _cpu(process), time.monotonic()
    time.sleep(watched)
    return 100 * (_cpu(process) - before) / (time.monotonic() - began)


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


async def _fill(server: BenchServer, number: int) -> None:
    """Workspaces with entries that are due tomorrow, in the admin's name."""
    wire.make_workspace(server.api)
    db, now = Database(server.database_url), datetime.now(UTC)

    def pattern(session: Session) -> tuple[dict[str, object], str]:
        found = session.execute(select(Workspace).limit(1)).scalar_one()
        admin = session.execute(select(User.id).limit(1)).scalar_one()
        return {column.key: getattr(found, column.key) for column in Workspace.__table__.columns}, admin

    try:
        row, admin = await db.read(pattern)
        workspaces = [row | {"id": ids.new("ws"), "name": f"many-{each:05}", "created_at": now} for each in range(number)]
        due = now + timedelta(days=1)
        entries = [_entry(str(each["id"]), str(each["name"]), admin, now, due) for each in workspaces]
        everything = {"id": GLOBAL_ID, "enabled": True, "conflict_resolution": "manual", "edited_by_id": admin, "edited_at": now}
        async with db.uow() as uow:
            uow.add(PluginDelegate(plugin="sync", user_id=admin, created_at=now))
            await uow.session.execute(insert(Workspace), workspaces)
            await uow.session.execute(insert(SyncedWorkspace), entries)
            await uow.session.execute(insert(GlobalConfig), [everything])
            await uow.commit()
    finally:
        await db.close()


def _entry(workspace_id: str, name: str, admin: str, now: datetime, due: datetime) -> dict[str, object]:
    return {
        "workspace_id": workspace_id,
        "name": name,
        "position": 0,
        "entry": {"enabled": True, "sync_interval": "1d", "policy": "observe"},
        "enabled": True,
        "edited_by_id": admin,
        "edited_at": now,
        "tick_at": due,
        "next_at": due,
        "attempts": 0,
        "status": "never",
    }


async def _make_due(server: BenchServer, number: int) -> None:
    """So many are due, one a second of the watch after the other."""
    db, now = Database(server.database_url), datetime.now(UTC)
    try:
        async with db.uow() as uow:
            found = (await uow.session.execute(select(SyncedWorkspace.workspace_id).limit(number))).scalars().all()
            for place, workspace_id in enumerate(found):
                moment = now + timedelta(seconds=1 + place * 0.2)
                change = update(SyncedWorkspace).where(SyncedWorkspace.workspace_id == workspace_id)
                await uow.session.execute(change.values(tick_at=moment, next_at=moment))
            await uow.commit()
    finally:
        await db.close()


def _latest(server: BenchServer) -> float:
    """The bucket of the latest start, in seconds: none was later than this."""
    text = httpx.get(f"{server.url}/metrics", headers={"Authorization": f"Bearer {server.token}"}, trust_env=False).raise_for_status().text
    buckets = [(float(edge), float(count)) for edge, count in _LATE.findall(text)]
    whole = max((count for _, count in buckets), default=0.0)
    return min((edge for edge, count in buckets if count == whole), default=float("inf")) if whole else float("inf")
