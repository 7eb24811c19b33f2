"""The keys given are those of the database, or the server says which are not and does not start."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import select, update

from terrapod_core.accounts.users import add_local_user
from terrapod_core.app import Terrapod
from terrapod_core.plugin import KeyringError
from terrapod_core.secrets import Keyring
from terrapod_core.secrets.models import KeyCheck
from terrapod_core.secrets.providers import SettingsKeys
from terrapod_core.secrets.watch import NOTED, SETTLE, KeyWatch
from terrapod_core.settings import SettingsError
from terrapod_core.testing import FakeClock, MemoryKeys
from terrapod_core.testing.keys import key_text
from tests.db.secrets.conftest import Serve
from tests.support.planted import Planted

OTHER = key_text("k1").replace("azE", "eHh")
"""Another key of the same id."""


async def test_a_wrong_key_is_refused_with_what_to_do_and_changes_nothing(serve: Serve, keys: MemoryKeys) -> None:
    await serve(keys).key_watch.check()
    wrong = serve(MemoryKeys(OTHER))
    with pytest.raises(SettingsError, match="'k1' given in a test is not the key of that id that sealed this.*Give the right"):
        await wrong.key_watch.check()
    await serve(keys).key_watch.check()


async def test_a_key_that_stored_secrets_need_and_that_is_missing_is_named_with_what_needs_it(serve: Serve, keys: MemoryKeys) -> None:
    await Planted(serve(keys)).plant()
    with pytest.raises(KeyringError, match=r"'k1' \(.*1 objects of kind state.*; |'k1' \(") as refused:
        await serve(MemoryKeys(key_text("k2"))).key_watch.check()
    assert "2 values of variables.value" in str(refused.value)
    assert "1 objects of kind configuration" in str(refused.value)
    # What was refused has left nothing: the right keys start as before.
    again = serve(keys)
    await again.key_watch.check()
    assert await known(again) == ["k1"]


async def known(terrapod: object) -> list[str]:
    db = terrapod.db  # type: ignore[attr-defined]
    return sorted(await db.read(lambda session: session.execute(select(KeyCheck.key_id)).scalars().all()))


async def test_a_database_of_a_version_without_checks_is_looked_through_too(serve: Serve, keys: MemoryKeys) -> None:
    planted = Planted(serve(keys))
    await planted.plant()
    await planted.terrapod.key_watch.forget(["k1"])
    with pytest.raises(KeyringError, match="'k1'"):
        await serve(MemoryKeys(key_text("k2"))).key_watch.check()


async def test_a_key_that_nothing_needs_may_be_missing(serve: Serve, keys: MemoryKeys) -> None:
    await serve(keys).key_watch.check()
    later = serve(MemoryKeys(key_text("k2")))
    await later.key_watch.check()
    assert await known(later) == ["k2"]


async def signed_in(terrapod: Terrapod) -> None:
    """Somebody with a session, and nothing else that rests on a key."""
    await terrapod.key_watch.check()
    async with terrapod.db.uow() as uow:
        user = await add_local_user(uow, "root@example.com", None, None)
        terrapod.people.sessions.open(uow, user, address=None, user_agent=None)
        await uow.commit()


async def test_keys_of_which_the_database_knows_none_are_refused_for_the_sake_of_a_session_alone(serve: Serve, keys: MemoryKeys) -> None:
    await signed_in(serve(keys))
    strange = serve(MemoryKeys(key_text("k9")))
    with pytest.raises(KeyringError, match=r"need keys that are not given: 'k1' \(1 sessions\).*which has k9. Add the missing ones"):
        await strange.key_watch.check()
    assert await known(strange) == ["k1"]


async def test_an_old_key_may_be_taken_away_before_its_sessions_ended_and_is_not_forgotten(serve: Serve, keys: MemoryKeys) -> None:
    await signed_in(serve(keys))
    await serve(MemoryKeys(key_text("k2", "k1"))).key_watch.check()
    later = serve(MemoryKeys(key_text("k2")))
    await later.key_watch.check()
    assert await known(later) == ["k1", "k2"]
    with pytest.raises(KeyringError, match="'k1' given in a test is not the key"):
        await serve(MemoryKeys(key_text("k2") + OTHER)).key_watch.check()


async def test_a_lost_key_file_is_asked_for_and_not_replaced(serve: Serve, keys: MemoryKeys, tmp_path: Path) -> None:
    first = serve(keys)
    await signed_in(first)
    lost = SettingsKeys(None, tmp_path / "data", embedded=True)
    watch = KeyWatch(first.db, Keyring(lost), first.key_uses.needed, first.key_uses.hashed)
    with pytest.raises(KeyringError, match=r"'k1' \(1 sessions\). They are kept in the key file .*/data/keys, which is not there"):
        await watch.check()
    assert not (tmp_path / "data").exists()
    (tmp_path / "data").mkdir()
    (tmp_path / "data/keys").write_text(key_text("k1"))
    await watch.check()


async def test_processes_that_start_at_once_agree_on_the_key_of_the_first(serve: Serve, keys: MemoryKeys, tmp_path: Path) -> None:
    server = serve(keys)
    rings = [Keyring(SettingsKeys(None, tmp_path / "data", embedded=True)) for _ in range(4)]
    watches = [KeyWatch(server.db, ring, server.key_uses.needed, server.key_uses.hashed) for ring in rings]
    await asyncio.gather(*(watch.check() for watch in watches))
    assert len({ring.newest for ring in rings}) == 1
    assert await known(server) == [rings[0].newest]


async def test_replicas_that_start_together_register_one_key_once(serve: Serve) -> None:
    servers = [serve(MemoryKeys(key_text("k1"))) for _ in range(4)]
    await asyncio.gather(*(each.key_watch.check() for each in servers))
    assert await known(servers[0]) == ["k1"]
    assert {each.keyring.newest for each in servers} == {"k1"}


async def test_of_replicas_that_bring_two_keys_of_one_id_one_is_refused(serve: Serve) -> None:
    servers = [serve(MemoryKeys(text)) for text in (key_text("k1"), OTHER)]
    results = await asyncio.gather(*(each.key_watch.check() for each in servers), return_exceptions=True)
    assert sorted(type(each).__name__ for each in results) == ["KeyringError", "NoneType"]


async def test_all_servers_begin_to_seal_under_a_new_key_at_the_same_moment(serve: Serve, keys: MemoryKeys, clock: FakeClock) -> None:
    other = MemoryKeys(key_text("k1"))
    one, two = serve(keys), serve(other)
    for server in (one, two):
        await server.key_watch.check()
    keys.text = other.text = key_text("k2", "k1")
    await one.key_watch.look()
    clock.advance(seconds=30)
    await two.key_watch.look()
    assert (one.keyring.newest, two.keyring.newest) == ("k1", "k1")
    clock.advance(SETTLE)
    assert (one.keyring.newest, two.keyring.newest) == ("k2", "k2")


async def test_a_command_beside_the_server_does_not_run_ahead_of_it(serve: Serve, keys: MemoryKeys) -> None:
    await serve(keys).key_watch.check()
    beside = serve(MemoryKeys(key_text("k2", "k1")))
    await beside.key_watch.check()
    await beside.key_watch.look()
    assert (beside.keyring.newest, beside.keyring.given) == ("k1", ("k2", "k1"))


async def test_a_look_that_finds_a_wrong_key_keeps_those_in_force(serve: Serve, keys: MemoryKeys) -> None:
    server = serve(keys)
    await server.key_watch.check()
    rival = serve(MemoryKeys(key_text("k2", "k1")))
    await rival.key_watch.check()
    keys.text = key_text("k2", "k1").replace("azI", "eHh")
    with pytest.raises(KeyringError, match="'k2'"):
        await server.key_watch.look()
    assert server.keyring.given == ("k1",)


async def test_the_key_in_use_is_noted_now_and_then(serve: Serve, keys: MemoryKeys, clock: FakeClock) -> None:
    server = serve(keys)
    await server.key_watch.check()
    async with server.db.uow() as uow:
        await uow.session.execute(update(KeyCheck).values(newest_at=clock.now() - NOTED))
        await uow.commit()
    await server.key_watch.look()
    (noted,) = await server.db.read(lambda session: session.execute(select(KeyCheck.newest_at)).scalars().all())
    assert noted == clock.now()
