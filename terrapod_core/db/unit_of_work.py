"""One transaction, with the news it makes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import cache
from typing import Any, TypeVar

from sqlalchemy import Executable, Insert, insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from terrapod_core import ids
from terrapod_core.clock import Clock
from terrapod_core.coordination import EVENTS, Wakeups
from terrapod_core.db.base import Base
from terrapod_core.db.outbox import OutboxRow
from terrapod_core.plugin.coordination import Wakeup
from terrapod_core.plugin.events import Event

T = TypeVar("T")


class UnitOfWork:
    """One transaction. Leaving its `async with` without `commit()` rolls back.

    Made by `Database.uow()`, never by hand. On SQLite it holds the process's only writing connection from its start, so
    nothing slow (a network call, an object written) happens inside one.
    """

    def __init__(self, session: AsyncSession, clock: Clock, wakeups: Wakeups) -> None:
        self.session = session
        self._clock = clock
        self._wakeups = wakeups
        self._asked: dict[Wakeup, bool] = {}
        self._afterwards: list[Callable[[], None]] = []
        self._appended: dict[type[Base], list[dict[str, Any]]] = {}

    def add(self, *rows: Base) -> None:
        """Insert these rows at the next flush."""
        self.session.add_all(rows)

    def append(self, table: type[Base], **values: Any) -> None:
        """Insert a row that nobody looks at in this transaction, at the next flush and after all rows that were added.

        All rows of a table go in one statement, and need not be entities: a fifth of what an added row costs. Every row of a table
        names the same columns.
        """
        self._appended.setdefault(table, []).append(values)

    def now(self) -> datetime:
        """The present moment, by the server's clock."""
        return self._clock.now()

    async def flush(self) -> None:
        """Send what is pending, so that a constraint speaks now: raises `sqlalchemy.exc.IntegrityError`."""
        await self.session.run_sync(self._flush)

    async def run(self, query: Callable[[Session], T]) -> T:
        """Run a query function inside this transaction; the same functions serve `Database.read`."""
        return await self.session.run_sync(query)

    def emit(self, event: Event) -> None:
        """Tell, after the commit and at least once, everybody who listens for this kind of event."""
        self.wake(EVENTS)
        self.append(OutboxRow, id=ids.new("event"), event=event.name(), payload=event.payload(), created_at=self._clock.now())

    def then(self, act: Callable[[], None]) -> None:
        """Call this in this process once it is committed, in the order of asking; never when it is not."""
        self._afterwards.append(act)

    def wake(self, topic: str, key: str = "", *, here: bool = True) -> None:
        """Have every process that minds this topic look, once it is committed; never when it is not.

        Without `here` the others alone: this process knows already.
        """
        wakeup = Wakeup(topic, key)
        self._asked[wakeup] = here or self._asked.get(wakeup, False)

    async def commit(self) -> None:
        """Make it so, then wake whoever is to look."""
        asked, self._asked = self._asked, {}
        await self.session.run_sync(self._commit, self._wakeups.carried(list(asked)))
        self._wakeups.committed(list(asked), [each for each, here in asked.items() if here])
        afterwards, self._afterwards = self._afterwards, []
        for act in afterwards:
            act()

    def _flush(self, session: Session) -> None:
        session.flush()
        appended, self._appended = self._appended, {}
        for table, rows in appended.items():
            session.connection().execute(_insert(table), rows)

    def _commit(self, session: Session, carried: Executable | None) -> None:
        self._flush(session)
        if carried is not None:
            session.execute(carried)
        session.commit()


@cache
def _insert(table: type[Base]) -> Insert:
    """Without asking for the keys that the database gives: nobody wants them."""
    return insert(table.__table__).inline()  # type: ignore[arg-type]
