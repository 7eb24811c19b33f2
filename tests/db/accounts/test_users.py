from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import update

from terrapod_core.accounts import APIToken, FirstAdmin, Holders, User
from terrapod_core.authz import SYSTEM, PlatformRole
from terrapod_core.errors import Conflict, Forbidden, Invalid, NotFound
from terrapod_core.plugin import Identity
from terrapod_core.settings import Bootstrap, SettingsError
from tests.support.people import PASSWORD, People

TOKEN = "a-fixed-token-of-at-least-32-characters"


async def count(people: People, table: type[User] | type[APIToken]) -> int:
    return await people.db.read(lambda session: session.query(table).count())


async def test_an_address_makes_one_local_user_however_it_is_spelled(people: People) -> None:
    await people.services.accounts.create_user(SYSTEM, "Ünal@Example.com")
    for again in ("ünal@example.com", "U\u0308NAL@EXAMPLE.COM", " ünal@example.com "):
        with pytest.raises(Conflict):
            await people.services.accounts.create_user(SYSTEM, again)
    assert (await people.services.accounts.find(SYSTEM, "ÜNAL@example.com")).email == "Ünal@Example.com"


async def test_two_people_with_the_same_local_part_are_two(people: People) -> None:
    first = await people.services.accounts.create_user(SYSTEM, "alice@one.example")
    second = await people.services.accounts.create_user(SYSTEM, "alice@two.example")
    assert first.id != second.id
    assert first.username != second.username


@pytest.mark.parametrize("email", ["", "alice", "@example.com", "alice@", "a b@example.com", "a\0@example.com", "a" * 250 + "@example.com"])
async def test_what_is_no_address_is_refused(people: People, email: str) -> None:
    with pytest.raises(Invalid, match="e-mail"):
        await people.services.accounts.create_user(SYSTEM, email)


async def test_an_address_of_two_providers_is_named_with_both_ids(people: People) -> None:
    local = await people.user("alice")
    user = User(id="user-elsewhere", username="alice2", email="alice@example.com", email_key="alice@example.com")
    async with people.db.uow() as uow:
        user.provider, user.issuer, user.subject, user.created_at = "corporate", "https://idp.example", "42", uow.now()
        uow.add(user)
        await uow.commit()
    with pytest.raises(Conflict, match="user-elsewhere"):
        await people.services.accounts.disable(SYSTEM, "alice@example.com")
    assert (await people.services.accounts.disable(SYSTEM, local)).id == local


async def test_only_platform_admins_change_users(people: People) -> None:
    alice = await people.user("alice")
    accounts, actor = people.services.accounts, await people.actor(await people.token(await people.user("mallory", PlatformRole.AUDIT)))
    for attempt in (
        accounts.create_user(actor, "new@example.com"),
        people.services.passwords.set(actor, alice, PASSWORD),
        accounts.disable(actor, alice),
        accounts.enable(actor, alice),
        accounts.grant(actor, actor.id, PlatformRole.ADMIN),
        accounts.withdraw(actor, alice, PlatformRole.AUDIT),
        accounts.find(actor, alice),
    ):
        with pytest.raises(Forbidden):
            await attempt
    assert not (await people.actor(await people.token(alice))).platform


async def test_a_role_is_granted_once_however_often(people: People) -> None:
    alice = await people.user("alice")
    for _ in range(2):
        await people.services.accounts.grant(SYSTEM, "alice@example.com", PlatformRole.AUDIT)
    assert (await people.actor(await people.token(alice))).platform == {PlatformRole.AUDIT}
    assert [action for action, _, _ in await people.audited()].count("user.grant-role") == 1


async def test_the_last_admin_cannot_be_shut_out(people: People) -> None:
    root = await people.user("root", PlatformRole.ADMIN)
    other = await people.user("other", PlatformRole.ADMIN)
    await people.services.accounts.disable(SYSTEM, other)
    with pytest.raises(Conflict, match="last platform admin"):
        await people.services.accounts.disable(SYSTEM, root)
    with pytest.raises(Conflict, match="last platform admin"):
        await people.services.accounts.withdraw(SYSTEM, root, PlatformRole.ADMIN)


async def test_an_admin_whose_provider_is_not_loaded_is_nobody_to_rely_on(people: People) -> None:
    root = await people.user("root", PlatformRole.ADMIN)
    other = await people.user("other", PlatformRole.ADMIN)

    async def comes_from(provider: str) -> None:
        async with people.db.uow() as uow:
            await uow.session.execute(update(User).where(User.id == other).values(provider=provider))
            await uow.commit()

    await comes_from("switched-off")
    holders = Holders(people.services.sign_in.providers, people.services.authentication)
    for take in (people.services.accounts.disable, people.services.accounts.delete):
        with pytest.raises(Conflict, match="last platform admin"):
            await take(SYSTEM, root)
    with pytest.raises(Conflict, match="last platform admin"):
        await people.services.accounts.withdraw(SYSTEM, root, PlatformRole.ADMIN)
    with pytest.raises(Conflict, match="last platform admin"):
        async with people.db.uow() as uow:
            await holders.keep_an_admin(uow, root)
    await comes_from("corporate")
    await people.services.accounts.disable(SYSTEM, root)


