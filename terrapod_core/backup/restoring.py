"""Reading an archive: to verify it, or to make an empty database and an empty storage what it holds.

The database's part is one transaction, which begins with the schema and ends when the archive's last frame is verified and a new epoch
has begun. Objects are written meanwhile and named by nobody until it commits; when it does not, they are removed again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AsyncExitStack, aclosing, suppress
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import inspect, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from terrapod_core.backup.contents import Contents
from terrapod_core.backup.emptying import drop_all
from terrapod_core.backup.epoch import Ended, Kept, begin_epoch
from terrapod_core.backup.problems import BackupError
from terrapod_core.backup.records import Footer, Header, ObjectBytes, RecordReader, Rows
from terrapod_core.backup.sealing import Archive
from terrapod_core.backup.storing import Storing
from terrapod_core.backup.tables import Loader, tables_of
from terrapod_core.coordination import Wakeups
from terrapod_core.db import Database, UnitOfWork
from terrapod_core.db.migrate import CORE, alone, check_known, upgrade_in, version_tables
from terrapod_core.plugin import StorageBackend
from terrapod_core.plugin.migrations import Migrations
from terrapod_core.runs import Logs
from terrapod_core.secrets import Keyring
from terrapod_core.storage.key_sets import PAGE, KeySet
from terrapod_core.workspaces import Workspaces

_OTHERS: Final = text(
    "SELECT count(*) FROM pg_stat_activity "
    "WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
)

Progress = Callable[[int, int, int, int], None]
"""Told how many bytes of the archive are read, of how many, and the rows and objects so far."""


@dataclass(frozen=True)
class Target:
    """Where an archive is restored to."""

    db: Database
    backend: StorageBackend
    keyring: Keyring
    migrations: Mapping[str, Migrations]
    workspaces: Workspaces
    logs: Logs


@dataclass(frozen=True)
class Options:
    """How."""

    kept: Kept = field(default_factory=Kept)
    replace: bool = False
    """Put the archive in place of what the database and the storage have."""


@dataclass(frozen=True)
class Restored:
    """What was restored."""

    footer: Footer
    ended: Ended


class Restore:
    """An archive that is open."""

    def __init__(self, archive: Archive, progress: Progress) -> None:
        """Reads the header. Blocks; raises `BackupError`."""
        self._archive = archive
        self._progress = progress
        self._reader = RecordReader(archive)
        self.header: Header = self._reader.header

    async def verify(self) -> Footer:
        """Read everything and authenticate it. Raises `BackupError` for an archive that is not whole."""
        with Contents(self._reader) as contents:
            async with aclosing(contents.records()) as records:
                async for _ in records:
                    self._tell(contents)
        assert contents.footer is not None
        return contents.footer

    async def check(self, target: Target, *, replace: bool) -> None:
        """Raise `BackupError` or `SchemaNewer`, before anything is written, when the archive does not go there."""
        self._check_keys(target.keyring)
        self._check_plugins(target.migrations)
        async with target.db.engine.connect() as connection:
            await check_known(connection, target.migrations, self.header.revisions)
            await self._check_database(connection, replace=replace)
        async with aclosing(_keys(target.backend)) as keys:
            async for _ in keys:
                if not replace:
                    raise BackupError(
                        f"the storage {target.backend.name!r} holds objects already: choose an empty one, "
                        "or put the archive in their place with --replace"
                    )
                break

    async def run(self, target: Target, options: Options) -> Restored:
        """Restore all of it, or nothing. Raises `BackupError`, and whatever database and storage raise."""
        await self.check(target, replace=options.replace)
        async with AsyncExitStack() as stack:
            contents = stack.enter_context(Contents(self._reader))
            former = stack.enter_context(KeySet())
            async with aclosing(_keys(target.backend)) as keys:
                async for key in keys:
                    former.add([key])
            try:
                ended = await self._transaction(target, options, contents)
            except BaseException:
                await asyncio.shield(_remove(target.backend, contents.keys, but_for=former))
                raise
            await _remove(target.backend, former, but_for=contents.keys)
        assert contents.footer is not None
        return Restored(contents.footer, ended)

    async def _transaction(self, target: Target, options: Options, contents: Contents) -> Ended:
        async with target.db.engine.connect() as connection, alone(target.db, connection):
            if options.replace:
                await drop_all(connection)
            await upgrade_in(connection, target.migrations, self.header.revisions)
            await self._load(connection, target, contents)
            await upgrade_in(connection, target.migrations)
            async with AsyncSession(bind=connection, expire_on_commit=False, autoflush=False) as session:
                uow = UnitOfWork(session, target.db.clock, Wakeups())
                return await begin_epoch(uow, target.workspaces, target.logs, self.header, options.kept)

    async def _load(self, connection: AsyncConnection, target: Target, contents: Contents) -> None:
        versions = version_tables(target.migrations)
        tables = await connection.run_sync(lambda sync: tables_of(sync, versions))
        loader, storing = Loader(connection, tables, self.header.tables), Storing(target.backend)
        await loader.clear()
        try:
            async with aclosing(contents.records()) as records:
                async for each in records:
                    await self._take(each, loader, storing)
                    self._tell(contents)
            await storing.finish()
        finally:
            await storing.stop()
        loader.check()
        await loader.set_sequences()

    async def _take(self, each: Rows | ObjectBytes, loader: Loader, storing: Storing) -> None:
        if isinstance(each, Rows):
            await loader.insert(each)
        else:
            await storing.put(each)

    def _tell(self, contents: Contents) -> None:
        self._progress(self._archive.position, self._archive.size, contents.rows, contents.objects)

    def _check_keys(self, keyring: Keyring) -> None:
        given = {key_id: keyring.fingerprint(key_id) for key_id in keyring.given}
        missing = sorted(key_id for key_id in self.header.keys if key_id not in given)
        wrong = sorted(key_id for key_id, fingerprint in self.header.keys.items() if given.get(key_id, fingerprint) != fingerprint)
        where = keyring.provider.where
        if wrong:
            raise BackupError(f"the key {wrong[0]!r} given in {where} is not the key of that id that the archive needs: give the right one")
        if missing:
            raise BackupError(
                f"the archive needs the keys {', '.join(missing)}, which are not given in {where}: put them there, "
                "from the copy that is kept apart from the data"
            )

    def _check_plugins(self, migrations: Mapping[str, Migrations]) -> None:
        missing = sorted(owner for owner in self.header.revisions if owner != CORE and owner not in migrations)
        if missing:
            raise BackupError(f"the archive has tables of plugins that are not loaded here: {', '.join(missing)}. Install and enable them")

    async def _check_database(self, connection: AsyncConnection, *, replace: bool) -> None:
        if connection.dialect.name == "postgresql" and (others := (await connection.execute(_OTHERS)).scalar_one()):
            raise BackupError(f"{others} other connections use this database: stop every server and worker first")
        if not replace and await connection.run_sync(lambda sync: bool(inspect(sync).get_table_names())):
            raise BackupError("the database has tables already: choose an empty one, or put the archive in their place with --replace")


async def _keys(backend: StorageBackend) -> AsyncGenerator[str]:
    async for info in backend.list(""):
        yield info.key


async def _remove(backend: StorageBackend, keys: KeySet, *, but_for: KeySet) -> None:
    """Remove objects that belong to nobody; one that cannot be removed is left to `terrapod storage check`."""
    for page in keys.pages(PAGE):
        for key in page:
            if key not in but_for:
                with suppress(Exception):
                    await backend.delete(key)
