"""The gauges of `/metrics` that come from the database."""

from __future__ import annotations

from datetime import timedelta

import pytest

from terrapod_core.app.readings import EVERY_SECONDS, Readings
from terrapod_core.errors import Unavailable
from terrapod_core.metrics import definitions
from terrapod_core.metrics.definitions import Reading
from terrapod_core.runs.requests import Report
from tests.db.runs.conftest import Engine
from tests.db.runs.crew import Crew

Told = dict[tuple[str, ...], float]


async def told(engine: Engine) -> dict[str, Told]:
    """Every reading, fresh: values by labels."""
    found: dict[str, Told] = {}
    for reading, labels, value in await Readings(engine.terrapod.db).now():
        found.setdefault(reading.name, {})[labels] = value
    return found


def counted(name: str, **labels: str) -> float:
    """What this process has counted itself."""
    return definitions.REGISTRY.get_sample_value(name, labels) or 0.0


async def test_runs_that_wait_for_a_pool_are_told_by_its_name(engine: Engine) -> None:
    crew = await Crew.open(engine, "build")
    await engine.run(await crew.workspace())
    engine.clock.advance(timedelta(seconds=90))
    found = await told(engine)
    assert found["terrapod_readings_up"] == {(): 1.0}
    assert found["terrapod_runs_live"]["plan_queued",] == 1
    assert found["terrapod_runs_live"]["planning",] == 0
    assert found["terrapod_phases_waiting"] == {("",): 0.0, ("build",): 1.0}
    assert found["terrapod_phases_waiting_oldest_seconds"][()] >= 90
    assert found["terrapod_outbox_oldest_seconds"][()] >= 90


async def test_listeners_are_told_by_pool_and_status(engine: Engine) -> None:
    crew = await Crew.open(engine, "build")
    await engine.run(await crew.workspace())
    busy = await crew.listener("host-1", capacity=3)
    await crew.listener("host-2")
    await crew.take(busy)
    found = await told(engine)
    assert found["terrapod_listeners"]["build", "busy"] == 1
    assert found["terrapod_listeners"]["build", "idle"] == 1
    assert found["terrapod_pool_capacity"] == {("build",): 4.0}
    assert found["terrapod_pool_phases"] == {("build",): 1.0}
    engine.clock.advance(timedelta(minutes=5))
    found = await told(engine)
    assert found["terrapod_listeners"]["build", "unknown"] == 2
    assert found["terrapod_pool_capacity"] == {("build",): 0.0}


async def test_pools_beyond_the_most_are_told_together(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("terrapod_core.agents.counts.MOST_POOLS", 1)
    for name in ("first", "second", "third"):
        await (await Crew.open(engine, name)).listener()
        engine.clock.advance(timedelta(seconds=1))
    found = (await told(engine))["terrapod_listeners"]
    assert {labels: value for labels, value in found.items() if labels[1] == "idle"} == {("first", "idle"): 1.0, ("(others)", "idle"): 2.0}


async def test_jobs_and_unsealed_entries_are_told(engine: Engine) -> None:
    found = await told(engine)
    assert found["terrapod_jobs_dead"] == {(): 0.0}
    assert found["terrapod_audit_unsealed"][()] > 0
    engine.clock.advance(timedelta(minutes=2))
    assert (await told(engine))["terrapod_audit_unsealed_oldest_seconds"][()] >= 120


async def test_any_number_of_scrapes_costs_one_look_in_ten_seconds(engine: Engine) -> None:
    moment = [0.0]
    readings = Readings(engine.terrapod.db, lambda: moment[0])
    first = await readings.now()
    assert await readings.now() is first
    moment[0] = EVERY_SECONDS
    assert await readings.now() is not first


async def test_a_database_that_is_away_is_told_and_fails_nothing(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(_query: object) -> None:
        raise Unavailable("the database does not answer")

    monkeypatch.setattr(engine.terrapod.db, "read", away)
    assert await told(engine) == {"terrapod_readings_up": {(): 0.0}}


async def test_a_runs_steps_and_waits_are_counted_once_they_are_committed(engine: Engine) -> None:
    steps = {"previous": "plan_queued", "status": "planning"}
    before = counted("terrapod_run_transitions_total", **steps)
    waits = counted("terrapod_phase_queue_duration_seconds_count", kind="plan")
    ended = counted("terrapod_phase_duration_seconds_count", kind="plan", outcome="finished")
    crew = await Crew.open(engine)
    await engine.run(await crew.workspace())
    claim = await crew.begin(await crew.take(await crew.listener()))
    await engine.phases.report(claim, Report(status="finished"))
    assert counted("terrapod_run_transitions_total", **steps) == before + 1
    assert counted("terrapod_phase_queue_duration_seconds_count", kind="plan") == waits + 1
    assert counted("terrapod_phase_duration_seconds_count", kind="plan", outcome="finished") == ended + 1


def test_every_reading_is_in_the_list_of_all() -> None:
    assert {each for each in vars(definitions).values() if isinstance(each, Reading)} == set(definitions.READINGS)
