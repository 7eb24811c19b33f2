"""Whether a coordination backend keeps its contract."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable

import pytest

from terrapod_core.plugin import CoordinationBackend, Lease, SupportsMetering, Wakeup

PATIENCE = 30.0
"""How long something may take before the test that waits for it fails. Only a failing test ever waits so long."""

Make = Callable[[], CoordinationBackend]
"""Makes the backend of one more process, not started, on the one service."""


class Process:
    """A process with its backend, and what it heard."""

    def __init__(self, backend: CoordinationBackend) -> None:
        self.backend = backend
        self.heard: list[Wakeup] = []
        self.turns: list[str | None] = []

    async def start(self) -> Process:
        """Return when it hears others."""
        self.backend.start(self.heard.append, lambda: self.turns.append(self.backend.trouble))
        await eventually(lambda: self.backend.trouble is None)
        return self


async def eventually(condition: Callable[[], object]) -> None:
    """Return when it is so."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - another process sets no event
            await asyncio.sleep(0.005)


async def acquired(backend: CoordinationBackend, name: str, seconds: float = 60.0) -> Lease:
    """The lease, as soon as nobody else has it."""
    async with asyncio.timeout(PATIENCE):
        while (lease := await backend.acquire(name, seconds)) is None:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        return lease


@pytest.mark.asyncio
class CoordinationBackendKit:
    """Extend it in a test module, and fill the fixture `make`."""

    connects = True
    """Whether it connects processes; one that is for a single process has nobody to wake."""

    @pytest.fixture
    def make(self) -> Make:
        """Makes backends on a service that nobody else uses."""
        pytest.fail("give the kit a way to make coordination backends: override the fixture `make`")

    @pytest.fixture
    async def here(self, make: Make) -> AsyncIterator[Process]:
        """A process that hears."""
        process = await Process(make()).start()
        yield process
        await process.backend.close()

    @pytest.fixture
    async def there(self, make: Make, here: Process) -> AsyncIterator[Process]:
        """Another."""
        process = await Process(make()).start() if self.connects else here
        yield process
        await process.backend.close()

    async def test_it_is_a_coordination_backend_with_a_name(self, make: Make) -> None:
        backend = make()
        assert isinstance(backend, CoordinationBackend)
        assert re.fullmatch(r"[a-z][a-z0-9-]*", backend.name)

    async def test_one_that_was_not_started_is_silent_and_can_be_closed(self, make: Make) -> None:
        backend = make()
        backend.publish([Wakeup("phases")])
        await backend.close()
        await backend.close()

    async def test_others_hear_of_a_wake_up_and_the_one_who_told_it_does_not(self, here: Process, there: Process) -> None:
        if not self.connects:
            pytest.skip("there is nobody to wake")
        here.backend.publish([Wakeup("logs", "plan-1"), Wakeup("phases")])
        await eventually(lambda: len(there.heard) == 2)
        there.backend.publish([Wakeup("told")])
        await eventually(lambda: here.heard)
        assert sorted(there.heard) == [("logs", "plan-1"), ("phases", "")]
        assert here.heard == [("told", "")]

    async def test_it_says_when_it_begins_to_hear(self, here: Process, there: Process) -> None:
        if not self.connects:
            pytest.skip("it hears nobody")
        assert here.turns[-1] is None
        assert there.turns[-1] is None

    async def test_one_that_is_closed_hears_nothing_more(self, make: Make, here: Process, there: Process) -> None:
        if not self.connects:
            pytest.skip("there is nobody to wake")
        third = await Process(make()).start()
        await there.backend.close()
        here.backend.publish([Wakeup("phases")])
        await eventually(lambda: third.heard)
        assert there.heard == []
        await third.backend.close()

    async def test_a_name_has_one_holder_at_a_time(self, here: Process, there: Process) -> None:
        lease = await here.backend.acquire("work", 60)
        assert lease is not None
        assert lease.name == "work"
        assert await there.backend.acquire("work", 60) is None
        assert await here.backend.acquire("work", 60) is None
        assert await there.backend.acquire("other work", 60) is not None
        await here.backend.release(lease)
        await acquired(there.backend, "work")

    async def test_a_lease_that_is_renewed_stays(self, here: Process, there: Process) -> None:
        lease = await acquired(here.backend, "work")
        assert await here.backend.renew(lease, 60)
        assert await there.backend.acquire("work", 60) is None

    async def test_a_lease_that_is_over_is_anothers_and_stays_so(self, here: Process, there: Process) -> None:
        late = await acquired(here.backend, "work", 0.2)
        lease = await acquired(there.backend, "work")
        assert not await here.backend.renew(late, 60)
        await here.backend.release(late)
        assert await there.backend.renew(lease, 60)
        assert await here.backend.acquire("work", 60) is None

    async def test_of_many_who_want_it_one_has_it(self, here: Process, there: Process) -> None:
        leases = await asyncio.gather(*(each.backend.acquire("work", 60) for each in [here, there] * 10))
        assert sum(lease is not None for lease in leases) == 1

    async def test_all_processes_count_together(self, here: Process, there: Process) -> None:
        if not (isinstance(here.backend, SupportsMetering) and isinstance(there.backend, SupportsMetering)):
            pytest.skip("the backend does not claim SupportsMetering")
        bucket = ("address 192.0.2.1", 0.01, 4)
        waits = [await each.backend.take(*bucket) for each in [here, there] * 2]  # type: ignore[attr-defined]
        assert waits == [0.0] * 4
        assert 90.0 < await there.backend.take(*bucket) <= 100.0
        assert await there.backend.take("address 192.0.2.2", 0.01, 4) == 0.0
        await here.backend.give_back(*bucket)
        assert await there.backend.take(*bucket) == 0.0
        assert await here.backend.take(*bucket) > 90.0

    async def test_a_bucket_fills_again(self, here: Process) -> None:
        if not isinstance(here.backend, SupportsMetering):
            pytest.skip("the backend does not claim SupportsMetering")
        assert await here.backend.take("token at-1", 20.0, 1) == 0.0
        async with asyncio.timeout(PATIENCE):
            while wait := await here.backend.take("token at-1", 20.0, 1):  # noqa: ASYNC110
                await asyncio.sleep(wait)
