"""One piece of work for all who want its result at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class Flights(Generic[K, T]):
    """Work that goes on by itself: it does not end because those who wait for it go away."""

    def __init__(self) -> None:
        self._going: dict[K, asyncio.Task[T]] = {}

    async def join(self, key: K, work: Callable[[], Awaitable[T]]) -> T:
        """The result of the work of this name that goes on, or of one that begins now."""
        return await asyncio.shield(self.start(key, work))

    def start(self, key: K, work: Callable[[], Awaitable[T]]) -> asyncio.Task[T]:
        """The same without waiting."""
        going = self._going.get(key)
        if going is None:
            going = self._going[key] = asyncio.create_task(_run(work))
            going.add_done_callback(lambda task: self._ended(key, task))
        return going

    async def close(self) -> None:
        """Cancel what goes on."""
        for task in (tasks := list(self._going.values())):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ended(self, key: K, task: asyncio.Task[T]) -> None:
        del self._going[key]
        if not task.cancelled():
            task.exception()  # whoever waited was told; who did not want to wait need not be


async def _run(work: Callable[[], Awaitable[T]]) -> T:
    return await work()