async def test_two_admins_cannot_shut_each_other_out_at_once(people: People) -> None:
    first, second = await people.user("first", PlatformRole.ADMIN), await people.user("second", PlatformRole.ADMIN)
    disable = people.services.accounts.disable
    results = await asyncio.gather(disable(SYSTEM, first), disable(SYSTEM, second), return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["Conflict", "User"]


async def test_a_new_password_ends_the_sessions(people: People) -> None:
    await people.user("alice")
    text = await people.session("alice@example.com")
    await people.services.passwords.set(SYSTEM, "alice@example.com", "another walnut drawer")
    assert await people.services.tokens.authenticate(text) is None
    assert await people.session("alice@example.com", "another walnut drawer")


async def test_a_weak_password_changes_nothing(people: People) -> None:
    await people.user("alice")
    with pytest.raises(Invalid, match="easy to guess"):
        await people.services.passwords.set(SYSTEM, "alice@example.com", "short")
    with pytest.raises(Invalid, match="easy to guess"):
        await people.services.accounts.create_user(SYSTEM, "bob@example.com", password="short")
    assert await people.session("alice@example.com")
    with pytest.raises(NotFound):
        await people.services.accounts.find(SYSTEM, "bob@example.com")


async def test_a_user_of_another_provider_has_no_password_to_set(people: People) -> None:
    people.elsewhere.person = Identity("7", "https://idp.example", "carol@example.com", True, "carol")
    visitor_session = await _through_elsewhere(people)
    assert visitor_session
    with pytest.raises(Conflict, match="corporate"):
        await people.services.passwords.set(SYSTEM, "carol@example.com", PASSWORD)


async def _through_elsewhere(people: People) -> str:
    from terrapod_core.accounts import Visitor

    visitor = Visitor(browser="b", address="192.0.2.9")
    begun = await people.services.sign_in.begin("corporate", visitor, return_to=None, base_url="http://localhost")
    return (await people.services.sign_in.finish(visitor, {"state": begun.state})).text


async def test_changes_are_recorded_in_their_own_transaction(people: People) -> None:
    alice = await people.user("alice")
    await people.services.accounts.disable(SYSTEM, alice)
    await people.services.accounts.disable(SYSTEM, alice)
    await people.services.accounts.enable(SYSTEM, alice)
    with pytest.raises(Conflict):
        await people.services.accounts.create_user(SYSTEM, "alice@example.com")
    assert [action for action, _, _ in await people.audited()] == ["user.create", "user.disable", "user.enable"]


# -- the first admin


async def test_without_settings_the_first_start_makes_an_admin_and_shows_the_password_once(people: People) -> None:
    first = await people.services.first_start.apply(Bootstrap())
    assert first is not None
    assert first.password is not None
    assert await people.session("admin@localhost", first.password)
    assert (await people.actor(await people.token((await people.services.accounts.find(SYSTEM, first.email)).id))).is_platform_admin
    assert await people.services.first_start.apply(Bootstrap()) == FirstAdmin(first.email, False, None)
    assert await count(people, User) == 1


async def test_without_settings_nobody_is_made_where_somebody_is(people: People) -> None:
    await people.user("alice")
    assert await people.services.first_start.apply(Bootstrap()) is None
    assert await count(people, User) == 1


async def test_the_settings_admin_and_token_are_there_after_each_start_and_once(people: People) -> None:
    settings = Bootstrap(admin_email="root@example.com", admin_password=PASSWORD, admin_token=TOKEN)
    await people.user("alice")
    assert await people.services.first_start.apply(settings) == FirstAdmin("root@example.com", True, None)
    assert await people.services.first_start.apply(settings) == FirstAdmin("root@example.com", False, None)
    actor = await people.actor(TOKEN)
    assert actor.is_platform_admin
    assert actor.email == "root@example.com"
    assert (await count(people, User), await count(people, APIToken)) == (2, 1)


async def test_two_first_starts_at_once_make_one_admin(people: People) -> None:
    settings = Bootstrap(admin_email="root@example.com", admin_token=TOKEN)
    other = people.restarted(people.keyring)
    results = await asyncio.gather(people.services.first_start.apply(settings), other.first_start.apply(settings))
    assert sorted(result.created for result in results if result) == [False, True]
    shown = [result.password for result in results if result and result.password]
    assert len(shown) == 1
    assert await people.session("root@example.com", shown[0])


async def test_a_password_that_the_admin_changed_stays_theirs(people: People) -> None:
    settings = Bootstrap(admin_email="root@example.com", admin_password=PASSWORD)
    await people.services.first_start.apply(settings)
    await people.services.passwords.set(SYSTEM, "root@example.com", "another walnut drawer")
    await people.services.first_start.apply(settings)
    assert await people.session("root@example.com", "another walnut drawer")


async def test_a_new_fixed_token_takes_the_place_of_the_old(people: People) -> None:
    await people.services.first_start.apply(Bootstrap(admin_token=TOKEN))
    await people.services.first_start.apply(Bootstrap(admin_token=TOKEN[::-1]))
    assert await people.services.tokens.authenticate(TOKEN) is None
    assert await people.services.tokens.authenticate(TOKEN[::-1]) is not None


async def test_a_fixed_token_that_was_revoked_does_not_come_back(people: People) -> None:
    await people.services.first_start.apply(Bootstrap(admin_token=TOKEN))
    actor = await people.actor(TOKEN)
    assert actor.token_id is not None
    await people.services.tokens.revoke(actor, actor.token_id)
    await people.services.first_start.apply(Bootstrap(admin_token=TOKEN))
    assert await people.services.tokens.authenticate(TOKEN) is None


@pytest.mark.parametrize("token", ["terrapod-session-" + "x" * 32, "terrapod-phase-" + "x" * 32, "x" * 2000])
async def test_a_fixed_token_that_looks_like_one_of_ours_is_refused(people: People, token: str) -> None:
    with pytest.raises(SettingsError, match="admin_token"):
        await people.services.first_start.apply(Bootstrap(admin_token=token))


async def test_a_weak_password_in_the_settings_is_named(people: People) -> None:
    with pytest.raises(SettingsError, match="bootstrap.admin_password"):
        await people.services.first_start.apply(Bootstrap(admin_password="short"))
