"""What the audit record costs those who write: the same writes with and without it, from eight writers, while the sealer works."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles
from typing import Any
from unittest.mock import patch

from terrapod_core import audit
from terrapod_core.audit import CheckpointKeys, Sealer, verify, waiting
from terrapod_core.audit.sealer import EVERY
from terrapod_core.db import Database
from terrapod_core.db.migrate import upgrade
from terrapod_core.secrets import Keyring, new_key
from terrapod_core.storage import Objects
from terrapod_core.testing import MemoryStorage
from tests.bench.tools.report import Report
from tests.support.postgres import PostgresServer
from tests.support.rooms import ALICE, House

WRITERS = 8
SHARE = 0.8
WARM_UP_SECONDS = 0.3


def measure(report: Report, directory: Path, postgres: PostgresServer, *, rounds: int, seconds: float) -> None:
    """Eight people lock and unlock a workspace each, through the service; on both databases, with fsync."""
    for kind in ("SQLite", "PostgreSQL"):
        report.section(f"{WRITERS} writers lock and unlock on {kind}, with and without the audit record (median of {rounds})")
        url = postgres.url(postgres.create()) if kind == "PostgreSQL" else f"sqlite+aiosqlite:///{directory / 'audit.db'}"
        asyncio.run(_Audit(report, url).measure(rounds, seconds))


class _Audit:
    def __init__(self, report: Report, url: str) -> None:
        self._report = report
        self._db = Database(url)
        self._house = House(self._db)
        self._keys = CheckpointKeys(Keyring(new_key()))

    async def measure(self, rounds: int, seconds: float) -> None:
        """Pairs of rounds, so that both halves of a pair see the same machine."""
        await upgrade(self._db)
        await self._house.projects.ensure_default()
        workspaces = [(await self._house.workspace(name=f"measured-{number}")).id for number in range(WRITERS)]
        shares, audited, bare, late = [], list[list[float]](), list[list[float]](), []
        for number in range(rounds):
            self._report.doing(f"round {number + 1} of {rounds}")
            with _no_audit():
                bare.append(await self._writes(workspaces, seconds))
            sealer = asyncio.create_task(self._seal())
            audited.append(await self._writes(workspaces, seconds))
            late.append((await self._db.read(waiting)).count)
            sealer.cancel()
            await asyncio.gather(sealer, return_exceptions=True)
            shares.append(len(audited[-1]) / len(bare[-1]))
        share = median(shares)
        self._report.add("with audit", _told(audited, seconds), f"without {_told(bare, seconds)}")
        self._report.add("", f"{share:.2f} of without", aim=f"at least {SHARE} of without", met=share >= SHARE)
        await self._ending(max(late))
        await self._db.close()

    async def _ending(self, late: int) -> None:
        began = time.perf_counter()
        await Sealer(self._db, self._keys).run()
        took = time.perf_counter() - began
        found = await verify(self._db, Objects(MemoryStorage(), Keyring(new_key())), self._keys)
        state = found.broken or f"chain of {found.entries} is good"
        self._report.add("behind at the end of a round", f"{late} entries", f"the rest sealed in {1000 * took:.0f} ms; {state}")

    async def _seal(self) -> None:
        """As the server does it."""
        sealer = Sealer(self._db, self._keys)
        while True:
            await asyncio.sleep(EVERY.total_seconds())
            await asyncio.shield(sealer.run())

    async def _writes(self, workspaces: list[str], seconds: float) -> list[float]:
        """How long each write took that ended in the time."""
        begin = time.perf_counter() + WARM_UP_SECONDS
        found = await asyncio.gather(*(self._write(each, begin, begin + seconds) for each in workspaces))
        return [took for each in found for took in each]

    async def _write(self, workspace: str, begin: float, until: float) -> list[float]:
        times, locks, now = [], self._house.workspaces.locks, time.perf_counter()
        while now < until:
            for locking in (True, False):
                before = now
                await (locks.lock(ALICE, workspace, None) if locking else locks.unlock(ALICE, workspace))
                now = time.perf_counter()
                if begin <= now < until:
                    times.append(now - before)
        return times


@contextmanager
def _no_audit() -> Iterator[None]:
    """Nothing is written down."""

    def forget(*_: Any, **__: Any) -> None:
        """What `record` would have noted."""

    with patch.object(audit, "record", forget):
        yield


def _told(rounds: list[list[float]], seconds: float) -> str:
    """Rate, and the slowest of a hundred."""
    rate = median(len(each) / seconds for each in rounds)
    return f"{rate:.0f}/s, p99 {1000 * median(quantiles(each, n=100)[98] for each in rounds):.0f} ms"
