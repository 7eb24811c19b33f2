"""Rows in a form that knows no database: what stands in the tables, of the core and of plugins, whatever the schema is.

The tables are looked up in the database itself, so that an archive of an older schema goes into the tables of that schema.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    DateTime,
    Float,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    delete,
    func,
    select,
    text,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from terrapod_core.backup.problems import DAMAGED, BackupError
from terrapod_core.backup.records import Rows, TableOf

ROWS_AT_ONCE: Final = 200
ROWS_WITH_BYTES: Final = 16
"""Of tables with a column of bytes: a stretch of a log is up to 1 MiB."""

RECORD_BYTES: Final = 512 * 1024
_CARRIED: Final = (Boolean, DateTime, Float, Integer, LargeBinary, String)


def tables_of(connection: Connection, but_for: Collection[str]) -> list[Table]:
    """The tables there are, those first that others refer to. Raises `BackupError` for a column no archive can carry."""
    metadata = MetaData()
    metadata.reflect(connection, only=lambda name, _: name not in but_for)
    tables = metadata.sorted_tables
    for table in tables:
        for column in table.columns:
            if not isinstance(column.type, _CARRIED):
                raise BackupError(f"the column {table.name}.{column.name} is of the type {column.type}, which no backup can hold")
    return tables


async def described(connection: AsyncConnection, tables: Sequence[Table]) -> list[TableOf]:
    """The tables as a header has them."""
    found = []
    for table in tables:
        rows = (await connection.execute(select(func.count()).select_from(table))).scalar_one()
        found.append(TableOf(str(table.name), [str(column.name) for column in table.columns], rows))
    return found


async def dump(connection: AsyncConnection, number: int, table: Table) -> AsyncIterator[Rows]:
    """The rows of a table, some at a time."""
    has_bytes = any(isinstance(column.type, LargeBinary) for column in table.columns)
    query = select(table).execution_options(yield_per=ROWS_WITH_BYTES if has_bytes else ROWS_AT_ONCE)
    held: list[list[Any]] = []
    size = 0
    async with connection.stream(query) as result:
        async for row in result:
            values = [_neutral(value) for value in row]
            held.append(values)
            size += sum(len(value) if isinstance(value, str | bytes) else 8 for value in values)
            if size >= RECORD_BYTES:
                yield Rows(number, held)
                held, size = [], 0
    if held:
        yield Rows(number, held)


def _neutral(value: Any) -> Any:
    """A moment is one in UTC: SQLite keeps no zone."""
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    return value


class Loader:
    """Puts rows into the tables of a connection, in a transaction of the caller's."""

    def __init__(self, connection: AsyncConnection, tables: Sequence[Table], archived: Sequence[TableOf]) -> None:
        """`tables` are those of the database. Raises `BackupError` unless the archive's are the same, column for column."""
        self._connection = connection
        known = {table.name: table for table in tables}
        self.tables: list[Table] = []
        for each in archived:
            table = known.get(each.name)
            if table is None:
                raise BackupError(
                    f"the archive has a table {each.name}, which neither this Terrapod nor a plugin that is loaded here makes"
                )
            if {column.name for column in table.columns} != set(each.columns):
                raise BackupError(f"the table {each.name} of the archive has other columns than here: its schema was changed by hand")
            self.tables.append(table)
        self._archived = archived
        self._counts = [0] * len(archived)
        self._converters = [[_converter(table.c[name]) for name in each.columns] for table, each in zip(self.tables, archived, strict=True)]

    async def clear(self) -> None:
        """Remove the rows that migrations made."""
        for table in reversed(self.tables):
            if (await self._connection.execute(select(1).select_from(table).limit(1))).first() is not None:
                await self._connection.execute(delete(table))

    async def insert(self, rows: Rows) -> None:
        """Insert these rows. Raises `BackupError` for what is no row of the table."""
        if not 0 <= rows.table < len(self.tables):
            raise BackupError(DAMAGED)
        names, converters = self._archived[rows.table].columns, self._converters[rows.table]
        values = [
            {name: convert(value) for name, convert, value in zip(names, converters, row, strict=True)}
            for row in rows.rows
            if len(row) == len(names)
        ]
        self._counts[rows.table] += len(values)
        if values:
            await self._connection.execute(self.tables[rows.table].insert(), values)

    def check(self) -> int:
        """How many rows there were; raises `BackupError` unless they are those that the header told."""
        if self._counts != [each.rows for each in self._archived]:
            raise BackupError(DAMAGED)
        return sum(self._counts)

    async def set_sequences(self) -> None:
        """Let PostgreSQL count on behind the rows that are there; SQLite does by itself."""
        if self._connection.dialect.name != "postgresql":
            return
        for table in self.tables:
            for column in table.columns:
                if not isinstance(column.type, Integer):
                    continue
                names = {"table": table.fullname, "column": column.name}
                sequence = (await self._connection.execute(text("SELECT pg_get_serial_sequence(:table, :column)"), names)).scalar()
                if sequence is not None:
                    highest = (await self._connection.execute(select(func.coalesce(func.max(column), 0)))).scalar_one()
                    values = {"sequence": sequence, "next": highest + 1}
                    await self._connection.execute(text("SELECT setval(CAST(:sequence AS regclass), :next, false)"), values)


def _converter(column: Column[Any]) -> Callable[[Any], Any]:
    """What makes of a value in an archive one that this column takes."""
    if isinstance(column.type, Boolean):
        return lambda value: None if value is None else bool(value)
    if isinstance(column.type, DateTime):
        zone = None if not column.type.timezone else UTC
        return lambda value: _moment(value).replace(tzinfo=zone) if value is not None else None
    return lambda value: value


def _moment(value: Any) -> datetime:
    return value if isinstance(value, datetime) else msgspec.convert(value, datetime)
