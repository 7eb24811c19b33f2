"""The schema, brought up to date: the core's migrations first, then each plugin's, all in one transaction.

Versions N and N+1 run beside each other while an installation is upgraded, so a migration only adds (columns that may be NULL or
have a default, tables, indices). What takes away or changes comes one version later, in a migration with `contracts = True`: it notes
that versions which do not know it cannot go on. Without such a note an older version works with a newer schema, and starts on it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, delete, insert, inspect, select, text
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import Mapped, mapped_column

from terrapod_core.db.base import Base
from terrapod_core.db.database import Database
from terrapod_core.plugin.migrations import Migrations

CORE: Final = "core"
VERSIONS: Final = Path(__file__).parent / "migrations" / "versions"
VERSION_TABLE: Final = "alembic_version"
LOCK: Final = 0x6D696772617465
"""PostgreSQL's advisory lock while migrating, so that replicas that start together do it once: `migrate` in ASCII."""

UNBOUNDED: Final = (
    "SELECT set_config('statement_timeout', '0', true), set_config('lock_timeout', '0', true),"
    " set_config('idle_in_transaction_session_timeout', '0', true)"
)
"""An upgrade has no bounds: a big table takes its time, and a replica that comes second waits for the first."""


class SchemaNewer(Exception):
    """The database was written by a newer Terrapod; this one would not understand it."""


class SchemaNote(Base):
    """Which versions can use the schema as an upgrade left it."""

    __tablename__ = "schema_notes"

    owner: Mapped[str] = mapped_column(primary_key=True)
    """Whose migrations: `core`, or a plugin's name."""
    revision: Mapped[str]
    """The one this is about."""
    oldest: Mapped[str]
    """A version that knows this revision can, even if it does not know the newest one."""


@dataclass(frozen=True)
class SchemaState:
    """How far one set of migrations is."""

    owner: str
    """`core`, or the plugin's name."""
    current: str | None
    """The revision in the database; `None` before the first."""
    head: str | None
    """The newest revision this installation has."""
    is_newer: bool = False
    """The database is ahead, and this installation may use it."""

    @property
    def is_current(self) -> bool:
        """Whether nothing is left to do."""
        return self.is_newer or self.current == self.head


@dataclass(frozen=True)
class _Source:
    owner: str
    directory: Path
    version_table: str

    def config(self, connection: Connection) -> Config:
        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
        config.set_main_option("version_locations", str(self.directory))
        config.set_main_option("path_separator", "newline")
        config.attributes.update({"connection": connection, "version_table": self.version_table})
        return config

    def knows(self, connection: Connection, revision: str) -> bool:
        """Whether there is such a revision."""
        script = ScriptDirectory.from_config(self.config(connection))
        return revision in {each.revision for each in script.walk_revisions()}

    def state(self, connection: Connection) -> SchemaState:
        script = ScriptDirectory.from_config(self.config(connection))
        context = MigrationContext.configure(connection, opts={"version_table": self.version_table})
        current = context.get_current_revision()
        known = {revision.revision for revision in script.walk_revisions()}
        if current is None or current in known:
            return SchemaState(self.owner, current, script.get_current_head())
        if _oldest(connection, self.owner, current) in known:
            return SchemaState(self.owner, current, script.get_current_head(), is_newer=True)
        raise SchemaNewer(
            f"the database is at revision {current} of {self.owner}, which this version does not know: it was written by a newer "
            "Terrapod. Start that version, or restore a backup made before the upgrade"
        )

    def note(self, connection: Connection) -> None:
        """Note which versions can use what was just upgraded."""
        script = ScriptDirectory.from_config(self.config(connection))
        newest_first = list(script.walk_revisions())
        oldest = next((each for each in newest_first if getattr(each.module, "contracts", False)), newest_first[-1])
        connection.execute(delete(SchemaNote).where(SchemaNote.owner == self.owner))
        connection.execute(insert(SchemaNote).values(owner=self.owner, revision=newest_first[0].revision, oldest=oldest.revision))


def _sources(plugins: Mapping[str, Migrations]) -> list[_Source]:
    found = [_Source(CORE, VERSIONS, VERSION_TABLE)]
    for name, migrations in sorted(plugins.items()):
        module = import_module(migrations.package)
        found.append(_Source(name, Path(module.__path__[0]), migrations.version_table))
    return found


