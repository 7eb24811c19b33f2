"""Whether a runner backend keeps its contract.

The runner program is played by a small Python script, so the backend must start programs where the tests run. One that does
not overrides the fixtures `phase_that`, `told`, `shown`, `alive` and `let_end`.
"""

from __future__ import annotations

import asyncio
import fcntl
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
import fcntl, json, os, signal, sys, time
here, manner = sys.argv[1:3]
def stop(number, frame):
    if manner != "deaf":
        sys.exit(0)
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT):
    signal.signal(number, stop if number != signal.SIGQUIT else lambda *_: sys.exit(1))
order = json.loads(sys.stdin.read())
if manner == "failing":
    print("what nobody asked for", flush=True)
    print("there is no engine here", file=sys.stderr)
    sys.exit(3)
if manner == "dying":
    os.kill(os.getpid(), signal.SIGKILL)
life = open(os.path.join(here, "%s.%d.life" % (order["phase-id"], os.getpid())), "w")
fcntl.flock(life, fcntl.LOCK_EX)
shown = {"order": order, "arguments": sys.orig_argv, "environment": dict(os.environ)}
for name, content in ((order["phase-id"] + ".json", shown), ("told.json", order)):
    with open(os.path.join(here, name + ".part"), "w") as file:
        json.dump(content, file)
    os.replace(os.path.join(here, name + ".part"), os.path.join(here, name))
while not os.path.exists(os.path.join(here, "end")):
    time.sleep(0.01)
"""
"""Says what it was told, then waits for a file called `end`. Interrupted it stops; SIGQUIT ends it always.

