"""The schema: migrations make what the models describe, once, and refuse what they do not know."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, inspect, text

import terrapod_core.app  # noqa: F401 - loads every table
from terrapod_core.db import Base, Database
from terrapod_core.db.migrate import SchemaNewer, states, upgrade
from terrapod_core.plugin import Migrations


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url)
    yield database
    await database.close()


async def test_the_migrations_make_exactly_what_the_models_describe(db: Database) -> None:
    await upgrade(db)

    def differences(connection: Connection) -> list[object]:
        context = MigrationContext.configure(connection, opts={"compare_type": False, "compare_server_default": False})
        return list(compare_metadata(context, Base.metadata))

    async with db.engine.connect() as connection:
        assert await connection.run_sync(differences) == []


async def test_upgrading_again_changes_nothing(db: Database) -> None:
    assert [state.owner for state in await upgrade(db)] == ["core"]
    assert await upgrade(db) == []
    assert all(state.is_current for state in await states(db))


async def test_several_that_start_together_upgrade_once(database_url: str) -> None:
    several = [Database(database_url) for _ in range(3)]
    behind = await asyncio.gather(*(upgrade(each) for each in several))
    assert sorted(len(each) for each in behind) == [0, 0, 1]
    for each in several:
        await each.close()


async def test_a_schema_of_a_newer_version_is_refused_and_left_alone(db: Database) -> None:
    await upgrade(db)
    async with db.engine.begin() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SchemaNewer, match="revision 9999 of core.*newer Terrapod"):
        await upgrade(db)


async def test_a_plugins_own_tables_are_migrated_beside_the_cores(db: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "planted_plugin" / "migrations"
    package.mkdir(parents=True)
    (tmp_path / "planted_plugin" / "__init__.py").touch()
    (package / "__init__.py").touch()
    (package / "p001.py").write_text(
        "import sqlalchemy as sa\nfrom alembic import op\n\nrevision = 'p001'\ndown_revision = None\n\n\n"
        "def upgrade():\n    op.create_table('planted', sa.Column('id', sa.String, primary_key=True))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    owned = {"planted": Migrations("planted_plugin.migrations", "planted_version")}
    assert [state.owner for state in await upgrade(db, owned)] == ["core", "planted"]
    assert await upgrade(db, owned) == []
    async with db.engine.connect() as connection:
        tables = await connection.run_sync(lambda sync: set(inspect(sync).get_table_names()))
    assert {"planted", "planted_version", "workspaces"} <= tables
