"""Every table goes into an archive and out of it, into both databases, with whatever a column can hold."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import BigInteger, Boolean, Column, DateTime, Float, Integer, LargeBinary, String, Table, select
from sqlalchemy.ext.asyncio import AsyncConnection

import terrapod_core.app  # noqa: F401 - loads every table
from terrapod_core.backup import BackupError
from terrapod_core.backup.records import Rows, TableOf
from terrapod_core.backup.tables import Loader, described, dump, tables_of
from terrapod_core.db import Base, Database
from terrapod_core.db.migrate import version_tables
from terrapod_core.db.snapshot import snapshot
from tests.conftest import migrate
from tests.support.databases import Databases

ROWS = 3
FIRST = 10
"""Number of the first row: those that migrations made are in nobody's way."""
WHEN = datetime(2026, 2, 28, 23, 59, 59, 999_999, tzinfo=UTC)
TEXTS = ("", "ünï\N{SNOWMAN} \\ ' \" %s :x", "null")


def value(column: Column[Any], number: int) -> Any:
    """A value of the column's type: another one in each row where it must be, one of the strange ones where it may."""
    if column.nullable and number == FIRST:
        return None
    unique = column.primary_key or column.foreign_keys or any(column.name in index.columns for index in column.table.indexes)
    if isinstance(column.type, Boolean):
        return bool(number % 2)
    if isinstance(column.type, DateTime):
        return WHEN if column.type.timezone else WHEN.replace(tzinfo=None)
    if isinstance(column.type, Integer):
        return 2**62 + number if isinstance(column.type, BigInteger) and not unique else number + 1
    if isinstance(column.type, Float):
        return 0.1 + number
    if isinstance(column.type, LargeBinary):
        return bytes(range(256)) * number
    assert isinstance(column.type, String), column
    return f"{column.name}-{number}" if unique else TEXTS[number % len(TEXTS)] + str(number)


async def fill(connection: AsyncConnection, tables: list[Table]) -> None:
    """Some rows in each table; references are to the row of the same number."""
    made: dict[tuple[str, str], list[Any]] = {}
    for table in tables:
        rows = []
        for number in range(ROWS):
            row = {column.name: value(column, FIRST + number) for column in table.columns}
            for column in table.columns:
                for key in column.foreign_keys:
                    if row[column.name] is not None:
                        row[column.name] = made[key.column.table.name, key.column.name][number]
            if table.name == "variables":  # of a workspace or of a set
                row |= {"workspace_id": made["workspaces", "id"][number], "varset_id": None}
            rows.append(row)
        await connection.execute(table.insert(), rows)
        for column in table.columns:
            made[table.name, column.name] = [row[column.name] for row in rows]


async def content(connection: AsyncConnection, table: Table) -> list[list[Any]]:
    return sorted([row async for rows in dump(connection, 0, table) for row in rows.rows], key=repr)


@pytest.fixture(params=["same kind", "other kind"])
def target_url(request: pytest.FixtureRequest, databases: Databases, other_databases: Databases) -> Iterator[str]:
    chosen = databases if request.param == "same kind" else other_databases
    url = chosen.copy_of("migrated", migrate)
    yield url
    chosen.drop(url)


async def test_every_table_comes_out_as_it_went_in(migrated_url: str, target_url: str) -> None:
    source, target = Database(migrated_url), Database(target_url)
    versions = version_tables({})
    try:
        async with source.engine.begin() as connection:
            tables = await connection.run_sync(lambda sync: tables_of(sync, versions))
            assert {table.name for table in tables} == set(Base.metadata.tables)
            await fill(connection, tables)
        async with snapshot(source) as reading, target.engine.begin() as writing:
            archived = await described(reading, tables)
            loader = Loader(writing, await writing.run_sync(lambda sync: tables_of(sync, versions)), archived)
            await loader.clear()
            for number, table in enumerate(tables):
                async for rows in dump(reading, number, table):
                    await loader.insert(rows)
            assert loader.check() >= ROWS * len(tables)
            await loader.set_sequences()
            for table, there in zip(tables, loader.tables, strict=True):
                before = await content(reading, table)
                names = [column.name for column in table.columns]
                order = [[column.name for column in there.columns].index(name) for name in names]
                after = sorted(([row[at] for at in order] for row in await content(writing, there)), key=repr)
                assert after == before, table.name
            outbox = next(table for table in loader.tables if table.name == "outbox")
            new = {column.name: value(column, 50) for column in outbox.columns if column.name != "number"}
            await writing.execute(outbox.insert(), [new])
            numbers = (await writing.execute(select(outbox.c.number))).scalars().all()
            assert len(set(numbers)) == ROWS + 1
    finally:
        await source.close()
        await target.close()


async def test_a_snapshot_sees_nothing_that_came_later(migrated_url: str) -> None:
    db = Database(migrated_url)
    table = Base.metadata.tables["used_once"]
    try:
        async with snapshot(db) as reading:
            async with db.engine.begin() as connection:
                await connection.execute(table.insert(), [{"hash": "h", "until": WHEN}])
            assert (await reading.execute(select(table))).all() == []
        async with snapshot(db) as reading:
            assert len((await reading.execute(select(table))).all()) == 1
    finally:
        await db.close()


async def test_a_snapshot_writes_nothing(migrated_url: str) -> None:
    db = Database(migrated_url)
    table = Base.metadata.tables["used_once"]
    try:
        with pytest.raises(Exception, match=r"read-only|readonly"):
            async with snapshot(db) as reading:
                await reading.execute(table.insert(), [{"hash": "h", "until": WHEN}])
    finally:
        await db.close()


async def test_tables_that_nothing_here_makes_are_named(migrated_url: str) -> None:
    db = Database(migrated_url)
    try:
        async with db.engine.begin() as connection:
            tables = await connection.run_sync(lambda sync: tables_of(sync, version_tables({})))
            known = await described(connection, tables)
            with pytest.raises(BackupError, match="has a table of_a_plugin"):
                Loader(connection, tables, [*known, TableOf("of_a_plugin", ["id"], 0)])
            loader = Loader(connection, tables, known)
            with pytest.raises(BackupError, match="damaged"):
                await loader.insert(Rows(len(tables), [[1]]))
    finally:
        await db.close()
