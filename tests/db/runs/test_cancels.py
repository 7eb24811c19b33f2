"""A cancel reaches the runner's backend at once, whichever server was asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from terrapod_core.plugin import Handle
from terrapod_core.runs.cancels import Cancels
from terrapod_core.runs.reach import Reach
from terrapod_core.testing import FakeRunnerBackend
from tests.db.runs.conftest import Engine

PATIENCE = 60


class Backend:
    """Fails as often as it shall, then tells who was cancelled."""

    def __init__(self, backend: FakeRunnerBackend, failures: int = 0) -> None:
        self._backend = backend
        self._failures = failures
        self.heard = asyncio.Event()

    async def cancel(self, handle: Handle, *, force: bool) -> None:
        if self._failures:
            self._failures -= 1
            raise OSError("the backend cannot be reached")
        await self._backend.cancel(handle, force=force)
        self.heard.set()


@pytest.fixture(params=[0, 2])
async def elsewhere(engine: Engine, request: pytest.FixtureRequest) -> AsyncIterator[Backend]:
    """The background work of another process: nobody wakes it, and its backend may fail first."""
    backend = Backend(engine.backend, request.param)
    cancels = Cancels(engine.terrapod.db, backend, Reach(engine.backend))  # type: ignore[arg-type]  # of a backend it only cancels
    cancels.start()
    yield backend
    await cancels.stop()


async def test_another_process_passes_it_on_without_being_told(engine: Engine, elsewhere: Backend) -> None:
    run = await engine.run(await engine.workspace())
    await engine.begin(run.run.plan_id)
    await engine.runs.cancel(engine.admin, run.id)
    await asyncio.wait_for(elsewhere.heard.wait(), PATIENCE)
    assert [fake.canceled for fake in engine.backend.phases.values()] == [[False]]
