"""Everything that is stored, moved on to the newest key, while the servers run.

Nothing here has to be done at once or to its end: what is done stays done, and the next rotation goes on where this one was.
A value is written only where it still is what was read, and an object only replaced by one that reads the same.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from terrapod_core.db import Database
from terrapod_core.errors import NotFound
from terrapod_core.secrets import SEALED, Keyring, SecretUnreadable
from terrapod_core.secrets.resealing import Moved, move_on
from terrapod_core.storage.claims import Claim, Claims
from terrapod_core.storage.discards import remove_unnamed
from terrapod_core.storage.key_uses import batches, keys_of
from terrapod_core.storage.named import NAMED, NamedSealed
from terrapod_core.storage.objects import Objects

BATCH: Final = 50
READERS: Final = timedelta(seconds=30)
"""How long an object stays that no row names any more: a request may have read its name and not yet begun to read it."""

Progress = Callable[[str, int], None]
"""Told what is being gone through, and how much more of it is done."""


@dataclass
class Rotated:
    """What a rotation did."""

    values: int = 0
    objects: int = 0
    unreadable: dict[str, int] = field(default_factory=dict)
    """What could not be read, and was left as it is, by column or kind."""

    def note(self, what: str, unreadable: int) -> None:
        """Add to what could not be read."""
        if unreadable:
            self.unreadable[what] = self.unreadable.get(what, 0) + unreadable


class Rotation:
    """Moves stored secrets on to the newest key."""

    def __init__(
        self, db: Database, keyring: Keyring, objects: Objects, *, pause: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._db = db
        self._keyring = keyring
        self._objects = objects
        self._claims = Claims(objects)
        self._pause = pause

    async def total(self) -> dict[str, int]:
        """How many objects of each kind there are to look at; for whoever shows progress."""
        return {each.kind.value: await self._db.read(lambda session, each=each: each.count(session)) for each in NAMED.sealed()}  # type: ignore[misc]

    async def run(self, progress: Progress, *, data: bool = False) -> Rotated:
        """Seal every column anew and wrap every data key anew that is not under the newest key.

        With `data`, encrypt every object anew, under a data key of its own that nobody ever had; those whose rows never
        change (archives of the audit log) keep their data key.
        """
        done = Rotated()
        for column in SEALED:
            moved: Moved = await move_on(self._db, self._keyring, column, lambda more, name=column.name: progress(name, more))  # type: ignore[misc]
            done.values += moved.changed
            done.note(column.name, moved.unreadable)
        for named in NAMED.sealed():
            anew = data and named.renamable
            await (self._encrypt_anew(named, progress, done) if anew else self._rewrap(named, progress, done))
        return done

    async def _rewrap(self, named: NamedSealed, progress: Progress, done: Rotated) -> None:
        async for batch in batches(self._db, named, BATCH):
            keys = await keys_of(self._objects, [key for _, key in batch])
            due = [each for each, key_id in zip(batch, keys, strict=True) if key_id != self._keyring.newest]
            written = []
            for object_id, key in due:
                try:
                    await self._objects.rewrap(named.kind, object_id, key)
                    written.append((object_id, key))
                except NotFound:
                    continue  # deleted meanwhile
                except SecretUnreadable:
                    done.note(named.kind.value, 1)
            await self._drop_unnamed(named, written)
            done.objects += len(written)
            progress(named.kind.value, len(batch))

    async def _drop_unnamed(self, named: NamedSealed, written: list[tuple[str, str]]) -> None:
        """An object that was deleted just before it was replaced must not live on."""
        still = await self._db.read(lambda session: named.still(session, written))
        await remove_unnamed(self._db, self._objects, [key for object_id, key in written if (object_id, key) not in still])

    async def _encrypt_anew(self, named: NamedSealed, progress: Progress, done: Rotated) -> None:
        """Store each object a second time and let its row name that one: what reads the former goes on reading it."""
        replaced: deque[tuple[datetime, str]] = deque()
        async for batch in batches(self._db, named, BATCH):
            for object_id, key in batch:
                try:
                    if await self._copy(named, object_id, key):
                        replaced.append((self._db.clock.now(), key))
                        done.objects += 1
                except NotFound:
                    continue  # deleted meanwhile
                except SecretUnreadable:
                    done.note(named.kind.value, 1)
            await self._delete(replaced, until=self._db.clock.now() - READERS)
            progress(named.kind.value, len(batch))
        if replaced:
            await self._pause(READERS.total_seconds())
            await self._delete(replaced, until=replaced[-1][0])

    async def _copy(self, named: NamedSealed, object_id: str, key: str) -> bool:
        """Store an object once more and let its row name the copy; `False` when the row came to name another one meanwhile."""
        stored = await self._objects.put(named.kind, object_id, self._objects.get(named.kind, object_id, key), limit=None)

        async def rename(claim: Claim) -> bool:
            async with self._db.uow() as uow:
                renamed, *others = named.rename(object_id, key, stored.key)
                result: Any = await uow.session.execute(renamed)
                if result.rowcount:
                    for each in others:
                        await uow.session.execute(each)
                    claim.make()
                    await uow.commit()
                return bool(result.rowcount)

        return await self._claims.settle(stored, rename)

    async def _delete(self, replaced: deque[tuple[datetime, str]], until: datetime) -> None:
        """Delete what was replaced at this moment or before."""
        while replaced and replaced[0][0] <= until:
            await remove_unnamed(self._db, self._objects, [replaced[0][1]])
            replaced.popleft()
