"""How each of the two databases is read: a function over a session in one hop, and a look-up on the driver itself."""

from __future__ import annotations

import asyncio
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, TypeVar

from sqlalchemy import Dialect, Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool, PoolProxiedConnection, QueuePool

from terrapod_core.db.bounds import Bounds, is_patient
from terrapod_core.db.leaving import Leaving

T = TypeVar("T")

READERS: Final = 2
"""SQLite reader threads: enough for two cores, and a slow list never stops a quick look-up."""

LOOK_UPS: Final = 4
"""PostgreSQL connections for look-ups alone. Each takes a fifth of a millisecond, so nobody waits long for one."""

BUSY_SECONDS: Final = 30
"""How long SQLite waits for another process's write (a CLI command beside the server)."""


STEPS: Final = 100_000
"""Of SQLite's machine, between two looks at the clock: some milliseconds."""


class Reader(ABC):
    """Reads, and never writes."""

    dialect: Dialect

    @abstractmethod
    async def run(self, query: Callable[[Session], T]) -> T:
        """Run a query function over a session."""

    @abstractmethod
    async def fetch(self, text: str, arguments: Sequence[Any]) -> Sequence[Any] | None:
        """The first row of a statement in the driver's own words; `None` when there is none. Raises whatever the driver raises."""

    @abstractmethod
    async def close(self) -> None:
        """Let go of every connection."""


class PostgreSQLReader(Reader):
    """One pooled connection a call, without a transaction to begin and roll back; look-ups have connections of their own."""

    def __init__(self, engine: AsyncEngine, leaving: Leaving, bounds: Bounds) -> None:
        self._leaving = leaving
        self._bounds = bounds
        self._sessions = async_sessionmaker(engine.execution_options(isolation_level="AUTOCOMMIT"), autoflush=False)
        self._engine = create_async_engine(
            engine.url, poolclass=NullPool, isolation_level="AUTOCOMMIT", hide_parameters=True, connect_args=bounds.connect_arguments()
        )
        self._free: list[tuple[AsyncConnection, Any]] = []
        self._room = asyncio.Semaphore(LOOK_UPS)
        self.dialect = engine.dialect

    async def run(self, query: Callable[[Session], T]) -> T:
        session = self._sessions()
        try:
            return await session.run_sync(query)
        finally:
            await self._leaving.wait_for(session.close())

    async def fetch(self, text: str, arguments: Sequence[Any]) -> Sequence[Any] | None:
        async with self._turn():
            connection, driver = self._free.pop() if self._free else await self._open()
            try:
                row: Sequence[Any] | None = await driver.fetchrow(text, *arguments)
            except BaseException:
                # Cancelled, cut, or in an unknown state: such a connection is asked nothing more.
                driver.terminate()
                await self._leaving.wait_for(_drop(connection))
                raise
            self._free.append((connection, driver))
            return row

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """One of the connections; raises `TimeoutError` when none is free for too long."""
        if self._room.locked():
            await asyncio.wait_for(self._room.acquire(), self._bounds.connection)
        else:
            await self._room.acquire()
        try:
            yield
        finally:
            self._room.release()

    async def _open(self) -> tuple[AsyncConnection, Any]:
        connection = await self._engine.connect()
        return connection, (await connection.get_raw_connection()).driver_connection

    async def close(self) -> None:
        while self._free:
            await _drop(self._free.pop()[0])
        await self._engine.dispose()


async def _drop(connection: AsyncConnection) -> None:
    with suppress(Exception):  # it may be gone already
        await connection.invalidate()
    with suppress(Exception):
        await connection.close()


class SQLiteReader(Reader):
    """Two threads with a synchronous, query-only connection each; look-ups happen on the loop itself.

    A row by its key is three or four pages and takes 25 µs, the hop to a thread and back 100. It never waits: where a thread
    would wait for a lock it fails at once, and `Database.look_up` asks a thread.
    """

    def __init__(self, url: URL, bounds: Bounds) -> None:
        self._bounds = bounds
        self._deadlines: dict[int, float] = {}
        """When the statement of each thread has had its time; a thread that is not in here has all of it."""
        self._engine: Engine = create_engine(
            url.set(drivername="sqlite+pysqlite"),
            poolclass=QueuePool,
            pool_size=READERS + 1,
            max_overflow=0,
            connect_args={"check_same_thread": False, "timeout": BUSY_SECONDS},
            hide_parameters=True,  # values stay out of errors, and so out of the log
        )
        prepare(self._engine, begin="BEGIN", pragmas=("query_only=ON",))
        event.listen(self._engine, "connect", self._bound)
        self._threads = ThreadPoolExecutor(READERS, thread_name_prefix="sqlite-reader")
        self._kept: PoolProxiedConnection | None = None
        self.dialect = self._engine.dialect

    async def run(self, query: Callable[[Session], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._run, query, is_patient())

    async def fetch(self, text: str, arguments: Sequence[Any]) -> Sequence[Any] | None:
        if self._kept is None:
            self._kept = self._engine.raw_connection()
            self._kept.cursor().execute("PRAGMA busy_timeout=0")
        # All of them: a cursor that is not at its end would keep its view of the database open.
        rows: list[Sequence[Any]] = self._kept.driver_connection.execute(text, arguments).fetchall()  # type: ignore[union-attr]
        return rows[0] if rows else None

    def _run(self, query: Callable[[Session], T], patient: bool) -> T:
        thread = threading.get_ident()
        if not patient:
            self._deadlines[thread] = time.monotonic() + self._bounds.statement
        try:
            with Session(self._engine, autoflush=False) as session:
                return query(session)
        finally:
            self._deadlines.pop(thread, None)

    def _bound(self, connection: Any, _record: Any) -> None:
        """SQLite asks from time to time whether to go on; there are two threads, and one that never ends would be half of all."""

        def is_over() -> bool:
            deadline = self._deadlines.get(threading.get_ident())
            return deadline is not None and time.monotonic() > deadline

        connection.set_progress_handler(is_over, STEPS)

    async def close(self) -> None:
        self._threads.shutdown(wait=True)
        if self._kept is not None:
            self._kept.close()
        self._engine.dispose()


def prepare(engine: Engine, *, begin: str, pragmas: tuple[str, ...]) -> None:
    """Take SQLite's transactions over from the driver (its own begin too late and deferred) and set what each connection needs.

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
