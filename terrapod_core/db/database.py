"""The engine of whichever database the settings name, and the two doors to it: `read` and `uow`.

Reads and writes are kept apart because they cost differently. A request's reads run as one function over a synchronous
session: on SQLite in one hop to one of two reader threads (aiosqlite hops for every statement, 0.7 ms each), on PostgreSQL
inside SQLAlchemy's greenlet on one connection. Writes go through a unit of work; SQLite has one writer, so there is one
writing connection and the pool's queue is the queue of writers.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

from sqlalchemy import Engine, create_engine, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session
from sqlalchemy.pool import AsyncAdaptedQueuePool, QueuePool

from terrapod_core.clock import Clock, SystemClock
from terrapod_core.db.unit_of_work import UnitOfWork
from terrapod_core.errors import Unavailable

T = TypeVar("T")

READERS: Final = 2
"""SQLite reader threads: enough for two cores, and a slow list never stops a quick look-up."""

BUSY_SECONDS: Final = 30
"""How long SQLite waits for another process's write (a CLI command beside the server)."""


class Database:
    """One database, SQLite or PostgreSQL."""

    def __init__(self, url: str, *, clock: Clock | None = None, pool_size: int = 8) -> None:
        """`url` as in `TERRAPOD_DATABASE_URL`; raises `ValueError` for one that is neither kind."""
        self.url: URL = make_url(url)
        self.clock: Clock = clock or SystemClock()
        self._listeners: list[Callable[[bool], None]] = []
        self._reader: _Reader
        if self.url.drivername == "sqlite+aiosqlite":
            self.engine = _sqlite_writer(self.url)
            self._reader = _SQLiteReader(self.url)
        elif self.url.drivername == "postgresql+asyncpg":
            self.engine = create_async_engine(self.url, pool_size=pool_size, max_overflow=0, pool_pre_ping=True)
            self._reader = _PostgreSQLReader(self.engine)
        else:
            raise ValueError(f"database.url must start with sqlite+aiosqlite:// or postgresql+asyncpg://, not {self.url.drivername}://")
        self._sessions = async_sessionmaker(self.engine, expire_on_commit=False, autoflush=False)

    @property
    def is_sqlite(self) -> bool:
        """Whether one process at a time owns the database."""
        return self.url.get_backend_name() == "sqlite"

    def on_commit(self, listener: Callable[[bool], None]) -> None:
        """Call `listener(news)` after each commit; `news` is true when events were emitted."""
        self._listeners.append(listener)

    async def read(self, query: Callable[[Session], T]) -> T:
        """Run `query` over a session that only reads; all the reads of a request belong in one call.

        What it returns is detached: everything needed must be loaded inside. Raises `Unavailable` when the database is away.
        """
        try:
            return await self._reader.run(query)
        except (DBAPIError, OSError) as error:
            raise _away(error) from error

    @asynccontextmanager
    async def uow(self) -> AsyncIterator[UnitOfWork]:
        """Begin a transaction; it is rolled back unless `commit()` was called. Raises `Unavailable` when the database is away."""
        session = self._sessions()
        try:
            yield UnitOfWork(session, self.clock, self._tell)
        except (DBAPIError, OSError) as error:
            if isinstance(error, DBAPIError) and not error.connection_invalidated and not _is_outage(error):
                raise
            raise _away(error) from error
        finally:
            # Shielded: a client that vanishes cancels the handler, and a connection must not go back half-used.
            await asyncio.shield(session.close())

    def _tell(self, news: bool) -> None:
        for listener in self._listeners:
            listener(news)

    async def ping(self) -> None:
        """Ask the database for a row; raises `Unavailable` when none comes."""
        await self.read(lambda session: session.execute(text("SELECT 1")).scalar_one())

    async def close(self) -> None:
        """Let go of every connection."""
        await self._reader.close()
        await self.engine.dispose()


class _Reader:
    async def run(self, query: Callable[[Session], T]) -> T:
        raise TypeError("abstract")

    async def close(self) -> None:
        """Nothing to let go of by default."""


class _PostgreSQLReader(_Reader):
    """One pooled connection a call, without a transaction to begin and roll back."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._sessions = async_sessionmaker(engine.execution_options(isolation_level="AUTOCOMMIT"), autoflush=False)

    async def run(self, query: Callable[[Session], T]) -> T:
        async with self._sessions() as session:
            return await session.run_sync(query)


class _SQLiteReader(_Reader):
    """Two threads with a synchronous, query-only connection each."""

    def __init__(self, url: URL) -> None:
        self._engine: Engine = create_engine(
            url.set(drivername="sqlite+pysqlite"),
            poolclass=QueuePool,
            pool_size=READERS,
            max_overflow=0,
            connect_args={"check_same_thread": False, "timeout": BUSY_SECONDS},
        )
        _prepare(self._engine, begin="BEGIN", pragmas=("query_only=ON",))
        self._threads = ThreadPoolExecutor(READERS, thread_name_prefix="sqlite-reader")

    async def run(self, query: Callable[[Session], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._run, query)

    def _run(self, query: Callable[[Session], T]) -> T:
        with Session(self._engine, autoflush=False) as session:
            return query(session)

    async def close(self) -> None:
        self._threads.shutdown(wait=True)
        self._engine.dispose()


def _sqlite_writer(url: URL) -> AsyncEngine:
    if url.database is None or url.database in ("", ":memory:"):
        raise ValueError("database.url must name a file: sqlite+aiosqlite:///path/to/terrapod.db")
    Path(url.database).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    engine = create_async_engine(
        url,
        poolclass=AsyncAdaptedQueuePool,
        pool_size=1,
        max_overflow=0,
        pool_timeout=BUSY_SECONDS,
        connect_args={"timeout": BUSY_SECONDS},
    )
    # IMMEDIATE: a transaction that will write takes the write lock at its start, or two of them deadlock upgrading.
    _prepare(engine.sync_engine, begin="BEGIN IMMEDIATE", pragmas=("journal_mode=WAL",))
    return engine


def _prepare(engine: Engine, *, begin: str, pragmas: tuple[str, ...]) -> None:
    """Take transactions over from the driver (its own begin too late and deferred) and set what each connection needs.

    `synchronous=FULL`: with WAL's default an acknowledged write may be lost when the machine loses power.
    """

    @event.listens_for(engine, "connect")
    def connected(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in ("foreign_keys=ON", "synchronous=FULL", *pragmas):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begun(connection: Any) -> None:
        connection.exec_driver_sql(begin)


def _is_outage(error: DBAPIError) -> bool:
    """Whether the server said it is going or gone, or a lock outlasted the wait, rather than that the statement was wrong."""
    state = str(getattr(error.orig, "sqlstate", "") or "")
    return state.startswith(("08", "57P", "53")) or "database is locked" in str(error.orig)


def _away(error: Exception) -> Exception:
    if isinstance(error, SQLAlchemyError) and isinstance(error, DBAPIError) and not (error.connection_invalidated or _is_outage(error)):
        return error
    return Unavailable("the database does not answer; try again in a moment", retry_after=2)


__all__ = ["AsyncSession", "Database"]
