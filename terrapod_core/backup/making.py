"""Making an archive while servers go on.

The hold comes first (`storage.holds`), then one view of the database, then the objects its rows name. An object is written before
its row and outlives it, so every object that the view names is there, unless it was lost before.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from terrapod_core import __version__
from terrapod_core.audit import record
from terrapod_core.authz import SYSTEM
from terrapod_core.backup.files import whole_file
from terrapod_core.backup.locks import Locking
from terrapod_core.backup.objects import MISSING_NAMED, read_all
from terrapod_core.backup.problems import BackupError
from terrapod_core.backup.records import FORMAT, Footer, Header, RecordWriter
from terrapod_core.backup.sealing import Sealing
from terrapod_core.backup.tables import described, dump, tables_of
from terrapod_core.db import Database, UnitOfWork
from terrapod_core.db.migrate import states_in, version_tables
from terrapod_core.db.snapshot import snapshot
from terrapod_core.plugin import StorageBackend
from terrapod_core.plugin.migrations import Migrations
from terrapod_core.secrets import Keyring
from terrapod_core.secrets.models import Instance
from terrapod_core.secrets.watch import KeyWatch
from terrapod_core.storage.holds import Hold, held
from terrapod_core.storage.key_sets import KeySet
from terrapod_core.storage.named import NAMED

PAGE: Final = 5000

Progress = Callable[[str, int, int, int], None]
"""Told of what (`rows`, `objects`), how many are done, of how many, and how many bytes the archive has."""


@dataclass(frozen=True)
class Source:
    """What is backed up."""

    db: Database
    backend: StorageBackend
    keyring: Keyring
    watch: KeyWatch
    migrations: Mapping[str, Migrations]


@dataclass(frozen=True)
class Made:
    """An archive that was written."""

    header: Header
    footer: Footer
    size: int
    """In bytes."""


async def make_backup(source: Source, path: Path, lock: Locking, progress: Progress, *, with_keys: bool = False) -> Made:
    """Write an archive and give it its name when it is whole and on disk.

    Raises `BackupError`, `Conflict` when the hold lapsed, and `OSError` when the file cannot be written; the file is not there then.
    """

    def note(uow: UnitOfWork, backup_id: str) -> None:
        record(uow, SYSTEM, "backup.create", "backups", backup_id, keys=with_keys)

    async with held(source.db, note) as hold:
        file = whole_file(path)
        output = await asyncio.to_thread(file.__enter__)
        try:
            sealing = await asyncio.to_thread(Sealing, output, lock)
            made = await _Making(source, hold, sealing, progress).make(with_keys=with_keys)
        except BaseException as error:
            await asyncio.to_thread(file.__exit__, type(error), error, error.__traceback__)
            raise
        await asyncio.to_thread(file.__exit__, None, None, None)
    return made


class _Making:
    """One archive."""

    def __init__(self, source: Source, hold: Hold, sealing: Sealing, progress: Progress) -> None:
        self._source = source
        self._hold = hold
        self._sealing = sealing
        self._writer = RecordWriter(sealing)
        self._progress = progress
        self._rows = 0

    async def make(self, *, with_keys: bool) -> Made:
        keys = {key_id: self._source.keyring.fingerprint(key_id) for key_id in self._source.keyring.given}
        with KeySet() as objects:
            async with snapshot(self._source.db) as connection:
                header = await self._header(connection, objects, keys, with_keys=with_keys)
                await self._write_rows(connection, header)
            footer = await self._write_objects(objects)
        await self._source.watch.look()
        if set(self._source.keyring.given) != set(keys):
            raise BackupError("the keys were changed while the backup ran: start it again")
        await asyncio.to_thread(self._end, footer)
        return Made(header, footer, self._sealing.size)

    async def _header(self, connection: AsyncConnection, objects: KeySet, keys: dict[str, str], *, with_keys: bool) -> Header:
        source = self._source
        await self._collect(connection, objects)
        versions = version_tables(source.migrations)
        self._tables = await connection.run_sync(lambda sync: tables_of(sync, versions))
        header = Header(
            format=FORMAT,
            made_at=source.db.clock.now(),
            version=__version__,
            instance=(await connection.execute(select(Instance.name))).scalar_one(),
            database=connection.dialect.name,
            storage=source.backend.name,
            revisions={state.owner: state.current for state in await states_in(connection, source.migrations)},
            keys=keys,
            tables=await described(connection, self._tables),
            objects=len(objects),
            key_text=await asyncio.to_thread(self._key_text) if with_keys else None,
        )
        await asyncio.to_thread(self._writer.write, header)
        return header

    def _key_text(self) -> str:
        keys = self._source.keyring.provider.keys()
        return "".join(f"{key.id}:{base64.b64encode(key.secret).decode()}\n" for key in keys)

    async def _collect(self, connection: AsyncConnection, objects: KeySet) -> None:
        for named in NAMED:
            if not named.backed_up:
                continue
            query = select(named.keys).where(named.keys.is_not(None)).execution_options(yield_per=PAGE)
            async with connection.stream(query) as result:
                async for page in result.scalars().partitions():
                    await asyncio.to_thread(objects.add, [key for key in page if key is not None])

    async def _write_rows(self, connection: AsyncConnection, header: Header) -> None:
        total = sum(table.rows for table in header.tables)
        for number, table in enumerate(self._tables):
            async for rows in dump(connection, number, table):
                await asyncio.to_thread(self._writer.write, rows)
                self._rows += len(rows.rows)
                self._hold.check()
                self._progress("rows", self._rows, total, self._sealing.size)

    async def _write_objects(self, objects: KeySet) -> Footer:
        total, done, size = len(objects), 0, 0
        missing: list[str] = []
        missing_count = 0
        async with aclosing(read_all(self._source.backend, objects.pages())) as pieces:
            async for key, batch in pieces:
                if batch is None:
                    missing_count += 1
                    missing = [*missing, key][:MISSING_NAMED]
                else:
                    await asyncio.to_thread(self._writer.write, batch)
                    size += len(batch.data)
                done += batch is None or not batch.more
                self._hold.check()
                self._progress("objects", done, total, self._sealing.size)
        return Footer(self._rows, total - missing_count, size, missing, missing_count)

    def _end(self, footer: Footer) -> None:
        self._writer.write(footer)
        self._sealing.finish()
