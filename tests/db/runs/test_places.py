"""Backends whose programs only their own machine sees: two servers of one database, each with programs of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from terrapod_core.app import Terrapod
from terrapod_core.runs.requests import Claim, Report
from terrapod_core.testing import FakeRunnerBackend
from tests.db.runs.conftest import Engine, plugins_with, settings_for


class InPlace(FakeRunnerBackend):
    """One machine's."""

    place = "the other machine"


@pytest.fixture
async def other(engine: Engine, tmp_path: Path) -> AsyncIterator[Terrapod]:
    """A server on another machine."""
    settings = settings_for(str(engine.terrapod.db.url.render_as_string(hide_password=False)), tmp_path)
    terrapod = Terrapod(settings, plugins=plugins_with(InPlace(1), settings), clock=engine.clock)
    yield terrapod
    await terrapod.db.close()


def programs(terrapod: Terrapod) -> list[str]:
    """Runs whose programs run there."""
    assert isinstance(terrapod.runner_backend, FakeRunnerBackend)
    return [fake.spec.run_id for fake in terrapod.runner_backend.phases.values() if fake.running]


async def test_a_server_never_asks_or_stops_what_another_machine_has(engine: Engine, other: Terrapod) -> None:
    run = await engine.run(await engine.workspace())
    await other.dispatcher.look()
    assert programs(other) == [run.id]
    # Here there is no such program; whoever asked here would be told that it has ended.
    await engine.dispatch()
    await engine.runs.cancel(engine.admin, run.id)
    await engine.dispatch()
    assert await engine.status(run) == "plan_queued"
    assert (await engine.phase(run.run.plan_id)).handle is not None
    await other.dispatcher.cancels.look()
    assert [fake.canceled for fake in other.runner_backend.phases.values()] == [[False]]  # type: ignore[attr-defined]


async def test_a_machine_that_died_with_its_programs_is_noticed_elsewhere_by_their_silence(engine: Engine, other: Terrapod) -> None:
    run = await engine.run(await engine.workspace())
    await other.dispatcher.look()
    for _ in range(8):
        engine.clock.advance(seconds=10)
        await engine.look()
    await engine.look()
    # Tried once more, and by the machine that is left.
    assert programs(engine.terrapod) == [run.id]


async def test_each_machine_counts_its_own_programs(engine: Engine, other: Terrapod) -> None:
    runs = [await engine.run(await engine.workspace(name)) for name in ("one", "two", "three", "four")]
    await other.dispatcher.look()
    assert len(programs(other)) == 1
    await engine.dispatch()
    await other.dispatcher.look()
    assert (len(programs(other)), len(programs(engine.terrapod))) == (1, 2)
    assert len(runs) == 4


async def test_what_a_run_left_is_removed_where_it_ran(engine: Engine, other: Terrapod) -> None:
    await engine.run(await engine.workspace())
    await other.dispatcher.look()
    backend = other.runner_backend
    assert isinstance(backend, InPlace)
    claim = other.phase_tokens.verify(next(iter(backend.phases.values())).spec.token)
    await engine.phases.claim(claim, Claim(runner="the other machine"))
    await engine.phases.report(claim, Report(status="errored"))
    backend.end({"number": 1})
    await engine.dispatch()
    assert backend.phases
    await other.dispatcher.look()
    assert not backend.phases
