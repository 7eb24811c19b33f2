"""Rooms that make news, a relay that tells it, and streams of a process or two that hear it."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from terrapod_core.authz import Actor, Authorizer
from terrapod_core.db import Database
from terrapod_core.jobs import Jobs, Worker
from terrapod_core.live.feed import Feed
from terrapod_core.live.guards import Guards
from terrapod_core.live.watching import Watching
from terrapod_core.plugin import RunStatusChanged
from terrapod_core.testing import FakeClock
from tests.support.rooms import ALICE, House, house, tables_url

EVENT = re.compile(rb"(?:id: (?P<id>\d+)\n)?(?:event: (?P<name>\S+)\ndata: (?P<data>.*)\n)?\n")


@dataclass(frozen=True)
class Told:
    """One event as a client reads it."""

    id: int
    name: str
    data: dict[str, Any]


def read(piece: bytes) -> list[Told]:
    """The events in a piece of a stream; what only says an id is none."""
    assert "".join(match[0].decode() for match in EVENT.finditer(piece)) == piece.decode()
    return [Told(int(match["id"]), match["name"].decode(), json.loads(match["data"])) for match in EVENT.finditer(piece) if match["name"]]


class Client:
    """Somebody at one stream of events."""

    def __init__(self, source: Watching, actor: Actor) -> None:
        self.source = source
        self.actor = actor
        self.woken = asyncio.Event()
        source.begin(self.woken.set)

    async def now(self) -> list[Told]:
        """What there is to be told at once; fails when the stream is over."""
        told: list[Told] = []
        while piece := await self.source.take(self.actor):
            told += read(piece)
        assert piece is not None, "the stream is over"
        return told

    async def hears(self, number: int) -> list[Told]:
        """The next so many events, as soon as they come."""
        told: list[Told] = []
        async with asyncio.timeout(30):
            while len(told) < number:
                self.woken.clear()
                told += await self.now()
                if len(told) < number:
                    await self.woken.wait()
        return told

    async def is_over(self) -> bool:
        """Whether the stream has ended for this actor."""
        return await self.source.take(self.actor) is None


@dataclass
class Process:
    """One server of the installation, as far as streams go."""

    house: House
    db: Database
    clock: FakeClock

    def __post_init__(self) -> None:
        self.db.clock = self.clock
        self.guards = Guards(self.db)
        self.feed = Feed(self.db, self.guards)
        self.worker = Worker(self.db, Jobs(), self.clock)

    def client(self, actor: Actor = ALICE, **options: Any) -> Client:
        """A stream of `Watching` with these options, begun."""
        return Client(Watching(self.db, Authorizer(), self.feed, self.guards, **options), actor)

    async def news(self, workspace_id: str, *run_ids: str) -> None:
        """Runs of the workspace move, and it is told."""
        async with self.db.uow() as uow:
            for run_id in run_ids:
                uow.emit(RunStatusChanged(run_id=run_id, workspace_id=workspace_id, status="planning", previous="plan_queued"))
            await uow.commit()
        await self.tell()

    async def tell(self) -> None:
        """Let the relay do its work."""
        while await self.worker.relay():
            pass


@pytest.fixture
async def process(house: House, clock: FakeClock) -> AsyncIterator[Process]:
    """The server on which things happen."""
    process = Process(house, house.db, clock)
    await process.tell()
    yield process
    await process.feed.close()


@pytest.fixture
async def other(house: House, clock: FakeClock) -> AsyncIterator[Process]:
    """Another server over the same database."""
    db = Database(house.db.url.render_as_string(hide_password=False))
    process = Process(house, db, clock)
    yield process
    await process.feed.close()
    await db.close()


__all__ = ["house", "tables_url"]
