"""Since when runners have been at work: what caches must not let go of."""

from __future__ import annotations

from datetime import timedelta

from terrapod_core.runs import queries
from tests.db.runs.conftest import Engine
from tests.db.runs.crew import Crew


async def test_the_oldest_phase_that_a_runner_has_counts_and_none_that_waits(engine: Engine) -> None:
    crew = await Crew.open(engine, "build")
    await engine.run(await crew.workspace("one"))
    await engine.run(await crew.workspace("two"))
    assert await engine.terrapod.db.read(queries.oldest_phase_at_work) is None
    engine.clock.advance(timedelta(hours=1))
    began = engine.clock.now()
    await crew.take(await crew.listener("host-1"))
    engine.clock.advance(timedelta(hours=1))
    assert await engine.terrapod.db.read(queries.oldest_phase_at_work) == began
    await crew.take(await crew.listener("host-2"))
    assert await engine.terrapod.db.read(queries.oldest_phase_at_work) == began
