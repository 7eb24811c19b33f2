"""Requests counted for several servers together, as long as what they share answers."""

from __future__ import annotations

from terrapod_core.plugin import CoordinationAway, SupportsMetering
from terrapod_core.web.rates import Allowance, LocalMeter, Meter


class SharedMeter:
    """Asks the shared one; while that is away, this process counts for itself. Its own count knows nothing of the shared one."""

    def __init__(self, shared: SupportsMetering, own: Meter | None = None) -> None:
        self._shared = shared
        self._own: Meter = own or LocalMeter()

    async def take(self, key: str, allowance: Allowance) -> float:
        """Take one: 0.0, or the seconds until there is one."""
        try:
            return await self._shared.take(f"{allowance.name} {key}", allowance.per_second, allowance.burst)
        except CoordinationAway:
            return await self._own.take(key, allowance)

    async def give_back(self, key: str, allowance: Allowance) -> None:
        """Take the latest back."""
        try:
            await self._shared.give_back(f"{allowance.name} {key}", allowance.per_second, allowance.burst)
        except CoordinationAway:
            await self._own.give_back(key, allowance)
