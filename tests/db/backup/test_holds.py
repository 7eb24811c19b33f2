"""While a backup runs nothing that it may need is removed; afterwards, and when it has died, everything is."""

from __future__ import annotations

import pytest

from terrapod_core.errors import Conflict
from terrapod_core.storage.discards import discard, remove_discarded, remove_unnamed
from terrapod_core.storage.holds import HOLD, Hold, held
from terrapod_core.testing import FakeClock
from tests.support.planted import Planted, pieces


async def keys(planted: Planted) -> set[str]:
    return {info.key async for info in planted.terrapod.storage_backend.list("gone/")}


async def discarded(planted: Planted, key: str) -> None:
    await planted.terrapod.storage_backend.write(key, pieces(b"x"))
    async with planted.terrapod.db.uow() as uow:
        discard(uow, [key])
        await uow.commit()


def quiet(*_: object) -> None:
    """Nothing is written down."""


async def test_what_was_let_go_of_stays_while_a_backup_runs(planted: Planted) -> None:
    server = planted.terrapod
    await server.storage_backend.write("gone/b", pieces(b"x"))
    async with held(server.db, quiet):
        await discarded(planted, "gone/a")
        await remove_discarded(server.db, server.objects)
        await remove_unnamed(server.db, server.objects, ["gone/a", "gone/b"])
        assert await keys(planted) == {"gone/a", "gone/b"}
    await remove_discarded(server.db, server.objects)
    assert await keys(planted) == set()


async def test_a_backup_that_died_holds_nothing_for_long(planted: Planted, clock: FakeClock) -> None:
    server = planted.terrapod
    dead = Hold(server.db)
    await dead.take(quiet)
    await discarded(planted, "gone/a")
    await remove_discarded(server.db, server.objects)
    assert await keys(planted) == {"gone/a"}
    clock.advance(seconds=HOLD.total_seconds())
    await remove_discarded(server.db, server.objects)
    assert await keys(planted) == set()
    with pytest.raises(Conflict, match="start it again"):
        dead.check()
    await dead.renew()
    with pytest.raises(Conflict):
        dead.check()


async def test_a_backup_that_lives_holds_on(planted: Planted, clock: FakeClock) -> None:
    hold = Hold(planted.terrapod.db)
    await hold.take(quiet)
    for _ in range(3):
        clock.advance(seconds=HOLD.total_seconds() - 1)
        await hold.renew()
        hold.check()
    await hold.release()
    await discarded(planted, "gone/a")
    await remove_discarded(planted.terrapod.db, planted.terrapod.objects)
    assert await keys(planted) == set()
