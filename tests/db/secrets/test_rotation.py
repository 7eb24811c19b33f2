"""Everything that is stored moves on to a new key, and what others do meanwhile stays done."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import select, update

from terrapod_core.app import Terrapod
from terrapod_core.errors import NotFound, Unavailable
from terrapod_core.secrets import SEALED, SecretUnreadable
from terrapod_core.secrets.resealing import move_on
from terrapod_core.storage import ObjectKind
from terrapod_core.storage.rotation import Rotation
from terrapod_core.testing import FakeClock, MemoryKeys, MemoryStorage
from terrapod_core.testing.keys import key_text
from terrapod_core.variables.models import Variable
from tests.db.secrets.conftest import Serve
from tests.support.planted import Planted


@pytest.fixture
async def planted(serve: Serve, keys: MemoryKeys) -> Planted:
    planted = Planted(serve(keys))
    await planted.plant()
    return planted


async def with_new_key(planted: Planted, keys: MemoryKeys, clock: FakeClock) -> Terrapod:
    keys.text = key_text("the-second-key", "k1")  # a longer id: objects change their size
    await planted.terrapod.key_watch.look()
    clock.advance(minutes=1)
    await planted.terrapod.key_watch.look()
    assert planted.terrapod.keyring.newest == "the-second-key"
    return planted.terrapod


def quiet(what: str, more: int) -> None:
    """No progress is shown."""


async def needs(terrapod: Terrapod, key_id: str) -> dict[str, int]:
    standing = await terrapod.key_uses.standing()
    return next((key.stored for key in standing.keys if key.key_id == key_id), {})


@pytest.mark.parametrize("data", [False, True])
async def test_after_a_rotation_the_old_key_is_needed_by_nothing_stored(
    planted: Planted, keys: MemoryKeys, clock: FakeClock, serve: Serve, data: bool
) -> None:
    server = await with_new_key(planted, keys, clock)
    before = await needs(server, "k1")
    assert sum(before.values()) >= 13
    rotation = Rotation(server.db, server.keyring, server.objects, pause=lambda seconds: asyncio.sleep(0))
    done = await rotation.run(quiet, data=data)
    assert (done.values + done.objects, done.unreadable) == (sum(before.values()), {})
    assert await needs(server, "k1") == {}
    assert await needs(server, "the-second-key") == before
    assert all((await planted.found()).values())
    alone = serve(MemoryKeys(key_text("the-second-key")))
    await alone.key_watch.check()
    assert all((await planted.found(alone)).values())


async def test_former_objects_are_deleted_on_the_way_once_no_reader_can_want_them(
    planted: Planted, keys: MemoryKeys, clock: FakeClock, store: MemoryStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = await with_new_key(planted, keys, clock)
    monkeypatch.setattr("terrapod_core.storage.rotation.BATCH", 1)
    before, most, waited = len(store.objects), 0, list[float]()

    def passed(what: str, more: int) -> None:
        nonlocal most
        most = max(most, len(store.objects))
        clock.advance(seconds=31)

    async def pause(seconds: float) -> None:
        waited.append(seconds)

    await Rotation(server.db, server.keyring, server.objects, pause=pause).run(passed, data=True)
    assert before > 3
    assert (most, len(store.objects)) == (before + 1, before), "the store never held all of it twice"
    assert all((await planted.found()).values())
    assert set(waited) == {30.0}


async def test_a_copy_that_no_row_came_to_name_is_removed(
    planted: Planted, keys: MemoryKeys, clock: FakeClock, store: MemoryStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = await with_new_key(planted, keys, clock)
    before = set(store.objects)

    def broken(*names: str) -> None:
        raise ConnectionError("the database is away")

    monkeypatch.setattr("terrapod_core.storage.named.Named.rename", broken)
    with pytest.raises(Unavailable):
        await server.rotation.run(quiet, data=True)
    assert set(store.objects) == before


async def test_rotating_again_finds_nothing_to_do(planted: Planted, keys: MemoryKeys, clock: FakeClock) -> None:
    server = await with_new_key(planted, keys, clock)
    await server.rotation.run(quiet)
    done = await server.rotation.run(quiet)
    assert (done.values, done.objects) == (0, 0)


async def test_one_that_was_interrupted_goes_on(planted: Planted, keys: MemoryKeys, clock: FakeClock) -> None:
    server = await with_new_key(planted, keys, clock)
    total = sum((await needs(server, "k1")).values())

    def interrupted(what: str, more: int) -> None:
        if what == ObjectKind.LOG:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await server.rotation.run(interrupted)
    left = sum((await needs(server, "k1")).values())
    assert 0 < left < total
    done = await server.rotation.run(quiet)
    assert done.values + done.objects == left
    assert all((await planted.found()).values())


async def test_a_value_that_changes_meanwhile_is_not_overwritten(planted: Planted, keys: MemoryKeys, clock: FakeClock) -> None:
    server = await with_new_key(planted, keys, clock)
    column = next(each for each in SEALED if each.name == "variables.value")
    (first, *_) = await server.db.read(lambda session: session.execute(select(Variable)).scalars().all())
    theirs = server.keyring.seal(b"changed meanwhile", column="variables.value", row=first.id)
    real = server.keyring.open

    class Racing:
        """A keyring during whose work somebody else writes, on another connection."""

        newest = server.keyring.newest
        seal = staticmethod(server.keyring.seal)

        def open(self, sealed: bytes, *, column: str, row: str) -> bytes:
            if row == first.id:
                asyncio.run_coroutine_threadsafe(write(), loop).result(20)
            return real(sealed, column=column, row=row)

    async def write() -> None:
        async with server.db.uow() as uow:
            await uow.session.execute(update(Variable).where(Variable.id == first.id).values(value_sealed=theirs))
            await uow.commit()

    loop = asyncio.get_running_loop()
    moved = await move_on(server.db, Racing(), column, lambda more: None)  # type: ignore[arg-type]
    assert (moved.changed, moved.passed) == (1, 1)
    stored = await server.db.read(lambda session: session.get_one(Variable, first.id))
    assert stored.value_sealed == theirs


async def test_a_damaged_value_is_told_and_left_and_the_rest_moves_on(planted: Planted, keys: MemoryKeys, clock: FakeClock) -> None:
    server = await with_new_key(planted, keys, clock)
    (first, *_) = await server.db.read(lambda session: session.execute(select(Variable)).scalars().all())
    async with server.db.uow() as uow:
        await uow.session.execute(update(Variable).where(Variable.id == first.id).values(value_sealed=first.value_sealed[:-1] + b"?"))
        await uow.commit()
    done = await server.rotation.run(quiet)
    assert done.unreadable == {"variables.value": 1}
    assert await needs(server, "k1") == {"values of variables.value": 1}


async def test_swapped_ciphertexts_of_two_rows_are_refused_before_and_after_a_rotation(
    planted: Planted, keys: MemoryKeys, clock: FakeClock
) -> None:
    server = await with_new_key(planted, keys, clock)
    for _ in range(2):
        one, two = await server.db.read(lambda session: session.execute(select(Variable)).scalars().all())
        with pytest.raises(SecretUnreadable):
            server.keyring.open(one.value_sealed, column="variables.value", row=two.id)
        with pytest.raises(SecretUnreadable):
            server.keyring.open(one.value_sealed, column="state_version_outputs.value", row=one.id)
        await server.rotation.run(quiet)


async def test_a_truncated_object_is_refused_and_no_rotation_makes_it_whole(
    planted: Planted, keys: MemoryKeys, clock: FakeClock, store: MemoryStorage
) -> None:
    server = await with_new_key(planted, keys, clock)
    key = next(key for key in store.objects if key.startswith("logs/"))
    cut = store.objects[key] = store.objects[key][:-1]
    done = await server.rotation.run(quiet)
    assert done.unreadable == {"log": 1}
    assert store.objects[key] == cut


async def test_an_object_that_is_deleted_meanwhile_does_not_come_back(
    planted: Planted, keys: MemoryKeys, clock: FakeClock, store: MemoryStorage
) -> None:
    server = await with_new_key(planted, keys, clock)
    key = next(key for key in store.objects if key.startswith("logs/"))
    real = store.write

    async def write(written: str, chunks: object) -> object:
        info = await real(written, chunks)  # type: ignore[arg-type]
        if written == key:
            async with server.db.uow() as uow:
                phases = next(each for each in SEALED if each.name == "log_chunks.data").table.metadata.tables["phases"]
                await uow.session.execute(update(phases).where(phases.c.log_key == key).values(log_key=None))
                await uow.commit()
        return info

    store.write = write  # type: ignore[assignment, method-assign]
    await server.rotation.run(quiet)
    assert key not in store.objects


async def test_a_reader_in_the_middle_of_an_object_is_not_disturbed(
    planted: Planted, keys: MemoryKeys, clock: FakeClock, store: MemoryStorage
) -> None:
    server = await with_new_key(planted, keys, clock)
    key = next(key for key in store.objects if key.startswith("state-versions/") and "/state." in key)
    object_id = key.split("/")[1]
    real, replaced = store.read, False

    async def read(asked: str, start: int = 0, end: int | None = None):  # type: ignore[no-untyped-def]  # noqa: ANN202
        nonlocal replaced
        if asked == key and not replaced:
            replaced = True  # between the look at the size and the first read
            await server.objects.rewrap(ObjectKind.STATE, object_id, key)
        async for chunk in real(asked, start, end):
            yield chunk

    store.read = read  # type: ignore[method-assign, assignment]
    text = b"".join([chunk async for chunk in server.objects.get(ObjectKind.STATE, object_id, key)])
    assert replaced
    assert planted.secrets["state"].encode() in text
    assert await server.objects.key_id(key) == "the-second-key"


async def test_rewrapping_leaves_the_encrypted_bytes_as_they_are(
    planted: Planted, keys: MemoryKeys, clock: FakeClock, store: MemoryStorage
) -> None:
    server = await with_new_key(planted, keys, clock)
    key = next(key for key in store.objects if "/state." in key)
    before = store.objects[key]
    await server.objects.rewrap(ObjectKind.STATE, key.split("/")[1], key)
    after = store.objects[key]
    assert len(after) - len(before) == len("the-second-key") - len("k1")
    assert after.startswith(before[: len(before) - 256])
    with pytest.raises(SecretUnreadable):
        await server.objects.rewrap(ObjectKind.STATE, "another-id", key)
    with pytest.raises(NotFound):
        await server.objects.rewrap(ObjectKind.STATE, "sv-1", "state-versions/sv-1/state.gone")


async def test_tokens_and_sessions_move_on_when_they_are_used(planted: Planted, keys: MemoryKeys, clock: FakeClock) -> None:
    server = await with_new_key(planted, keys, clock)
    standing = await server.key_uses.standing()
    assert {key.key_id: key.hashed for key in standing.keys} == {"the-second-key": {}, "k1": {"API tokens": 1, "sessions": 1}}
    assert await server.tokens.authenticate(planted.token) is not None
    await server.people.authentication.settle()
    standing = await server.key_uses.standing()
    assert {key.key_id: key.hashed for key in standing.keys} == {"the-second-key": {"API tokens": 1}, "k1": {"sessions": 1}}
