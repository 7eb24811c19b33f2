"""Requests counted for all servers together, and by each for itself while what they share is away."""

from __future__ import annotations

from terrapod_core.plugin import CoordinationAway
from terrapod_core.web.rates import Allowance, LocalMeter
from terrapod_core.web.shared_meter import SharedMeter

TWO = Allowance("token", 1.0, 2, 1)


class Shared:
    """A `SupportsMetering` in memory."""

    def __init__(self) -> None:
        self.away = False
        self.taken: list[str] = []
        self._meter = LocalMeter(lambda: 0.0)

    async def take(self, key: str, per_second: float, burst: int) -> float:
        if self.away:
            raise CoordinationAway("gone")
        self.taken.append(key)
        return await self._meter.take(key, Allowance("", per_second, burst, 0))

    async def give_back(self, key: str, per_second: float, burst: int) -> None:
        if self.away:
            raise CoordinationAway("gone")
        await self._meter.give_back(key, Allowance("", per_second, burst, 0))


def server(shared: Shared) -> SharedMeter:
    return SharedMeter(shared, LocalMeter(lambda: 0.0))


async def test_servers_count_together() -> None:
    shared = Shared()
    one, two = server(shared), server(shared)
    assert [await each.take("at-1", TWO) for each in (one, two, one)] == [0.0, 0.0, 1.0]
    await two.give_back("at-1", TWO)
    assert await one.take("at-1", TWO) == 0.0
    assert set(shared.taken) == {"token at-1"}


async def test_each_counts_for_itself_while_the_shared_one_is_away_and_not_any_longer() -> None:
    shared = Shared()
    one, two = server(shared), server(shared)
    shared.away = True
    assert [await one.take("at-1", TWO) for _ in range(3)] == [0.0, 0.0, 1.0]
    assert await two.take("at-1", TWO) == 0.0
    await one.give_back("at-1", TWO)
    assert await one.take("at-1", TWO) == 0.0
    shared.away = False
    assert await one.take("at-1", TWO) == 0.0
    assert shared.taken == ["token at-1"]
