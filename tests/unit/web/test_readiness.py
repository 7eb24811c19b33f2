"""`/ready`, which anybody may ask."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from terrapod_core.web import service
from terrapod_core.web.service import Degraded, Readiness


class Part:
    """A part that counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.problem: str | None = None

    async def __call__(self) -> str | None:
        self.asked += 1
        await asyncio.sleep(0)
        if self.problem is not None:
            raise OSError(self.problem)
        return None


async def nothing() -> dict[str, object]:
    return {}


async def test_however_many_ask_the_parts_are_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "READY_SECONDS", 3600.0)
    part = Part()
    readiness = Readiness({"database": part}, nothing)
    answers = await asyncio.gather(*(readiness.now() for _ in range(50)))
    assert {status for status, _ in answers} == {200}
    assert part.asked == 1


async def test_what_was_found_is_not_told_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "READY_SECONDS", 0.0)
    part = Part()
    readiness = Readiness({"database": part}, nothing)
    assert (await readiness.now())[0] == 200
    part.problem = "gone"
    status, document = await readiness.now()
    assert status == 503
    assert msgspec.json.decode(document) == {"status": "unavailable", "checks": {"database": "unhealthy: gone"}, "detail": {}}


async def test_a_part_that_only_makes_things_slower_keeps_nobody_away() -> None:
    async def away() -> str | None:
        raise Degraded("it is gone")

    status, document = await Readiness({"database": Part(), "redis": away}, nothing).now()
    assert status == 200
    told = {"database": "healthy", "redis": "degraded: it is gone"}
    assert msgspec.json.decode(document) == {"status": "ready", "checks": told, "detail": {}}


async def test_one_who_leaves_does_not_spoil_it_for_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    part = Part()
    readiness = Readiness({"database": part}, nothing)
    first = asyncio.create_task(readiness.now())
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    assert (await readiness.now())[0] == 200
