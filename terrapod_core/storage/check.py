"""Whether store and database agree: objects that no row names, and rows whose object is missing or cannot be read.

Both change while they are looked at. So whatever seems wrong is looked at once more by itself before it is told, and an object counts
as nobody's only when it is old: an upload is stored first and named after.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from terrapod_core.db import Database
from terrapod_core.errors import Conflict, NotFound
from terrapod_core.plugin import ObjectMissing, StorageBackend
from terrapod_core.secrets import SecretUnreadable
from terrapod_core.storage.archives import Archives
from terrapod_core.storage.discards import DiscardedObject
from terrapod_core.storage.holds import is_held
from terrapod_core.storage.key_sets import KeySet
from terrapod_core.storage.key_uses import batches
from terrapod_core.storage.named import NAMED, Named, NamedSealed
from terrapod_core.storage.objects import Objects

GRACE: Final = timedelta(days=1)
BATCH: Final = 500
READ_AT_ONCE: Final = 4

Progress = Callable[[str, int], None]
"""Told what is gone through, and how many more of it are done."""


@dataclass(frozen=True)
class Orphan:
    """An object that no row names."""

    key: str
    size: int
    """In bytes, as it is stored."""


@dataclass(frozen=True)
class Gap:
    """A row whose object is not there, or is not what it should be."""

    table: str
    row_id: str
    kind: str
    key: str
    problem: str


Finding = Orphan | Gap


class StorageCheck:
    """Looks through everything; memory does not grow with it."""

    def __init__(self, db: Database, backend: StorageBackend, objects: Objects, progress: Progress, *, grace: timedelta = GRACE) -> None:
        self._db = db
        self._backend = backend
        self._objects = objects
        self._archives = Archives(backend, links=False)
        self._progress = progress
        self._grace = grace
        self.objects = 0
        """Objects in the store."""
        self.named = 0
        """Rows that name one."""

    async def run(self, *, deep: bool = False) -> AsyncGenerator[Finding]:
        """Orphans and gaps as they are found. With `deep` every object is read whole, and decrypted if it is encrypted."""
        with KeySet() as stored, KeySet() as old:
            await self._list(stored, old)
            for named in NAMED:
                async with aclosing(self._gaps(named, stored, old, deep=deep)) as gaps:
                    async for gap in gaps:
                        yield gap
            await self._leave_out_discarded(old)
            for page in old.pages(BATCH):
                for key in await self._unnamed(page):
                    orphan = await self._orphan(key)
                    if orphan is not None:
                        yield orphan

    async def remove(self, orphans: Sequence[Orphan]) -> int:
        """Remove orphans that still are some; how many. Raises `Conflict` while a backup runs."""
        removed = 0
        for at in range(0, len(orphans), BATCH):
            page = [orphan.key for orphan in orphans[at : at + BATCH]]
            unnamed = await self._unnamed(page)
            if await self._db.read(lambda session: is_held(session, self._db.clock.now())):
                raise Conflict("a backup is being made, which may need what is to be removed: try again when it has ended")
            for key in unnamed:
                if await self._orphan(key) is not None:
                    await self._backend.delete(key)
                    removed += 1
        return removed

    async def _list(self, stored: KeySet, old: KeySet) -> None:
        limit = self._db.clock.now() - self._grace
        page: list[str] = []
        aged: list[str] = []
        async for info in self._backend.list(""):
            self.objects += 1
            page.append(info.key)
            if info.modified <= limit:
                aged.append(info.key)
            if len(page) == BATCH:
                stored.add(page)
                old.add(aged)
                self._progress("objects", len(page))
                page, aged = [], []
        stored.add(page)
        old.add(aged)
        self._progress("objects", len(page))

    async def _gaps(self, named: Named, stored: KeySet, old: KeySet, *, deep: bool) -> AsyncGenerator[Gap]:
        async for batch in batches(self._db, named, BATCH):
            self.named += len(batch)
            suspects = [each for each in batch if deep or each[1] not in stored]
            for _, key in batch:
                old.discard(key)
            found = await self._problems(named, suspects, deep=deep)
            still = await self._db.read(lambda session, found=found: named.still(session, list(found)))  # type: ignore[misc]
            for (row_id, key), problem in found.items():
                if (row_id, key) in still:
                    yield Gap(named.table.name, row_id, named.kind.value, key, problem)
            self._progress("rows", len(batch))

    async def _problems(self, named: Named, suspects: list[tuple[str, str]], *, deep: bool) -> dict[tuple[str, str], str]:
        room = asyncio.Semaphore(READ_AT_ONCE)

        async def look(row_id: str, key: str) -> str | None:
            async with room:
                return await (self._read(named, row_id, key) if deep else self._there(key))

        problems = await asyncio.gather(*(look(row_id, key) for row_id, key in suspects))
        return {each: problem for each, problem in zip(suspects, problems, strict=True) if problem is not None}

    async def _there(self, key: str) -> str | None:
        return None if await self._objects.exists(key) else "missing"

    async def _read(self, named: Named, row_id: str, key: str) -> str | None:
        try:
            async with aclosing(self._content(named, row_id, key)) as chunks:
                async for _ in chunks:
                    pass
        except NotFound:
            return "missing"
        except SecretUnreadable as error:
            return error.detail
        return None

    def _content(self, named: Named, row_id: str, key: str) -> AsyncGenerator[bytes]:
        return self._objects.get(named.kind, row_id, key) if isinstance(named, NamedSealed) else self._archives.read(key)

    async def _leave_out_discarded(self, old: KeySet) -> None:
        """What is to be removed anyway is nobody's in order."""
        after = ""
        while True:
            query = select(DiscardedObject.key).where(DiscardedObject.key > after).order_by(DiscardedObject.key).limit(BATCH)
            keys = await self._db.read(lambda session, query=query: list(session.execute(query).scalars()))  # type: ignore[misc]
            if not keys:
                return
            for key in keys:
                old.discard(key)
            after = keys[-1]

    async def _unnamed(self, keys: list[str]) -> list[str]:
        """Those that no row names at this moment, whichever row it might be."""

        def look(session: Session) -> set[str | None]:
            found = {key for named in NAMED for key in session.execute(select(named.keys).where(named.keys.in_(keys))).scalars()}
            return found | set(session.execute(select(DiscardedObject.key).where(DiscardedObject.key.in_(keys))).scalars())

        found = await self._db.read(look)
        return [key for key in keys if key not in found]

    async def _orphan(self, key: str) -> Orphan | None:
        """The object, if it is still there and has not been written anew."""
        try:
            info = await self._backend.info(key)
        except ObjectMissing:
            return None
        return Orphan(key, info.size) if info.modified <= self._db.clock.now() - self._grace else None
