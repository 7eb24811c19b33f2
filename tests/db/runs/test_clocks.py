"""Clocks that are wrong: a lease is lost by time that a server watched pass, not by what two clocks say."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from terrapod_core.app import Terrapod
from terrapod_core.runs.phases import LeaseLost
from terrapod_core.runs.requests import Report
from terrapod_core.testing import FakeClock
from tests.db.runs.conftest import Engine, plugins_with, settings_for


async def replica(engine: Engine, tmp_path: Path, by: timedelta) -> tuple[Terrapod, FakeClock]:
    """Another server over the same database, with a clock of its own."""
    clock = FakeClock(engine.clock.now() + by)
    settings = settings_for(str(engine.terrapod.db.url.render_as_string(hide_password=False)), tmp_path)
    return Terrapod(settings, plugins=plugins_with(engine.backend, settings), clock=clock), clock


@pytest.mark.parametrize("hours", [-1, 1])
async def test_a_replica_whose_clock_is_an_hour_off_loses_nobody_and_notices_who_is_lost(
    engine: Engine, tmp_path: Path, hours: int
) -> None:
    run = await engine.run(await engine.workspace())
    claim = await engine.begin(run.run.plan_id)
    other, clock = await replica(engine, tmp_path, timedelta(hours=hours))
    try:
        for _ in range(8):
            engine.clock.advance(seconds=10)
            clock.advance(seconds=10)
            await engine.phases.renew(claim)
            await other.dispatcher.look()
        assert await engine.status(run) == "planning"
        await other.phases.renew(claim)
        for _ in range(8):
            clock.advance(seconds=10)
            await other.dispatcher.look()
        with pytest.raises(LeaseLost):
            await engine.phases.renew(claim)
    finally:
        await other.db.close()


@pytest.mark.parametrize("hours", [-1, 1])
async def test_a_clock_that_is_put_right_by_an_hour_loses_nobody(engine: Engine, hours: int) -> None:
    run = await engine.run(await engine.workspace())
    claim = await engine.begin(run.run.plan_id)
    engine.clock.advance(hours=hours)
    for _ in range(3):
        await engine.look()
        engine.clock.advance(seconds=10)
    await engine.phases.renew(claim)
    await engine.phases.report(claim, Report(status="finished", has_changes=True))
    assert await engine.status(run) == "planned"
