"""The engine of whichever database the settings name, and the two doors to it: `read` and `uow`.

Reads and writes are kept apart because they cost differently. A request's reads run as one function over a synchronous
session: on SQLite in one hop to one of two reader threads (aiosqlite hops for every statement, 0.7 ms each), on PostgreSQL
inside SQLAlchemy's greenlet on one connection; `look_up` is a read of one row without the session. Writes go through a unit
of work; SQLite has one writer, so there is one writing connection and the pool's queue is the queue of writers.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import structlog
from sqlalchemy import event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError, TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session

from terrapod_core.clock import Clock, SystemClock
from terrapod_core.coordination import Wakeups
from terrapod_core.db.bounds import RETRY_AFTER, UNBOUNDED, Bounds, is_patient
from terrapod_core.db.counted_pool import CountedPool
from terrapod_core.db.freshness import watch
from terrapod_core.db.leaving import Leaving
from terrapod_core.db.look_up import E, LookUp
from terrapod_core.db.readers import BUSY_SECONDS, PostgreSQLReader, Reader, SQLiteReader, prepare
from terrapod_core.db.unit_of_work import UnitOfWork
from terrapod_core.errors import Unavailable
from terrapod_core.metrics.definitions import DATABASE_AWAY

T = TypeVar("T")

log = structlog.get_logger("terrapod.db")


class Database:
    """One database, SQLite or PostgreSQL."""

    def __init__(self, url: str, *, clock: Clock | None = None, pool_size: int = 8, bounds: Bounds | None = None) -> None:
        """`url` as in `TERRAPOD_DATABASE_URL`; raises `ValueError` for one that is neither kind."""
        self.url: URL = make_url(url)
        self.bounds = bounds or Bounds()
        self.clock: Clock = clock or SystemClock()
        self.wakeups = Wakeups()
        self._leaving = Leaving()
        self._reader: Reader
        if self.url.drivername == "sqlite+aiosqlite":
            self.engine = _sqlite_writer(self.url, self.bounds)
            self._reader = SQLiteReader(self.url, self.bounds)
        elif self.url.drivername == "postgresql+asyncpg":
            self.engine = _postgresql(self.url, pool_size, self.bounds)
            self._reader = PostgreSQLReader(self.engine, self._leaving, self.bounds)
        else:
            raise ValueError(f"database.url must start with sqlite+aiosqlite:// or postgresql+asyncpg://, not {self.url.drivername}://")
        self._sessions = async_sessionmaker(self.engine, expire_on_commit=False, autoflush=False)

    @property
    def is_sqlite(self) -> bool:
        """Whether one process at a time owns the database."""
        return self.url.get_backend_name() == "sqlite"

    async def read(self, query: Callable[[Session], T]) -> T:
        """Run `query` over a session that only reads; all the reads of a request belong in one call.

        What it returns is detached: everything needed must be loaded inside. Raises `Unavailable` when the database is away, has
        no connection to spare, or needs longer than a statement may.
        """
        if is_patient() and not self.is_sqlite:
            async with self.uow() as uow:
                return await uow.run(query)
        try:
            return await self._reader.run(query)
        except (DBAPIError, PoolTimeout, OSError) as error:
            raise self._explained(error) from error

    async def look_up(self, wanted: LookUp[E], **values: str | int) -> E | None:
        """One row by its key, `None` when there is none; what the driver fails at is tried once more over a session, as a read is."""
        statement = wanted.prepared(self._reader.dialect)
        try:
            row = await self._reader.fetch(statement.text, statement.arguments(values))
        except Exception as error:  # noqa: BLE001 - each driver has its own; what is really wrong, the session says in ours
            log.info("a look-up is tried again", error=type(error).__name__)
            return await self.read(lambda session: wanted.over(session, values))
        return None if row is None else wanted.entity(statement.columns(row))

    @asynccontextmanager
    async def uow(self) -> AsyncIterator[UnitOfWork]:
        """Begin a transaction; it is rolled back unless `commit()` was called. Raises `Unavailable` as `read` does, and for a lock
        that another change holds for too long.
        """
        session = self._sessions()
        try:
            if is_patient() and not self.is_sqlite:
                await session.execute(text(UNBOUNDED))
            yield UnitOfWork(session, self.clock, self.wakeups)
        except (DBAPIError, PoolTimeout, OSError) as error:
            explained = self._explained(error)
            if explained is error:
                raise
            raise explained from error
        finally:
            await self._leaving.wait_for(_give_back(session))

    def _explained(self, error: Exception) -> Exception:
        """The failure as whoever asked is told of it; itself when the statement was wrong."""
        refusal = self.bounds.refusal(error)
        if refusal is not None:
            return refusal
        if isinstance(error, DBAPIError) and not (error.connection_invalidated or _is_outage(error)):
            return error
        DATABASE_AWAY.inc()
        return Unavailable("the database does not answer; try again in a moment", retry_after=RETRY_AFTER)

    async def ping(self) -> None:
        """Ask the database for a row; raises `Unavailable` when none comes."""
        await self.read(lambda session: session.execute(text("SELECT 1")).scalar_one())

    async def close(self) -> None:
        """Let go of every connection, those included that somebody who was cancelled is still giving back."""
        await self._leaving.all()
        await self._reader.close()
        await self.engine.dispose()


async def _give_back(session: AsyncSession) -> None:
    """Roll back what was not committed, and return the connection; one that the database ended meanwhile is thrown away."""
    try:
        await session.close()
    except (DBAPIError, OSError):
        await session.invalidate()


def _postgresql(url: URL, pool_size: int, bounds: Bounds) -> AsyncEngine:
    engine = create_async_engine(
        url,
        poolclass=CountedPool,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=bounds.connection,
        hide_parameters=True,
        connect_args=bounds.connect_arguments(),
    )
    watch(engine.sync_engine)
    return engine


def _sqlite_writer(url: URL, bounds: Bounds) -> AsyncEngine:
    if url.database is None or url.database in ("", ":memory:"):
        raise ValueError("database.url must name a file: sqlite+aiosqlite:///path/to/terrapod.db")
    Path(url.database).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    engine = create_async_engine(
        url,
        hide_parameters=True,  # values stay out of errors, and so out of the log
        poolclass=CountedPool,
        pool_size=1,
        max_overflow=0,
        pool_timeout=bounds.connection,
        connect_args={"timeout": BUSY_SECONDS},
    )
    # IMMEDIATE: a transaction that will write takes the write lock at its start, or two of them deadlock upgrading.
    prepare(engine.sync_engine, begin="BEGIN IMMEDIATE", pragmas=("journal_mode=WAL",))
    event.listen(engine.sync_engine, "invalidate", _give_up_the_lock)
    return engine


def _give_up_the_lock(connection: Any, _record: Any, _error: BaseException | None) -> None:
    """Roll back before SQLAlchemy closes the connection of somebody who was cancelled.

    SQLite keeps a connection, and its write lock, until the last cursor is gone, and that one hangs in a traceback until the garbage
    collector finds it. The driver has it in its queue before anything is waited for, so being cancelled again does no harm.
    """
    with suppress(Exception, asyncio.CancelledError):
        connection.rollback()


def _is_outage(error: DBAPIError) -> bool:
    """Whether the server said it is going or gone, or a lock outlasted the wait, rather than that the statement was wrong."""
    state = str(getattr(error.orig, "sqlstate", "") or "")
    return state.startswith(("08", "57P", "53")) or "database is locked" in str(error.orig)


__all__ = ["AsyncSession", "Database"]
