"""Version N beside version N+1 while an installation is upgraded: migrations add, and say so when they take away."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from alembic import command
from alembic.script import Script, ScriptDirectory
from sqlalchemy import Connection, inspect

from terrapod_core.db import Database, migrate
from terrapod_core.db.migrate import SchemaNewer, states, upgrade

FIRST_BESIDE = "0016"
"""The migration that brought the notes; before it versions did not run beside each other."""

Shape = dict[tuple[str, str], tuple[str, bool]]
"""Of each column of each table: its type, and whether who writes a row has to give it."""


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url)
    yield database
    await database.close()


def later() -> list[Script]:
    """The migrations behind the first of which this is asked, in their order."""
    script = ScriptDirectory(str(migrate.VERSIONS.parent), version_locations=[str(migrate.VERSIONS)])
    return list(reversed([*script.iterate_revisions("head", FIRST_BESIDE)]))


async def upgrade_until(db: Database, revision: str) -> Shape:
    """Bring the core's schema to this revision; what it looks like then."""

    def work(connection: Connection) -> Shape:
        command.upgrade(migrate._sources({})[0].config(connection), revision)
        found = inspect(connection)
        return {
            (table, column["name"]): (str(column["type"]), not column["nullable"] and column["default"] is None)
            for table in found.get_table_names()
            for column in found.get_columns(table)
        }

    async with db.engine.begin() as connection:
        return await connection.run_sync(work)


def next_version(folder: Path, body: str) -> Path:
    """The migrations of a version to come: all there are, and one more."""
    shutil.copytree(Path(migrate.__file__).parent / "migrations" / "versions", folder)
    head = max(path.name[:4] for path in folder.glob("[0-9]*.py"))
    (folder / "9001_next.py").write_text(
        f"import sqlalchemy as sa\nfrom alembic import op\n\nrevision = '9001'\ndown_revision = '{head}'\n{body}\n"
    )
    return folder


async def upgrade_to(db: Database, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a server of that version does at its start."""
    with monkeypatch.context() as patch:
        patch.setattr(migrate, "VERSIONS", folder)
        await upgrade(db)


async def test_a_version_goes_on_and_starts_beside_the_next_one_which_only_added(
    db: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    adds = "def upgrade():\n    op.add_column('workspaces', sa.Column('planted', sa.String, server_default='x', nullable=False))"
    await upgrade(db)
    await upgrade_to(db, next_version(tmp_path / "versions", adds), monkeypatch)
    assert [(state.owner, state.current, state.is_newer, state.is_current) for state in await states(db)] == [("core", "9001", True, True)]
    assert await upgrade(db) == []


async def test_a_version_is_refused_beside_one_that_took_away_what_it_needs(
    db: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    takes = "contracts = True\n\n\ndef upgrade():\n    op.drop_table('processes')"
    await upgrade(db)
    await upgrade_to(db, next_version(tmp_path / "versions", takes), monkeypatch)
    with pytest.raises(SchemaNewer, match="revision 9001 of core"):
        await upgrade(db)


@pytest.mark.parametrize("script", [pytest.param(each, id=each.revision) for each in later()])
async def test_a_migration_only_adds_unless_it_says_that_it_takes_away(db: Database, script: Script) -> None:
    assert isinstance(script.down_revision, str)
    before = await upgrade_until(db, script.down_revision)
    after = await upgrade_until(db, script.revision)
    if getattr(script.module, "contracts", False):
        return
    assert [column for column in before if after.get(column, ("gone", False))[0] != before[column][0]] == []
    tables = {table for table, _ in before}
    # Rows that the version before writes name none of the new columns, and may leave out what they could leave out.
    needed = [column for column, (_, is_needed) in after.items() if is_needed and not before.get(column, ("new", False))[1]]
    assert [column for column in needed if column[0] in tables] == []
