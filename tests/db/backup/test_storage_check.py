"""`terrapod storage check` tells what the store and the database do not agree on, and removes nothing that anybody may need."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
from sqlalchemy import Table, delete, insert, select, update
from sqlalchemy.orm import Mapped, mapped_column

from terrapod_core.db import Base
from terrapod_core.errors import Conflict
from terrapod_core.states.models import StateVersion
from terrapod_core.storage import ArchiveKind
from terrapod_core.storage.check import Gap, Orphan, StorageCheck
from terrapod_core.storage.discards import discard
from terrapod_core.storage.holds import held
from terrapod_core.storage.named import NAMED
from terrapod_core.testing import FakeClock
from tests.support.planted import Planted, pieces


def quiet(*_: Any) -> None:
    """No progress is shown."""


def looking(planted: Planted) -> StorageCheck:
    server = planted.terrapod
    return StorageCheck(server.db, server.storage_backend, server.objects, quiet)


async def found(planted: Planted, *, deep: bool = False) -> list[Orphan | Gap]:
    return [each async for each in looking(planted).run(deep=deep)]


async def state_of(planted: Planted) -> StateVersion:
    async with planted.terrapod.db.uow() as uow:
        return (await uow.session.execute(select(StateVersion))).scalar_one()


@pytest.fixture
async def orphan(planted: Planted, clock: FakeClock) -> Orphan:
    """An object nobody names, two days old, as is everything else."""
    key = "state-versions/sv-nobody/state.0"
    await planted.terrapod.storage_backend.write(key, pieces(b"four"))
    clock.advance(days=2)
    return Orphan(key, 4)


@pytest.mark.parametrize("deep", [False, True])
async def test_a_whole_installation_has_neither(planted: Planted, clock: FakeClock, deep: bool) -> None:
    clock.advance(days=2)
    check = looking(planted)
    assert [each async for each in check.run(deep=deep)] == []
    assert check.named == check.objects >= 6


async def test_an_old_object_that_nobody_names_is_an_orphan_and_a_young_one_is_not(planted: Planted, orphan: Orphan) -> None:
    await planted.terrapod.storage_backend.write("state-versions/sv-coming/state.0", pieces(b"an upload that goes on"))
    assert await found(planted) == [orphan]


async def test_what_is_to_be_removed_anyway_is_no_orphan(planted: Planted, orphan: Orphan) -> None:
    async with planted.terrapod.db.uow() as uow:
        discard(uow, [orphan.key])
        await uow.commit()
    assert await found(planted) == []


async def test_a_row_whose_object_is_missing_is_a_gap(planted: Planted) -> None:
    version = await state_of(planted)
    assert version.object_key is not None
    await planted.terrapod.storage_backend.delete(version.object_key)
    assert await found(planted) == [Gap("state_versions", version.id, "state", version.object_key, "missing")]


async def test_an_object_that_does_not_decrypt_is_a_gap_to_those_who_look_deep(planted: Planted) -> None:
    version = await state_of(planted)
    assert version.object_key is not None
    store = planted.terrapod.storage_backend
    content = b"".join([piece async for piece in store.read(version.object_key)])
    await store.write(version.object_key, pieces(bytes([content[0] ^ 1]) + content[1:]))
    assert await found(planted) == []
    (gap,) = await found(planted, deep=True)
    assert isinstance(gap, Gap)
    assert (gap.row_id, gap.kind) == (version.id, "state")
    assert "frame 0" in gap.problem


async def test_orphans_are_removed_and_nothing_else(planted: Planted, orphan: Orphan) -> None:
    before = {info.key async for info in planted.terrapod.storage_backend.list("")}
    assert await looking(planted).remove([orphan]) == 1
    assert before - {info.key async for info in planted.terrapod.storage_backend.list("")} == {orphan.key}
    assert await looking(planted).remove([orphan]) == 0


async def test_an_orphan_that_somebody_names_by_now_stays(planted: Planted, orphan: Orphan) -> None:
    version = await state_of(planted)
    async with planted.terrapod.db.uow() as uow:
        await uow.session.execute(update(StateVersion).where(StateVersion.id == version.id).values(json_object_key=orphan.key))
        await uow.commit()
    assert await looking(planted).remove([orphan]) == 0
    assert await planted.terrapod.objects.exists(orphan.key)


async def test_an_orphan_that_was_written_anew_stays(planted: Planted, orphan: Orphan) -> None:
    await planted.terrapod.storage_backend.write(orphan.key, pieces(b"again"))
    assert await looking(planted).remove([orphan]) == 0


async def test_nothing_is_removed_while_a_backup_runs(planted: Planted, orphan: Orphan) -> None:
    async with held(planted.terrapod.db, quiet):
        with pytest.raises(Conflict, match="a backup is being made"):
            await looking(planted).remove([orphan])
    assert await planted.terrapod.objects.exists(orphan.key)


@pytest.fixture
async def shelf(planted: Planted, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[type[Base]]:
    """A table of a room that keeps plain archives, with a row and its archive."""
    db, store = planted.terrapod.db, planted.terrapod.storage_backend
    monkeypatch.setattr(NAMED, "_known", list(NAMED))

    class Shelved(Base):
        __tablename__ = "shelved_for_this_test"

        id: Mapped[str] = mapped_column(primary_key=True)
        archive_key: Mapped[str | None]

    table = cast("Table", Shelved.__table__)
    NAMED.add_plain(ArchiveKind.PROVIDER, Shelved, "archive_key")
    stored = await planted.terrapod.archives.put(ArchiveKind.PROVIDER, "prv-1", pieces(b"a provider"), limit=None)
    async with db.uow() as uow:
        await (await uow.session.connection()).run_sync(table.create)
        await uow.session.execute(insert(Shelved).values(id="prv-1", archive_key=stored.key))
        await uow.commit()
    assert b"".join([piece async for piece in store.read(stored.key)]) == b"a provider"
    yield Shelved
    Base.metadata.remove(table)
    Base.registry._dispose_cls(Shelved)


@pytest.mark.parametrize("deep", [False, True])
async def test_a_plain_archive_that_a_row_names_is_in_order(planted: Planted, clock: FakeClock, shelf: type[Base], deep: bool) -> None:
    clock.advance(days=2)
    assert await found(planted, deep=deep) == []


async def test_a_plain_archive_that_no_row_names_any_more_is_an_orphan(planted: Planted, clock: FakeClock, shelf: type[Base]) -> None:
    clock.advance(days=2)
    async with planted.terrapod.db.uow() as uow:
        await uow.session.execute(delete(shelf))
        await uow.commit()
    (orphan,) = await found(planted)
    assert isinstance(orphan, Orphan)
    assert (orphan.key.split(".")[0], orphan.size) == ("archives/providers/prv-1", 10)


@pytest.mark.parametrize("deep", [False, True])
async def test_a_plain_archive_that_is_missing_is_a_gap(planted: Planted, shelf: type[Base], deep: bool) -> None:
    store = planted.terrapod.storage_backend
    (key,) = [info.key async for info in store.list("archives/")]
    await store.delete(key)
    assert await found(planted, deep=deep) == [Gap("shelved_for_this_test", "prv-1", "providers", key, "missing")]


async def test_a_rotation_leaves_plain_archives_alone(planted: Planted, shelf: type[Base]) -> None:
    terrapod = planted.terrapod
    assert "providers" not in await terrapod.rotation.total()
    done = await terrapod.rotation.run(quiet)
    assert done.unreadable == {}
    assert not [what for key in (await terrapod.key_uses.standing()).keys for what in key.stored if "providers" in what]
