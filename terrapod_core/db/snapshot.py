"""The whole database as it is at one moment, for whoever reads all of it while others write."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

from terrapod_core.db.database import Database
from terrapod_core.db.readers import prepare


@asynccontextmanager
async def snapshot(db: Database) -> AsyncIterator[AsyncConnection]:
    """A connection of its own that only reads, and sees nothing of what is committed after it was given.

    While it is open SQLite cannot shorten its log of writes and PostgreSQL removes no old rows: be quick.
    """
    if db.is_sqlite:
        engine = create_async_engine(db.url, poolclass=NullPool, hide_parameters=True)
        prepare(engine.sync_engine, begin="BEGIN", pragmas=("query_only=ON",))
    else:
        engine = create_async_engine(db.url, poolclass=NullPool, hide_parameters=True, isolation_level="REPEATABLE READ")
    try:
        async with engine.connect() as connection, connection.begin():
            if not db.is_sqlite:
                await connection.execute(text("SET TRANSACTION READ ONLY"))
                await connection.execute(text("SET LOCAL statement_timeout = 0"))
                await connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
            await connection.execute(text("SELECT version_num FROM alembic_version"))  # the view begins with the first read
            yield connection
    finally:
        await engine.dispose()
