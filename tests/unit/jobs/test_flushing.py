"""What is kept in memory and written by the clock."""

from __future__ import annotations

import asyncio

from terrapod_core.errors import Unavailable
from terrapod_core.jobs.flushing import Flushing


async def test_a_flush_that_fails_is_tried_again() -> None:
    tries: list[int] = []
    written = asyncio.Event()

    async def flush() -> None:
        tries.append(len(tries))
        if len(tries) == 1:
            raise Unavailable("the database is away")
        if len(tries) == 2:
            raise RuntimeError("a fault")
        written.set()

    flushing = Flushing("test", 0.001, flush)
    flushing.start()
    await written.wait()
    await flushing.stop()
    assert len(tries) >= 3


async def test_a_stop_waits_for_the_flush_under_way_and_writes_the_rest() -> None:
    begun, go_on, done = asyncio.Event(), asyncio.Event(), list[str]()

    async def flush() -> None:
        begun.set()
        await go_on.wait()
        done.append("by the clock")

    async def last() -> None:
        done.append("the rest")

    flushing = Flushing("test", 0.001, flush, last)
    flushing.start()
    await begun.wait()
    stopping = asyncio.create_task(flushing.stop())
    await asyncio.sleep(0)
    go_on.set()
    await stopping
    assert done == ["by the clock", "the rest"]


async def test_a_stop_without_a_start_writes_and_a_database_that_is_away_does_not_hold_it_up() -> None:
    asked: list[bool] = []

    async def flush() -> None:
        asked.append(True)
        raise Unavailable("the database is away")

    await Flushing("test", 1, flush).stop()
    assert asked
