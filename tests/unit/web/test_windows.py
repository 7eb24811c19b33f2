"""A limit by the minute: never more within any sixty seconds, and back as soon as the window allows it."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from terrapod_core.web.rates import Allowance, RateLimited
from terrapod_core.web.windows import SECONDS, Windows


class Hand:
    """A clock that is set."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


async def test_the_one_that_is_too_many_is_told_when_to_come_back() -> None:
    clock = Hand()
    windows = Windows("sync", 2, clock=clock)
    await windows.take("a")
    clock.now += 10
    await windows.take("a")
    with pytest.raises(RateLimited) as refusal:
        await windows.take("a")
    assert refusal.value.retry_after == 50
    clock.now += 50
    await windows.take("a")


async def test_each_key_has_its_own() -> None:
    windows = Windows("sync", 1, clock=Hand())
    await windows.take("a")
    await windows.take("b")
    with pytest.raises(RateLimited):
        await windows.take("a")


@given(st.lists(st.floats(0, 30), min_size=1, max_size=60))
async def test_no_minute_has_more_than_the_limit(pauses: list[float]) -> None:
    clock, limit, taken = Hand(), 5, list[float]()
    windows = Windows("sync", limit, clock=clock)
    for pause in pauses:
        clock.now += pause
        try:
            await windows.take("a")
        except RateLimited:
            continue
        taken.append(clock.now)
    for at in taken:
        assert sum(at - SECONDS < other <= at for other in taken) <= limit


async def test_the_meter_of_all_servers_has_a_say_too() -> None:
    class Empty:
        async def take(self, key: str, allowance: Allowance) -> float:
            assert (key, allowance.burst) == ("a", 3)
            return 7.5

        async def give_back(self, key: str, allowance: Allowance) -> None:
            raise AssertionError(key, allowance)

    windows = Windows("sync", 3, Empty(), Hand())
    for _ in range(5):  # what the meter refused does not count here
        with pytest.raises(RateLimited, match="try again in 8 s"):
            await windows.take("a")


async def test_keys_that_were_not_seen_for_long_are_forgotten_first() -> None:
    windows = Windows("sync", 1, clock=Hand(), most=2)
    for key in ("a", "b", "c"):
        await windows.take(key)
    await windows.take("a")
    with pytest.raises(RateLimited):
        await windows.take("c")
