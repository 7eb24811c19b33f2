"""Wake-ups by LISTEN and NOTIFY, leases by advisory locks: for several processes on one PostgreSQL and nothing else.

One connection a process, outside the pools. A wake-up that belongs to a change is notified in its transaction, so PostgreSQL
tells it with the commit, once however often it was asked for.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import asyncpg
from sqlalchemy import ARRAY, Executable, Text, bindparam, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from terrapod_core.coordination.leases import Leases
from terrapod_core.plugin.coordination import CoordinationAway, Hear, Lease, Wakeup

CHANNEL: Final = "terrapod"
SECONDS: Final = 1.0
"""For one exchange; to connect, `CONNECT_SECONDS`."""
CONNECT_SECONDS: Final = 5.0

BEAT_SECONDS: Final = 20.0
"""How often it makes sure that it hears itself: a connection may be dead without a word, and a pooler may have given it to another."""

FIRST_PAUSE: Final = 0.2
LONGEST_PAUSE: Final = 5.0

_NOTIFY: Final = text("SELECT pg_notify('terrapod', payload) FROM unnest(:payloads) AS payload").bindparams(
    bindparam("payloads", type_=ARRAY(Text))
)
_PLAIN_NOTIFY: Final = "SELECT pg_notify('terrapod', payload) FROM unnest($1::text[]) AS payload"
_AWAY: Final = (OSError, TimeoutError, SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)


class PostgreSQLCoordination:
    """The backend of every process on PostgreSQL that no other was chosen for."""

    name = "postgresql"

    def __init__(self, url: URL) -> None:
        self._url = url
        self._sender = secrets.token_hex(8)
        self._connection: Any = None
        self._using = asyncio.Lock()
        self._leases = Leases(self._over)
        self._ended: set[str] = set()
        self._waiting: dict[Wakeup, None] = {}
        self._work = asyncio.Event()
        self._echo = asyncio.Event()
        self._hear: Hear = lambda _wakeup: None
        self._turned: Callable[[], None] = lambda: None
        self._trouble: str | None = "it is not connected yet"
        self._told = False
        self._task: asyncio.Task[None] | None = None

    @property
    def trouble(self) -> str | None:
        """Why others are not heard."""
        return self._trouble

    def start(self, hear: Hear, turned: Callable[[], None]) -> None:
        """Begin to listen."""
        self._hear, self._turned = hear, turned
        self._task = asyncio.create_task(self._keep_listening(), name="coordination:postgresql")

    async def close(self) -> None:
        """Listen no more; leases end with the connection."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def statement(self, wakeups: Sequence[Wakeup]) -> Executable:
        """What wakes others with the commit."""
        return _NOTIFY.bindparams(payloads=[self._payload(each) for each in dict.fromkeys(wakeups)])

    def publish(self, wakeups: Sequence[Wakeup]) -> None:
        """Tell others, on the connection that listens."""
        if self._trouble is None:
            self._waiting.update(dict.fromkeys(wakeups))
            self._work.set()

    async def acquire(self, name: str, seconds: float) -> Lease | None:
        """An advisory lock that is given back when the lease is over, and by PostgreSQL when this process is gone."""
        async with self._asking() as connection:
            if self._leases.holder(name) is not None:
                return None
            await self._unlock(connection)
            if not await connection.fetchval("SELECT pg_try_advisory_lock($1)", _number(name)):
                return None
            return self._leases.grant(name, seconds)

    async def renew(self, lease: Lease, seconds: float) -> bool:
        """Have it for so long from now on. PostgreSQL is asked: the lock ends with the connection, which may be over unnoticed."""
        async with self._asking() as connection:
            await connection.fetchval("SELECT 1")
            return self._leases.renew(lease, seconds)

    async def release(self, lease: Lease) -> None:
        """Let another have it."""
        async with self._asking() as connection:
            self._leases.release(lease)
            await self._unlock(connection)

    # -- the connection

    async def _keep_listening(self) -> None:
        pause = FIRST_PAUSE
        while True:
            try:
                await self._listen()
            except Exception as error:  # noqa: BLE001 - whatever it is, it is tried again
                pause = FIRST_PAUSE if self._trouble is None else min(2 * pause, LONGEST_PAUSE)
                self._turn(f"PostgreSQL is not heard: {type(error).__name__}")
            await asyncio.sleep(pause * (1 + secrets.randbelow(100) / 200))

    async def _listen(self) -> None:
        async with self._connected() as connection:
            await connection.add_listener(CHANNEL, self._notified)
            connection.add_termination_listener(self._terminated)
            await self._hear_itself(connection)
            self._connection = connection
            self._turn(None)
            try:
                beats_at = asyncio.get_running_loop().time() + BEAT_SECONDS
                while True:
                    with suppress(TimeoutError):
                        async with asyncio.timeout_at(beats_at):
                            await self._work.wait()
                    self._work.clear()
                    if connection.is_closed():
                        raise ConnectionResetError
                    async with self._using:
                        await self._send(connection)
                        await self._unlock(connection)
                        if asyncio.get_running_loop().time() >= beats_at:
                            await self._hear_itself(connection)
                            beats_at += BEAT_SECONDS
            finally:
                self._connection = None
                self._leases.forget()

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[Any]:
        engine = create_async_engine(self._url, poolclass=NullPool)
        async with asyncio.timeout(CONNECT_SECONDS):
            fairy = await engine.raw_connection()
        try:
            yield fairy.driver_connection
        finally:
            # Not given back but ended: what it holds and hears is nobody else's.
            fairy.driver_connection.terminate()  # type: ignore[union-attr]
            fairy.invalidate()

    async def _hear_itself(self, connection: Any) -> None:
        self._echo.clear()
        async with asyncio.timeout(SECONDS * 2):
            await connection.fetch(_PLAIN_NOTIFY, [f"{self._sender}  "])
            await self._echo.wait()

    async def _send(self, connection: Any) -> None:
        if self._waiting:
            waiting, self._waiting = self._waiting, {}
            async with asyncio.timeout(SECONDS):
                await connection.fetch(_PLAIN_NOTIFY, [self._payload(each) for each in waiting])

    async def _unlock(self, connection: Any) -> None:
        """Give back the locks of leases that are over."""
        while self._ended:
            async with asyncio.timeout(SECONDS):
                await connection.fetchval("SELECT pg_advisory_unlock($1)", _number(self._ended.pop()))

    @asynccontextmanager
    async def _asking(self) -> AsyncIterator[Any]:
        """The connection for one exchange; raises `CoordinationAway`."""
        self._present()
        try:
            async with asyncio.timeout(SECONDS), self._using:
                yield self._present()
        except _AWAY as error:
            if self._connection is not None:
                self._connection.terminate()
            raise CoordinationAway(f"PostgreSQL does not answer: {type(error).__name__}") from error

    def _present(self) -> Any:
        if self._connection is None:
            raise CoordinationAway(self._trouble or "PostgreSQL does not answer")
        return self._connection

    def _over(self, name: str) -> None:
        self._ended.add(name)
        self._work.set()

    # -- what is heard

    def _notified(self, _connection: Any, _pid: int, _channel: str, payload: str) -> None:
        sender, _, rest = payload.partition(" ")
        topic, _, key = rest.partition(" ")
        if sender == self._sender:
            if not topic:
                self._echo.set()
        elif topic:
            self._hear(Wakeup(topic, key))

    def _terminated(self, _connection: Any = None) -> None:
        self._work.set()

    def _payload(self, wakeup: Wakeup) -> str:
        return f"{self._sender} {wakeup.topic} {wakeup.key}"

    def _turn(self, trouble: str | None) -> None:
        before, self._trouble = self._trouble, trouble
        if (before is None) != (trouble is None) or not self._told:
            self._told = True
            self._turned()


def _number(name: str) -> int:
    """The advisory lock's number."""
    return int.from_bytes(hashlib.blake2b(f"terrapod lease {name}".encode(), digest_size=8).digest(), signed=True)