Its manner may be `deaf` (interrupts do not stop it), `failing` (it ends at once, with words), or `dying` (it is killed at once).
"""

LAST_WORDS = "there is no engine here"
"""What a failing program writes to its standard error before it ends."""

PATIENCE = 30
"""Seconds after which a test takes it that something never happens."""

PhaseThat = Callable[[str], PhaseSpec]
Told = Callable[[Handle], Awaitable[Mapping[str, Any]]]
Shown = Callable[[PhaseSpec], Awaitable[Mapping[str, Any]]]
Alive = Callable[[PhaseSpec], set[str]]
LetEnd = Callable[[Handle], None]
Anew = Callable[[], RunnerBackend]

ALIEN_HANDLES: tuple[Handle, ...] = ({}, {"made-by": "another backend"}, {"made-by": None, "number": "7"})
"""Handles that no backend makes."""


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


async def ended_for(anew: Anew, handle: Handle) -> None:
    """Wait until a phase has ended, asking a new backend each time."""

    async def is_over() -> bool:
        return not (await anew().poll(handle)).running

    await until(is_over)


def finding(backend: RunnerBackend) -> SupportsFinding:
    """A backend of which it is known that it finds launches."""
    assert isinstance(backend, SupportsFinding)
    return backend


def _is_held(path: Path) -> bool:
    """Whether the program that made this file lives."""
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


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
    def anew(self, restarted: RunnerBackend) -> Anew:
        """Makes one backend after another, as if the server restarted between any two calls. Override it together with `restarted`."""
        return lambda: restarted

    @pytest.fixture
    def phase_that(self, tmp_path: Path) -> PhaseThat:
        """A phase whose program is of a manner: `waiting`, `deaf`, `failing` or `dying`, as `SCRIPT` says."""
        return lambda manner: self.spec(tmp_path, manner)

    @pytest.fixture
    def phase(self, phase_that: PhaseThat) -> PhaseSpec:
        """A phase whose program waits until `let_end`, or until it is interrupted."""
        return phase_that("waiting")

    @pytest.fixture
    def deaf_phase(self, phase_that: PhaseThat) -> PhaseSpec:
        """A phase whose program does not hear interrupts."""
        return phase_that("deaf")

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
    def shown(self, tmp_path: Path) -> Shown:
        """What the program of a phase saw, once it has begun: its `order`, `arguments` and `environment`."""

        async def wait(phase: PhaseSpec) -> Mapping[str, Any]:
            path = tmp_path / f"{phase.phase_id}.json"

            async def is_there() -> bool:
                return path.exists()

            await until(is_there)
            seen: Mapping[str, Any] = json.loads(path.read_text())
            return seen

        return wait

    @pytest.fixture
    def alive(self, tmp_path: Path) -> Alive:
        """The programs of a phase that live and have read their order, each under a name of its own."""
        return lambda phase: {path.name for path in tmp_path.glob(f"{phase.phase_id}.*.life") if _is_held(path)}

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

    async def test_nothing_secret_is_in_arguments_or_environment(self, handle: Handle, phase: PhaseSpec, shown: Shown) -> None:
        seen = await shown(phase)
        assert seen["order"]["token"] == phase.token
        assert phase.token not in json.dumps([seen["arguments"], seen["environment"]])

    async def test_what_a_program_that_fails_says_last_is_told(self, backend: RunnerBackend, anew: Anew, phase_that: PhaseThat) -> None:
        phase = phase_that("failing")
        handle = await backend.launch(phase)
        for detail in (await ended(backend, handle), (await anew().poll(handle)).detail):
            assert LAST_WORDS in detail
            assert phase.token not in detail
        await backend.forget(handle)

    async def test_a_program_that_was_killed_is_over(self, backend: RunnerBackend, anew: Anew, phase_that: PhaseThat) -> None:
        handle = await backend.launch(phase_that("dying"))
        assert await ended(backend, handle)
        assert not (await anew().poll(handle)).running
        await backend.forget(handle)

    async def test_a_handle_that_is_not_the_backends_is_refused_by_every_call(self, backend: RunnerBackend) -> None:
        for alien in ALIEN_HANDLES:
            for call in (backend.poll(alien), backend.cancel(alien, force=False), backend.cancel(alien, force=True), backend.forget(alien)):
                with pytest.raises(ValueError):
                    await call

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

    async def test_a_server_that_restarts_between_any_two_calls_loses_nothing(
        self, anew: Anew, deaf_phase: PhaseSpec, shown: Shown, alive: Alive
    ) -> None:
        handle = json.loads(json.dumps(await anew().launch(deaf_phase)))
        await shown(deaf_phase)
        assert (await anew().poll(handle)).running
        await anew().cancel(handle, force=False)
        assert (await anew().poll(handle)).running
        await anew().cancel(handle, force=True)
        await ended_for(anew, handle)
        assert not alive(deaf_phase)
        await anew().forget(handle)
        await anew().forget(handle)
        assert not (await anew().poll(handle)).running

    async def test_a_launch_whose_handle_was_not_kept_is_found_and_ended(
        self, backend: RunnerBackend, anew: Anew, phase: PhaseSpec, shown: Shown, alive: Alive
    ) -> None:
        if not isinstance(backend, SupportsFinding):
            pytest.skip("the backend does not claim SupportsFinding")
        await backend.launch(phase)
        await shown(phase)
        found = await finding(anew()).find(phase.run_id, phase.phase_id, phase.epoch)
        assert found is not None
        assert (await anew().poll(found)).running
        await anew().cancel(found, force=False)
        await ended_for(anew, found)
        assert not alive(phase)
        await anew().forget(found)
        assert await finding(anew()).find(phase.run_id, phase.phase_id, phase.epoch) is None

    async def test_a_cancelled_phase_ends(self, backend: RunnerBackend, handle: Handle) -> None:
        await backend.cancel(handle, force=False)
        await ended(backend, handle)

    async def test_a_phase_that_is_cancelled_before_it_has_begun_ends(self, backend: RunnerBackend, phase: PhaseSpec, alive: Alive) -> None:
        handle = await backend.launch(phase)

        async def is_over() -> bool:
            # Asked again: an interpreter that is just starting may lose an interrupt. Real runners hear of a cancel from their server too.
            await backend.cancel(handle, force=False)
            return not (await backend.poll(handle)).running

        await until(is_over)
        assert not alive(phase)
        await backend.forget(handle)

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

    async def test_a_running_phase_that_is_forgotten_does_not_go_on(
        self, backend: RunnerBackend, handle: Handle, phase: PhaseSpec, alive: Alive
    ) -> None:
        await backend.forget(handle)
        assert not (await backend.poll(handle)).running

        async def is_dead() -> bool:
            return not alive(phase)

        await until(is_dead)

    async def test_a_second_launch_for_a_run_ends_the_first(
        self, backend: RunnerBackend, handle: Handle, phase: PhaseSpec, told: Told
    ) -> None:
        second = await backend.launch(replace(phase, epoch=2))
        assert not (await backend.poll(handle)).running
        assert (await backend.poll(second)).running
        await backend.forget(handle)
        assert (await backend.poll(second)).running
        await backend.forget(second)

    async def test_a_launch_that_is_made_twice_leaves_one_program(self, handle: Handle, anew: Anew, phase: PhaseSpec, alive: Alive) -> None:
        first = alive(phase)
        second = await anew().launch(phase)

        async def is_another() -> bool:
            return len(alive(phase)) == 1 and alive(phase).isdisjoint(first)

        await until(is_another)
        assert (await anew().poll(second)).running
        assert handle == second or not (await anew().poll(handle)).running
        await anew().forget(second)
        assert not (await anew().poll(second)).running

    async def test_two_phases_run_side_by_side(
        self, backend: RunnerBackend, handle: Handle, phase: PhaseSpec, shown: Shown, alive: Alive
    ) -> None:
        if isinstance(backend, SupportsCapacity) and backend.capacity < 2:
            pytest.skip("the backend runs one phase at a time")
        other = replace(phase, run_id="run-ofsomebodyelse000", phase_id="plan-ofsomebodyelse00", token="token-of-somebody-else")
        beside = await backend.launch(other)
        orders = [(await shown(each))["order"] for each in (phase, other)]
        assert [(order["run-id"], order["phase-id"], order["token"]) for order in orders] == [
            (each.run_id, each.phase_id, each.token) for each in (phase, other)
        ]
        assert (await backend.poll(handle)).running
        await backend.cancel(handle, force=False)
        await ended(backend, handle)
        await backend.forget(handle)
        assert (await backend.poll(beside)).running
        assert (len(alive(phase)), len(alive(other))) == (0, 1)
        await backend.forget(beside)

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
