"""Whether a runner backend keeps its contract.

The runner program is played by a small Python script, so the backend must start programs where the tests run. One that does
not overrides the fixtures `phase`, `deaf_phase`, `told` and `let_end`.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from terrapod_core.plugin import Handle, PhaseSpec, RunnerBackend, SupportsCapacity, SupportsFinding, SupportsIsolation, SupportsTidying

SCRIPT = """
import json, os, signal, sys, time
here, deaf = sys.argv[1], sys.argv[2] == "deaf"
def stop(number, frame):
    if not deaf:
        sys.exit(0)
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT):
    signal.signal(number, stop if number != signal.SIGQUIT else lambda *_: sys.exit(1))
order = json.loads(sys.stdin.read())
with open(os.path.join(here, "told.part"), "w") as file:
    json.dump(order, file)
os.replace(os.path.join(here, "told.part"), os.path.join(here, "told.json"))
while not os.path.exists(os.path.join(here, "end")):
    time.sleep(0.01)
"""
"""Says what it was told, then waits for a file called `end`. Interrupted it stops, unless it is deaf; SIGQUIT ends it always."""

PATIENCE = 30
"""Seconds after which a test takes it that something never happens."""

Told = Callable[[Handle], Awaitable[Mapping[str, Any]]]
LetEnd = Callable[[Handle], None]


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait for something that another process brings about."""
    async with asyncio.timeout(PATIENCE):
        while not await condition():  # noqa: ASYNC110 - another process sets no event
            await asyncio.sleep(0.01)


async def ended(backend: RunnerBackend, handle: Handle) -> str:
    """Wait until a phase has ended; the detail of its state."""

    async def is_over() -> bool:
        return not (await backend.poll(handle)).running

    await until(is_over)
    return (await backend.poll(handle)).detail


