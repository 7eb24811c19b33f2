"""Which process does the periodic work: the one that holds an advisory lock; on SQLite, the one there is."""

from __future__ import annotations

import asyncio
from typing import Final

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

from terrapod_core.db import Database
from terrapod_core.db.leaving import Leaving

LOCK: Final = 0x7465727261706F64
"""The advisory lock's number: `terrapod` in ASCII."""


class Leader:
    """Holds the lock on a connection of its own, for as long as the connection lives."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._connection: AsyncConnection | None = None
        self._asking = asyncio.Lock()
        self._leaving = Leaving()

    async def is_mine(self) -> bool:
        """Whether this process leads now; takes the lock when it is free."""
        if self._db.is_sqlite:
            return True
        async with self._asking:
            try:
                if self._connection is not None:
                    await self._connection.execute(text("SELECT 1"))
                    return True
                return await self._take()
            except (DBAPIError, OSError):
                await self.release()
                return False

    async def _take(self) -> bool:
        engine = create_async_engine(self._db.url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
        connection = await engine.connect()
        try:
            if await connection.scalar(text("SELECT pg_try_advisory_lock(:lock)"), {"lock": LOCK}):
                self._connection = connection
        finally:
            # Whoever is cancelled here must not leave a connection behind that has the lock.
            if self._connection is not connection:
                await self._leaving.wait_for(connection.close())
        return self._connection is connection

    async def release(self) -> None:
        """Let another lead."""
        await self._leaving.all()
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                await connection.close()
            except (DBAPIError, OSError):
                await connection.invalidate()
