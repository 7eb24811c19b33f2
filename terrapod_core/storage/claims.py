"""Between an object that is stored and the row that names it.

An object is written first and named after, so a crash between the two leaves bytes nobody names and never a row without bytes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from terrapod_core.storage.objects import Objects
from terrapod_core.storage.storing import Stored

T = TypeVar("T")


class Claim:
    """Whether the object is being named. `make` it right before the commit: from then on the object stays, whatever follows."""

    def __init__(self) -> None:
        self.made = False

    def make(self) -> None:
        """Keep the object, even when nobody can say whether the commit succeeded."""
        self.made = True


class Claims:
    """Runs the transactions that name objects; one for each service that stores some."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._running: set[asyncio.Task[Any]] = set()

    async def settle(self, stored: Stored, decide: Callable[[Claim], Awaitable[T]]) -> T:
        """What `decide` returns; the object is deleted unless it made the claim.

        It runs to its end even when the caller is cancelled: a client that vanishes after its last byte must not leave a commit
        whose outcome depends on the moment.
        """
        return await self.settle_all([stored], decide)

    async def settle_all(self, stored: Sequence[Stored], decide: Callable[[Claim], Awaitable[T]]) -> T:
        """The same for several objects that are named together, or not at all."""
        task = asyncio.create_task(self._settle(stored, decide))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return await asyncio.shield(task)

    async def _settle(self, stored: Sequence[Stored], decide: Callable[[Claim], Awaitable[T]]) -> T:
        claim = Claim()
        try:
            return await decide(claim)
        finally:
            if not claim.made:
                for each in stored:
                    await self._objects.delete(each.key)
