from __future__ import annotations

import re
from datetime import timedelta

import pytest
from sqlalchemy import event, select

from terrapod_core.accounts import APIToken
from terrapod_core.authz import SYSTEM, PlatformRole
from terrapod_core.db import Database
from terrapod_core.errors import Conflict, Forbidden, Invalid, NotFound
from terrapod_core.jsonapi import PageRequest
from terrapod_core.secrets import Keyring, new_key
from terrapod_core.testing import FakeClock
from tests.support.people import People


async def row_of(people: People, token_id: str) -> APIToken:
    return await people.db.read(lambda session: session.get_one(APIToken, token_id))


async def test_a_token_can_be_told_from_other_texts_and_is_kept_as_a_hash_alone(people: People) -> None:
    alice = await people.user("alice")
    issued = await people.services.tokens.create(SYSTEM, user_id=alice)
    assert re.fullmatch(rf"terrapod-{issued.id}-[1-9A-HJ-NP-Za-km-z]{{32}}", issued.text)
    row = await row_of(people, issued.id)
    assert issued.text not in repr(vars(row))
    assert issued.text[-32:] not in repr(vars(row))
    assert issued.text not in repr(issued)


async def test_a_token_is_its_user_with_the_roles_they_hold_now(people: People) -> None:
    alice = await people.user("alice", PlatformRole.AUDIT, PlatformRole.ADMIN)
    text = await people.token(alice)
    actor = await people.actor(text)
    assert (actor.user_id, actor.name, actor.email) == (alice, "alice", "alice@example.com")
    assert actor.platform == {PlatformRole.AUDIT, PlatformRole.ADMIN}
    assert actor.token_id is not None
    assert actor.session_id is None


@pytest.mark.parametrize(
    "damage", [lambda text: text[:-1], lambda text: text + "x", str.upper, lambda _: "", lambda _: "x" * 5000, lambda _: "\0ä\ud800"]
)
async def test_no_other_text_is_a_token(people: People, damage: object) -> None:
    text = await people.token(await people.user("alice"))
    assert callable(damage)
    assert await people.services.tokens.authenticate(damage(text)) is None


