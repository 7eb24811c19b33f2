"""Deaths at chosen moments: before or after any commit, and before or after any removal from the store."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from terrapod_core.db import Database, UnitOfWork
from terrapod_core.storage.discards import DiscardedObject
from terrapod_core.storage.named import NAMED
from terrapod_core.testing import MemoryStorage


class Killed(BaseException):
    """What a process that is killed would not live to see."""


class Deaths:
    """Counts the moments, and dies at one of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._left = 0
        for owner, name in ((UnitOfWork, "commit"), (MemoryStorage, "delete")):
            monkeypatch.setattr(owner, name, self._deadly(getattr(owner, name)))

    def _deadly(self, original: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def deadly(*arguments: Any) -> Any:
            self._moment()
            result = await original(*arguments)
            self._moment()
            return result

        return deadly

    def _moment(self) -> None:
        self._left -= 1
        if self._left == 0:
            raise Killed

    async def everywhere(self, work: Callable[[], Awaitable[None]], check: Callable[[], Awaitable[None]]) -> int:
        """Do the work, dying one moment later each time, and check after each death, until it is done; how often it died."""
        moment = 0
        while True:
            moment += 1
            self._left = moment
            try:
                await work()
            except Killed:
                self._left = 0
                await check()
            else:
                self._left = 0
                await check()
                return moment - 1


async def check_store(db: Database, storage: MemoryStorage) -> None:
    """No row names an object that is not there, and no object is there that nobody will ever remove."""

    def look(session: Session) -> tuple[set[str], set[str]]:
        named = {key for each in NAMED for _, key in each.batch(session, "", 10_000)}
        return named, set(session.execute(select(DiscardedObject.key)).scalars())

    named, discarded = await db.read(look)
    assert named <= set(storage.objects)
    assert set(storage.objects) <= named | discarded
