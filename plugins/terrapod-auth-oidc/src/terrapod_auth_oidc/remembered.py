"""Documents of the provider's that are fetched once and kept for a while."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Final, Generic, TypeVar

from terrapod_core.plugin import Clock, ProviderUnavailable

T = TypeVar("T")

FRESH: Final = timedelta(hours=1)
USABLE: Final = timedelta(days=1)
"""A copy serves so long when no newer one is to be had."""
PAUSE: Final = timedelta(seconds=60)
"""Between two requests for a document of which there is a copy."""

NEVER: Final = datetime.min.replace(tzinfo=UTC)


class Remembered(Generic[T]):
    """A document, fetched when it is first needed and again when it is an hour old. Whoever asks meanwhile waits for the same request."""

    def __init__(self, fetch: Callable[[], Awaitable[T]], clock: Clock) -> None:
        self._fetch = fetch
        self._clock = clock
        self._value: T | None = None
        self._fetched = NEVER
        self._asked = NEVER
        self._under_way: asyncio.Task[T] | None = None

    async def get(self) -> T:
        """The document; an older copy while the provider cannot be asked. Raises `ProviderUnavailable` without one."""
        age = self._clock.now() - self._fetched
        if self._value is None:
            return await self._ask()
        if age < FRESH or (age < USABLE and self._asked_lately()):
            return self._value
        try:
            return await self._ask()
        except ProviderUnavailable:
            if age < USABLE:
                return self._value
            raise

    async def newer(self) -> T:
        """The document as it is now, for something that the copy does not hold; the copy when it was asked for within a minute.

        Raises `ProviderUnavailable` when it is asked for and does not come.
        """
        if self._value is not None and self._under_way is None and self._asked_lately():
            return self._value
        return await self._ask()

    def _asked_lately(self) -> bool:
        return self._clock.now() - self._asked < PAUSE

    async def _ask(self) -> T:
        if self._under_way is None:
            self._asked = self._clock.now()
            self._under_way = asyncio.create_task(self._renew())
            self._under_way.add_done_callback(self._done)
        # Who gives up waiting does not end the request for the others.
        return await asyncio.shield(self._under_way)

    async def _renew(self) -> T:
        value = await self._fetch()
        self._value, self._fetched = value, self._clock.now()
        return value

    def _done(self, task: asyncio.Task[T]) -> None:
        self._under_way = None
        if not task.cancelled():
            task.exception()  # looked at, also when nobody waits any more
