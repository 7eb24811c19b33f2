"""A database made empty, inside the transaction that fills it again."""

from __future__ import annotations

from typing import Final

from sqlalchemy import inspect, text
from sqlalchemy.ext.asyncio import AsyncConnection

_FUNCTIONS: Final = text(
    "SELECT p.oid::regprocedure::text FROM pg_proc p WHERE p.pronamespace = current_schema()::regnamespace AND p.prokind = 'f' "
    "AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')"
)
"""Those of triggers; what an extension brought stays."""


async def drop_all(connection: AsyncConnection) -> None:
    """Drop every table, and on PostgreSQL the functions of their triggers. SQLite's foreign keys are off (`migrate.alone`)."""
    postgresql = connection.dialect.name == "postgresql"
    cascade = " CASCADE" if postgresql else ""
    quote = connection.dialect.identifier_preparer.quote
    for name in await connection.run_sync(lambda sync: inspect(sync).get_table_names()):
        await connection.execute(text(f"DROP TABLE {quote(name)}{cascade}"))
    if postgresql:
        for function in (await connection.execute(_FUNCTIONS)).scalars().all():
            await connection.execute(text(f"DROP FUNCTION {function} CASCADE"))