async def test_it_takes_two_queries_in_one_go_and_none_within_five_seconds(
    people: People, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = await people.token(await people.user("alice", PlatformRole.ADMIN))
    statements: list[str] = []
    read = Database.read

    async def counted(db: Database, query: object) -> object:
        def counting(session: object) -> object:
            bind = session.get_bind()  # type: ignore[attr-defined]

            def executed(_connection: object, _cursor: object, statement: str, *_more: object) -> None:
                if statement.startswith("SELECT"):
                    statements.append(statement)

            event.listen(bind, "before_cursor_execute", executed)
            try:
                return query(session)  # type: ignore[operator]
            finally:
                event.remove(bind, "before_cursor_execute", executed)

        return await read(db, counting)

    monkeypatch.setattr(Database, "read", counted)
    await people.actor(text)
    assert len(statements) == 2
    clock.advance(seconds=4.9)
    await people.actor(text)
    assert len(statements) == 2
    clock.advance(seconds=0.1)
    await people.actor(text)
    assert len(statements) == 4


async def test_a_disabled_users_token_is_refused_within_five_seconds_on_every_server(people: People, clock: FakeClock) -> None:
    alice = await people.user("alice")
    text = await people.token(alice)
    other_server = people.restarted(people.keyring)
    assert await other_server.tokens.authenticate(text) is not None
    await people.actor(text)
    await people.services.accounts.disable(SYSTEM, alice)
    assert await people.services.tokens.authenticate(text) is None, "here at once"
    clock.advance(seconds=5)
    assert await other_server.tokens.authenticate(text) is None
    await people.services.accounts.enable(SYSTEM, alice)
    assert await people.services.tokens.authenticate(text) is not None


async def test_a_role_that_was_taken_away_is_gone_within_five_seconds_on_every_server(people: People, clock: FakeClock) -> None:
    await people.user("root", PlatformRole.ADMIN)
    alice = await people.user("alice", PlatformRole.ADMIN)
    text = await people.token(alice)
    other_server = people.restarted(people.keyring)
    await other_server.tokens.authenticate(text)
    await people.services.accounts.withdraw(SYSTEM, alice, PlatformRole.ADMIN)
    clock.advance(seconds=5)
    actor = await other_server.tokens.authenticate(text)
    assert actor is not None
    assert not actor.platform


async def test_what_changes_while_a_token_is_looked_up_is_not_remembered_as_it_was(people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    alice = await people.user("alice")
    text = await people.token(alice)
    read = people.db.read

    async def overtaken(query: object) -> object:
        found: object = await read(query)  # type: ignore[arg-type]
        monkeypatch.setattr(people.db, "read", read)
        await people.services.accounts.disable(SYSTEM, alice)
        return found

    monkeypatch.setattr(people.db, "read", overtaken)
    await people.services.tokens.authenticate(text)
    assert await people.services.tokens.authenticate(text) is None


async def test_an_expired_token_is_refused_at_its_moment_though_it_is_remembered(people: People, clock: FakeClock) -> None:
    text = await people.token(await people.user("alice"), expires_at=clock.now() + timedelta(seconds=3))
    await people.actor(text)
    clock.advance(seconds=3)
    assert await people.services.tokens.authenticate(text) is None


async def test_last_use_is_written_once_a_minute(people: People, clock: FakeClock) -> None:
    alice = await people.user("alice")
    issued = await people.services.tokens.create(SYSTEM, user_id=alice)

    async def used() -> object:
        await people.actor(issued.text)
        await people.services.authentication.settle()
        return (await row_of(people, issued.id)).last_used_at

    first = clock.now()
    assert await used() == first
    clock.advance(seconds=59)
    assert await used() == first
    clock.advance(seconds=6)
    assert await used() == clock.now()


async def test_a_token_survives_a_new_key_and_moves_on_to_it(people: People, clock: FakeClock) -> None:
    text = await people.token(await people.user("alice"))
    old, new = new_key(), new_key()
    people.keyring = Keyring(old)
    people.services = people.restarted(people.keyring)
    text = await people.token((await people.services.accounts.find(SYSTEM, "alice@example.com")).id)
    rotated = people.restarted(Keyring(f"{new},{old}"))
    assert await rotated.tokens.authenticate(text) is not None
    await rotated.authentication.settle()
    alone = people.restarted(Keyring(new))
    assert await alone.tokens.authenticate(text) is not None, "its hash is under the new key since it was used"


async def test_the_default_lifetime_and_the_ceiling_come_from_the_settings(people: People, clock: FakeClock) -> None:
    alice = await people.user("alice")
    settings = people.settings.tokens
    issued = await people.services.tokens.create(SYSTEM, user_id=alice)
    assert issued.expires_at == clock.now() + timedelta(days=settings.default_days)
    longest = clock.now() + timedelta(days=settings.max_days)
    assert (await people.services.tokens.create(SYSTEM, user_id=alice, expires_at=longest)).expires_at == longest
    with pytest.raises(Invalid, match=str(settings.max_days)):
        await people.services.tokens.create(SYSTEM, user_id=alice, expires_at=longest + timedelta(seconds=1))


@pytest.mark.parametrize("ago", [timedelta(0), timedelta(seconds=1), timedelta(days=400)])
async def test_a_token_that_ends_now_or_earlier_is_refused(people: People, clock: FakeClock, ago: timedelta) -> None:
    with pytest.raises(Invalid, match="future"):
        await people.services.tokens.create(SYSTEM, user_id=await people.user("alice"), expires_at=clock.now() - ago)


async def test_a_token_made_with_a_token_never_outlives_it(people: People, clock: FakeClock) -> None:
    alice = await people.user("alice")
    end = clock.now() + timedelta(days=3)
    parent = await people.actor(await people.token(alice, expires_at=end))
    child = await people.services.tokens.create(parent)
    assert child.expires_at == end
    with pytest.raises(Invalid, match="ends with it"):
        await people.services.tokens.create(parent, expires_at=end + timedelta(seconds=1))


async def test_a_revoked_token_takes_those_along_that_were_made_with_it(people: People) -> None:
    alice = await people.user("alice")
    texts = [await people.token(alice)]
    for _ in range(3):
        texts.append((await people.services.tokens.create(await people.actor(texts[-1]))).text)
    beside = await people.token(alice)
    second = await people.actor(texts[1])
    assert second.token_id is not None
    await people.services.tokens.revoke(await people.actor(beside), second.token_id)
    assert [await people.services.tokens.authenticate(text) is not None for text in texts] == [True, False, False, False]
    assert await people.services.tokens.authenticate(beside) is not None


async def test_a_revoked_token_makes_no_more_tokens_though_it_is_remembered(people: People) -> None:
    alice = await people.user("alice")
    actor = await people.actor(await people.token(alice))
    assert actor.token_id is not None
    await people.services.tokens.revoke(SYSTEM, actor.token_id)
    with pytest.raises(Forbidden, match="revoked"):
        await people.services.tokens.create(actor)


async def test_others_tokens_are_not_there(people: People) -> None:
    alice, bob = await people.user("alice"), await people.user("bob")
    theirs = await people.services.tokens.create(SYSTEM, user_id=alice)
    mallory = await people.actor(await people.token(bob))
    assert [one.user_id for one in (await people.services.tokens.list(mallory)).items] == [bob]
    assert not (await people.services.tokens.list(mallory, alice)).items
    for attempt in (people.services.tokens.show, people.services.tokens.revoke):
        with pytest.raises(NotFound):
            await attempt(mallory, theirs.id)
    with pytest.raises(Forbidden):
        await people.services.tokens.create(mallory, user_id=alice)
    assert await people.services.tokens.authenticate(theirs.text) is not None


async def test_an_auditor_sees_tokens_and_revokes_none_and_an_admin_revokes(people: People) -> None:
    alice = await people.user("alice")
    theirs = await people.services.tokens.create(SYSTEM, user_id=alice)
    auditor = await people.actor(await people.token(await people.user("audrey", PlatformRole.AUDIT)))
    admin = await people.actor(await people.token(await people.user("root", PlatformRole.ADMIN)))
    assert (await people.services.tokens.show(auditor, theirs.id)).id == theirs.id
    with pytest.raises(Forbidden):
        await people.services.tokens.revoke(auditor, theirs.id)
    await people.services.tokens.revoke(admin, theirs.id)
    with pytest.raises(NotFound):
        await people.services.tokens.show(admin, theirs.id)


async def test_a_list_has_pages_with_true_totals(people: People) -> None:
    alice = await people.user("alice")
    for _ in range(5):
        await people.token(alice)
    page = await people.services.tokens.list(SYSTEM, alice, PageRequest(2, 2))
    assert (len(page.items), page.total, page.pages) == (2, 5, 3)
    beyond = await people.services.tokens.list(SYSTEM, alice, PageRequest(9, 2))
    assert (len(beyond.items), beyond.total) == (0, 5)
    assert (await people.services.tokens.list(SYSTEM)).total == 5


async def test_a_disabled_user_gets_no_token(people: People) -> None:
    alice = await people.user("alice")
    await people.services.accounts.disable(SYSTEM, alice)
    with pytest.raises(Conflict, match="disabled"):
        await people.token(alice)


@pytest.mark.parametrize("description", ["x" * 256, "a bell \a"])
async def test_a_description_can_be_shown(people: People, description: str) -> None:
    with pytest.raises(Invalid, match="description"):
        await people.token(await people.user("alice"), description=description)


async def test_making_and_revoking_is_recorded_without_the_text(people: People) -> None:
    alice = await people.user("alice")
    issued = await people.services.tokens.create(SYSTEM, user_id=alice)
    await people.services.tokens.revoke(SYSTEM, issued.id)
    assert [action for action, _, _ in await people.audited()] == [
        "authentication-token.create",
        "authentication-token.revoke",
        "user.create",
    ]


async def test_nothing_of_a_token_is_left_of_a_refused_one(people: People) -> None:
    alice = await people.user("alice")
    with pytest.raises(Invalid):
        await people.token(alice, description="\a")
    assert not await people.db.read(lambda session: session.execute(select(APIToken)).all())