def version_tables(plugins: Mapping[str, Migrations]) -> frozenset[str]:
    """The tables in which is noted how far each set of migrations is."""
    return frozenset(source.version_table for source in _sources(plugins))


async def check_known(connection: AsyncConnection, plugins: Mapping[str, Migrations], revisions: Mapping[str, str | None]) -> None:
    """Raise `SchemaNewer` when a part of this installation does not know the revision that a backup has of it."""
    for source in _sources(plugins):
        wanted = revisions.get(source.owner)
        if wanted is not None and not await connection.run_sync(partial(source.knows, revision=wanted)):
            raise SchemaNewer(
                f"the backup is of revision {wanted} of {source.owner}, which this version does not know: it was made by a newer "
                "Terrapod. Restore it with that version"
            )


async def upgrade_in(connection: AsyncConnection, plugins: Mapping[str, Migrations], to: Mapping[str, str | None] | None = None) -> None:
    """Inside `alone`: the parts that `to` names up to the revisions it gives them, and no others; without it all to the newest."""
    for source in _sources(plugins):
        revision = "head" if to is None else to.get(source.owner)
        if revision is not None:
            await connection.run_sync(_upgrade, source, revision)


async def states(db: Database, plugins: Mapping[str, Migrations] | None = None) -> list[SchemaState]:
    """How far each set of migrations is. Raises `SchemaNewer`."""
    async with db.engine.connect() as connection:
        return await states_in(connection, plugins or {})


async def states_in(connection: AsyncConnection, plugins: Mapping[str, Migrations]) -> list[SchemaState]:
    """The same over a connection, in its transaction. Raises `SchemaNewer`."""
    sources = _sources(plugins)
    return await connection.run_sync(lambda sync: [source.state(sync) for source in sources])


async def upgrade(db: Database, plugins: Mapping[str, Migrations] | None = None) -> list[SchemaState]:
    """Bring everything up to date; returns what was behind. Raises `SchemaNewer` and changes nothing then."""
    sources = _sources(plugins or {})
    async with db.engine.connect() as connection, alone(db, connection):
        behind = await connection.run_sync(
            lambda sync: [state for state in (source.state(sync) for source in sources) if not state.is_current]
        )
        names = {state.owner for state in behind}
        for source in sources:
            if source.owner in names:
                await connection.run_sync(_upgrade, source)
    return behind


@asynccontextmanager
async def alone(db: Database, connection: AsyncConnection) -> AsyncIterator[None]:
    """The one transaction of whoever changes the schema, alone."""
    if not db.is_sqlite:
        async with connection.begin():
            await connection.execute(text(UNBOUNDED))
            await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
            yield
        return
    # SQLite changes a column by making the table anew and dropping the former one, and that deletes what refers to its rows. The
    # switch works outside of transactions only, so it goes to the driver, which begins none.
    driver: Any = (await connection.get_raw_connection()).driver_connection
    await driver.execute("PRAGMA foreign_keys=OFF")
    try:
        async with connection.begin():
            yield
            dangling = (await connection.exec_driver_sql("PRAGMA foreign_key_check")).mappings().first()
            if dangling is not None:
                raise RuntimeError(
                    f"a migration leaves rows of {dangling['table']} that refer to rows of {dangling['parent']} that are gone"
                )
    finally:
        await driver.execute("PRAGMA foreign_keys=ON")


def _upgrade(connection: Connection, source: _Source, revision: str = "head") -> None:
    command.upgrade(source.config(connection), revision)
    if revision == "head":
        source.note(connection)


def _oldest(connection: Connection, owner: str, revision: str) -> str | None:
    if not inspect(connection).has_table(SchemaNote.__tablename__):
        return None
    note = select(SchemaNote.oldest).where(SchemaNote.owner == owner, SchemaNote.revision == revision)
    return connection.execute(note).scalar_one_or_none()


def write_revision(connection: Connection, metadata: Any, message: str, revision: str) -> None:
    """Write the next core revision from what `metadata` has and the database has not; for maintainers (`nox -s revision`)."""
    source = _sources({})[0]
    config = source.config(connection)
    config.attributes["metadata"] = metadata
    command.revision(config, message=message, autogenerate=True, rev_id=revision)
