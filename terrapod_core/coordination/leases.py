"""Leases as one process keeps them."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable

from terrapod_core.plugin.coordination import Lease


class Leases:
    """Who has which name, and until when. `ended` is called with a name whose lease was released or ran out."""

    def __init__(self, ended: Callable[[str], None] = lambda _name: None, clock: Callable[[], float] = time.monotonic) -> None:
        self._ended = ended
        self._clock = clock
        self._held: dict[str, tuple[Lease, float]] = {}

    def holder(self, name: str) -> Lease | None:
        """Whoever has it now."""
        lease, until = self._held.get(name, (None, 0.0))
        if lease is not None and until <= self._clock():
            self._end(name)
            return None
        return lease

    def grant(self, name: str, seconds: float) -> Lease:
        """Let the caller have a name that nobody has."""
        lease = Lease(name, secrets.token_hex(16))
        self._keep(lease, seconds)
        return lease

    def renew(self, lease: Lease, seconds: float) -> bool:
        """Whether it still was the caller's, who then has it for so long."""
        if self.holder(lease.name) != lease:
            return False
        self._keep(lease, seconds)
        return True

    def release(self, lease: Lease) -> bool:
        """Whether it still was the caller's."""
        if self.holder(lease.name) != lease:
            return False
        self._end(lease.name)
        return True

    def forget(self) -> None:
        """All leases are over, and `ended` is not called."""
        self._held.clear()

    def _keep(self, lease: Lease, seconds: float) -> None:
        self._held[lease.name] = (lease, self._clock() + seconds)
        # Whoever never comes back must not keep it from others.
        asyncio.get_running_loop().call_later(seconds, self.holder, lease.name)

    def _end(self, name: str) -> None:
        del self._held[name]
        self._ended(name)
