"""One transaction, with the news it makes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from terrapod_core import ids
from terrapod_core.clock import Clock
from terrapod_core.db.base import Base
from terrapod_core.db.outbox import OutboxRow
from terrapod_core.plugin.events import Event

T = TypeVar("T")


class UnitOfWork:
    """One transaction. Leaving its `async with` without `commit()` rolls back.

    Made by `Database.uow()`, never by hand. On SQLite it holds the process's only writing connection from its start, so
    nothing slow (a network call, an object written) happens inside one.
    """

    def __init__(self, session: AsyncSession, clock: Clock, committed: Callable[[bool], None]) -> None:
        self.session = session
        self._clock = clock
        self._committed = committed
        self._news = False
        self._afterwards: list[Callable[[], None]] = []

    def add(self, *rows: Base) -> None:
        """Insert these rows at the next flush."""
        self.session.add_all(rows)

    def now(self) -> datetime:
        """The present moment, by the server's clock."""
        return self._clock.now()

    async def flush(self) -> None:
        """Send what is pending, so that a constraint speaks now: raises `sqlalchemy.exc.IntegrityError`."""
        await self.session.flush()

    async def run(self, query: Callable[[Session], T]) -> T:
        """Run a query function inside this transaction; the same functions serve `Database.read`."""
        return await self.session.run_sync(query)

    def emit(self, event: Event) -> None:
        """Tell, after the commit and at least once, everybody who listens for this kind of event."""
        self._news = True
        self.session.add(OutboxRow(id=ids.new("event"), event=event.name(), payload=event.payload(), created_at=self._clock.now()))

    def then(self, act: Callable[[], None]) -> None:
        """Call this in this process once it is committed, in the order of asking; never when it is not."""
        self._afterwards.append(act)

    async def commit(self) -> None:
        """Make it so, then wake the relay when there is news."""
        await self.session.commit()
        self._committed(self._news)
        self._news = False
        afterwards, self._afterwards = self._afterwards, []
        for act in afterwards:
            act()
