"""Coordination of a process that has its database to itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from terrapod_core.coordination.leases import Leases
from terrapod_core.plugin.coordination import Hear, Lease, Wakeup


class Alone:
    """There is nobody to wake, and leases are kept in memory."""

    name = "alone"
    trouble = None

    def __init__(self) -> None:
        self._leases = Leases()

    def start(self, hear: Hear, turned: Callable[[], None]) -> None:
        """Nobody will be heard."""

    async def close(self) -> None:
        """There is nothing to let go of."""

    def publish(self, wakeups: Sequence[Wakeup]) -> None:
        """There is nobody to tell."""

    async def acquire(self, name: str, seconds: float) -> Lease | None:
        """A lease of this name, `None` while somebody has it."""
        return self._leases.grant(name, seconds) if self._leases.holder(name) is None else None

    async def renew(self, lease: Lease, seconds: float) -> bool:
        """Have it for so long from now on."""
        return self._leases.renew(lease, seconds)

    async def release(self, lease: Lease) -> None:
        """Let another have it."""
        self._leases.release(lease)
