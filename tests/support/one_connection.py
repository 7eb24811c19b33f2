"""A guard: who holds a connection of the database asks for no other.

Enough requests that do so at once hold all connections of the pool, and each waits for one that none gives back. Every test
that runs the application in its own process runs under it. A test itself may hold one and look with another: it plays several people.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from typing import Any

import pytest

from terrapod_core.db import Database, UnitOfWork
from tests.support import ROOT

TESTS = str(ROOT / "tests")


class SecondConnection(AssertionError):
    """A task that holds a connection asked for another one."""


@contextmanager
def one_connection_each() -> Iterator[None]:
    """Within: a task that is in a unit of work and reads, looks up or begins another one raises `SecondConnection`."""
    holding: set[tuple[asyncio.Task[Any] | None, Database]] = set()
    uow, read, look_up = Database.uow, Database.read, Database.look_up

    def check(db: Database, what: str) -> None:
        if (asyncio.current_task(), db) in holding:
            raise SecondConnection(f"a unit of work is open in this task, and it asks for a second connection: {what}")

    @asynccontextmanager
    async def held(db: Database, *, for_a_test: bool) -> AsyncIterator[UnitOfWork]:
        mine = (asyncio.current_task(), db)
        async with uow(db) as opened:
            if not for_a_test:
                holding.add(mine)
            try:
                yield opened
            finally:
                holding.discard(mine)

    def guarded_uow(self: Database) -> AbstractAsyncContextManager[UnitOfWork]:
        check(self, "uow")
        return held(self, for_a_test=sys._getframe(1).f_code.co_filename.startswith(TESTS))

    def guarded(method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def asked(self: Database, *arguments: Any, **values: Any) -> Any:
            check(self, method.__name__)
            return await method(self, *arguments, **values)

        return asked

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Database, "uow", guarded_uow)
        patch.setattr(Database, "read", guarded(read))
        patch.setattr(Database, "look_up", guarded(look_up))
        yield