@pytest.mark.asyncio
class RunnerBackendKit:
    """Extend it, and fill the fixture `backend`."""

    @pytest.fixture
    def backend(self) -> RunnerBackend:
        """The backend under test."""
        pytest.fail("give the kit a runner backend: override the fixture `backend`")

    @pytest.fixture
    def restarted(self, backend: RunnerBackend) -> RunnerBackend:
        """The backend as it is after a restart of the server: made anew over the same disk. Override it if that matters."""
        return backend

    @pytest.fixture
    def phase(self, tmp_path: Path) -> PhaseSpec:
        """A phase whose program waits until `let_end`, or until it is interrupted."""
        return self.spec(tmp_path, "waiting")

    @pytest.fixture
    def deaf_phase(self, tmp_path: Path) -> PhaseSpec:
        """A phase whose program does not hear interrupts."""
        return self.spec(tmp_path, "deaf")

    def spec(self, tmp_path: Path, manner: str) -> PhaseSpec:
        """A phase whose program is the script."""
        script = tmp_path / "program.py"
        script.write_text(SCRIPT)
        return PhaseSpec(
            run_id="run-2uPXtbAVfmCkwGsT",
            phase_id="plan-9kPXtbAVfmCkwGsT",
            phase="plan",
            epoch=1,
            url="http://127.0.0.1:8080",
            token="phase-token-that-nobody-may-see",
            certificate=None,
            program=(sys.executable, "-I", "-S", str(script), str(tmp_path), manner),
            engines_dir=None,
            organization="acme",
            workspace="network",
        )

    @pytest.fixture
    def told(self, tmp_path: Path) -> Told:
        """What the program of a phase read from its standard input, once it has."""

        path = tmp_path / "told.json"

        async def is_there() -> bool:
            return path.exists()

        async def wait(handle: Handle) -> Mapping[str, Any]:
            await until(is_there)
            order: Mapping[str, Any] = json.loads(path.read_text())
            return order

        return wait

    @pytest.fixture
    def let_end(self, tmp_path: Path) -> LetEnd:
        """Makes the program of a phase end by itself."""
        return lambda handle: (tmp_path / "end").touch()

    @pytest_asyncio.fixture
    async def handle(self, backend: RunnerBackend, phase: PhaseSpec, told: Told) -> AsyncIterator[Handle]:
        """A phase that runs."""
        handle = await backend.launch(phase)
        await told(handle)
        yield handle
        await backend.forget(handle)

    async def test_it_is_a_runner_backend_with_a_name(self, backend: RunnerBackend) -> None:
        assert isinstance(backend, RunnerBackend)
        assert backend.name

    async def test_a_launched_phase_runs_until_its_program_ends(self, backend: RunnerBackend, handle: Handle, let_end: LetEnd) -> None:
        assert (await backend.poll(handle)).running
        let_end(handle)
        assert await ended(backend, handle)
        assert not (await backend.poll(handle)).running

    async def test_the_program_is_told_where_to_work_and_for_whom(self, handle: Handle, phase: PhaseSpec, told: Told) -> None:
        order = await told(handle)
        assert (order["url"], order["token"]) == (phase.url, phase.token)
        assert (order["phase-id"], order["run-id"]) == (phase.phase_id, phase.run_id)
        assert (order["certificate"], order["engines-dir"]) == (None, None)
        assert order["work-dir"].startswith("/")
        assert order["state-transport"] in ("http", "file")

    async def test_a_handle_is_json_without_the_token(self, handle: Handle, phase: PhaseSpec) -> None:
        text = json.dumps(handle)
        assert json.loads(text) == handle
        assert phase.token not in text

    async def test_a_phase_is_found_again_after_a_restart(
        self, backend: RunnerBackend, restarted: RunnerBackend, handle: Handle, let_end: LetEnd
    ) -> None:
        stored = json.loads(json.dumps(handle))
        assert (await restarted.poll(stored)).running
        let_end(handle)
        await ended(restarted, stored)
        await restarted.cancel(stored, force=False)
        await restarted.forget(stored)

    async def test_a_cancelled_phase_ends(self, backend: RunnerBackend, handle: Handle) -> None:
        await backend.cancel(handle, force=False)
        await ended(backend, handle)

    async def test_a_forced_cancel_ends_a_program_that_does_not_hear(
        self, backend: RunnerBackend, deaf_phase: PhaseSpec, told: Told
    ) -> None:
        handle = await backend.launch(deaf_phase)
        await told(handle)
        await backend.cancel(handle, force=False)
        assert (await backend.poll(handle)).running
        await backend.cancel(handle, force=True)
        await ended(backend, handle)
        await backend.forget(handle)

    async def test_what_has_ended_can_be_cancelled_and_forgotten_again(self, backend: RunnerBackend, handle: Handle) -> None:
        await backend.cancel(handle, force=True)
        await ended(backend, handle)
        for force in (False, True, True):
            await backend.cancel(handle, force=force)
        await backend.forget(handle)
        await backend.forget(handle)
        assert not (await backend.poll(handle)).running
        await backend.cancel(handle, force=True)

    async def test_a_running_phase_that_is_forgotten_does_not_go_on(self, backend: RunnerBackend, handle: Handle) -> None:
        await backend.forget(handle)
        assert not (await backend.poll(handle)).running

    async def test_a_second_launch_for_a_run_ends_the_first(
        self, backend: RunnerBackend, handle: Handle, phase: PhaseSpec, told: Told
    ) -> None:
        second = await backend.launch(replace(phase, epoch=2))
        assert not (await backend.poll(handle)).running
        assert (await backend.poll(second)).running
        await backend.forget(handle)
        assert (await backend.poll(second)).running
        await backend.forget(second)

    async def test_exactly_the_launch_that_is_asked_for_is_found(
        self, restarted: RunnerBackend, handle: Handle, phase: PhaseSpec, let_end: LetEnd
    ) -> None:
        if not isinstance(restarted, SupportsFinding):
            pytest.skip("the backend does not claim SupportsFinding")
        assert await restarted.find(phase.run_id, phase.phase_id, phase.epoch) == handle
        assert await restarted.find(phase.run_id, phase.phase_id, phase.epoch + 1) is None
        assert await restarted.find(phase.run_id, "plan-ofsomebodyelse00", phase.epoch) is None
        assert await restarted.find("run-ofsomebodyelse000", phase.phase_id, phase.epoch) is None
        let_end(handle)
        await ended(restarted, handle)
        assert await restarted.find(phase.run_id, phase.phase_id, phase.epoch) == handle

    async def test_what_is_left_of_runs_that_nobody_remembers_is_removed(
        self, restarted: RunnerBackend, handle: Handle, phase: PhaseSpec, told: Told
    ) -> None:
        if not isinstance(restarted, SupportsTidying):
            pytest.skip("the backend does not claim SupportsTidying")
        await told(handle)
        await restarted.tidy([phase.run_id])
        assert (await restarted.poll(handle)).running
        await restarted.tidy(["run-ofsomebodyelse000"])
        assert not (await restarted.poll(handle)).running
        await restarted.tidy([])

    async def test_a_capacity_is_at_least_one(self, backend: RunnerBackend) -> None:
        if not isinstance(backend, SupportsCapacity):
            pytest.skip("the backend does not claim SupportsCapacity")
        assert backend.capacity >= 1

    async def test_isolation_is_said_in_known_words(self, backend: RunnerBackend) -> None:
        if not isinstance(backend, SupportsIsolation):
            pytest.skip("the backend does not claim SupportsIsolation")
        assert backend.isolation in ("none", "sandbox")
        assert backend.allow_unisolated_users in (True, False)
