"""Signing in through another site: what is remembered, whose browser it is, who comes back, and what waits for them."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from sqlalchemy import select, update
from structlog.testing import CapturingLogger

from terrapod_core import ids
from terrapod_core.accounts import LoginState, Refused, SignedIn, User, Visitor, Welcome, identities
from terrapod_core.audit import AuditEntry
from terrapod_core.authz import SYSTEM, ClaimedRole, PlatformRole, Role, RoleAssignment
from terrapod_core.authz.emails import email_key
from terrapod_core.errors import BadGateway, BadRequest, Forbidden, TooManyRequests
from terrapod_core.plugin import Identity, Redirect
from terrapod_core.secrets import Keyring, new_key
from terrapod_core.settings import Auth, Settings
from terrapod_core.testing import FakeClock, FakeRedirectProvider
from tests.support.people import BASE, People

VISITOR = Visitor(browser="this browser", address="192.0.2.1", user_agent="Firefox")
ADA = Identity("ada-1", "https://idp.example", "Ada@Example.com", True, "ada")


@pytest.fixture
def elsewhere(people: People) -> FakeRedirectProvider:
    """Another site that people sign in at."""
    provider = FakeRedirectProvider("okta", "Okta")
    people.services.sign_in.providers["okta"] = provider
    return provider


def governed(people: People, **settings: Any) -> FakeRedirectProvider:
    """A server with other `[auth]` settings."""
    people.settings = Settings(auth=Auth(**settings))
    people.services = people.restarted(people.keyring)
    provider = FakeRedirectProvider("okta", "Okta")
    people.services.sign_in.providers["okta"] = provider
    return provider


async def begin(people: People, provider: FakeRedirectProvider, visitor: Visitor = VISITOR, base_url: str = BASE) -> Any:
    return await people.services.sign_in.begin(provider.name, visitor, return_to="/app/settings/tokens", base_url=base_url)


async def back(people: People, provider: FakeRedirectProvider, person: Identity = ADA, visitor: Visitor = VISITOR) -> Welcome:
    """All the way: there, and back as this person."""
    begun = await begin(people, provider, visitor)
    return await people.services.sign_in.finish(visitor, provider.come_back(begun.step.url, person))


async def rows(people: People, table: type[Any]) -> list[Any]:
    return list(await people.db.read(lambda session: session.execute(select(table)).scalars().all()))


# -- what is remembered


async def test_what_begin_remembers_comes_back_once_with_the_same_callback(people: People, elsewhere: FakeRedirectProvider) -> None:
    begun = await begin(people, elsewhere)
    welcome = await people.services.sign_in.finish(VISITOR, {**elsewhere.come_back(begun.step.url, ADA), "session_state": "x"})
    assert welcome.return_to == "/app/settings/tokens"
    (callback,) = elsewhere.callbacks
    assert callback.remembered == begun.step.remember != {}
    assert callback.callback_url == f"{BASE}/api/v2/auth/callback" == dict(parse_qsl(urlsplit(begun.step.url).query))["callback"]
    assert callback.state == begun.state
    assert set(callback.values) == {"code", "session_state"}
    assert await rows(people, LoginState) == []


async def test_what_is_remembered_is_sealed_and_belongs_to_its_row(people: People, elsewhere: FakeRedirectProvider) -> None:
    one, two = await begin(people, elsewhere), await begin(people, elsewhere)
    nonces = [each.step.remember["nonce"].encode() for each in (one, two)]
    kept = await rows(people, LoginState)
    assert not [row for row in kept for nonce in nonces if nonce in row.remembered]
    sealed = {row.hash: row.remembered for row in kept}
    first, second = sealed
    async with people.db.uow() as uow:
        for row, other in ((first, second), (second, first)):
            await uow.session.execute(update(LoginState).where(LoginState.hash == row).values(remembered=sealed[other]))
        await uow.commit()
    for begun in (one, two):
        with pytest.raises(BadRequest, match="begin again"):
            await people.services.sign_in.finish(VISITOR, elsewhere.come_back(begun.step.url, ADA))
    assert elsewhere.callbacks == []


async def test_another_server_of_the_installation_finishes_it_and_one_with_other_keys_does_not(
    people: People, elsewhere: FakeRedirectProvider
) -> None:
    for keyring, works in ((people.keyring, True), (Keyring(new_key()), False)):
        begun = await begin(people, elsewhere)
        other = people.restarted(keyring).sign_in
        other.providers["okta"] = elsewhere
        values = elsewhere.come_back(begun.step.url, ADA)
        if works:
            assert (await other.finish(VISITOR, values)).user.subject == "ada-1"
        else:
            with pytest.raises(BadRequest, match="begin again"):
                await other.finish(VISITOR, values)


@pytest.mark.parametrize("name", ["state", "RelayState"])
async def test_the_state_is_found_under_either_name_and_kept_from_the_provider(
    people: People, elsewhere: FakeRedirectProvider, name: str
) -> None:
    elsewhere.returns_by_post = name == "RelayState"
    assert (await back(people, elsewhere)).user.email == "Ada@Example.com"
    assert set(elsewhere.callbacks[0].values) == {"code"}


# -- whose it is


async def test_a_state_of_another_browser_an_old_one_and_a_used_one_are_refused(
    people: People, elsewhere: FakeRedirectProvider, clock: FakeClock
) -> None:
    finish = people.services.sign_in.finish
    begun = await begin(people, elsewhere)
    values = elsewhere.come_back(begun.step.url, ADA)
    for stranger in (replace(VISITOR, browser="another"), replace(VISITOR, browser=None), Visitor(posting="another")):
        with pytest.raises(BadRequest, match="another browser"):
            await finish(stranger, values)
    assert (await finish(VISITOR, values)).text
    with pytest.raises(BadRequest):
        await finish(VISITOR, values)
    late = elsewhere.come_back((await begin(people, elsewhere)).step.url, ADA)
    clock.advance(minutes=10)
    with pytest.raises(BadRequest):
        await finish(VISITOR, late)
    for nothing in ({}, {"state": ""}, {"state": "x"}, {"RelayState": "\ud800"}):
        with pytest.raises(BadRequest):
            await finish(VISITOR, {"code": "x", **nothing})


async def test_a_code_of_another_sign_in_is_refused_whatever_the_state(people: People, elsewhere: FakeRedirectProvider) -> None:
    mine, mallorys = await begin(people, elsewhere), await begin(people, elsewhere, replace(VISITOR, browser="mallory's"))
    theirs = elsewhere.come_back(mallorys.step.url, ADA)
    with pytest.raises(Refused):
        await people.services.sign_in.finish(VISITOR, {"state": mine.state, "code": theirs["code"]})


async def test_over_tls_a_form_of_another_site_needs_a_cookie_of_its_own_for_each_sign_in(
    people: People, elsewhere: FakeRedirectProvider
) -> None:
    elsewhere.returns_by_post = True
    one, two = [await begin(people, elsewhere, base_url="https://terrapod.example.com") for _ in range(2)]
    assert one.posts
    assert len({one.browser, two.browser, VISITOR.browser}) == 3
    values = elsewhere.come_back(one.step.url, ADA)
    for wrong in (VISITOR, Visitor(posting=two.browser), Visitor(posting="this browser", foreign=True)):
        with pytest.raises(BadRequest):
            await people.services.sign_in.finish(wrong, values)
    assert (await people.services.sign_in.finish(Visitor(posting=one.browser, foreign=True), values)).text


@pytest.mark.parametrize(("posts", "provider"), [(False, "okta"), (False, "local"), (True, "okta")])
async def test_a_form_of_another_site_is_taken_where_the_provider_said_so_and_only_there(
    people: People, elsewhere: FakeRedirectProvider, posts: bool, provider: str
) -> None:
    await people.user("alice")
    elsewhere.returns_by_post = posts
    begun = await people.services.sign_in.begin(provider, VISITOR, return_to=None, base_url=BASE)
    foreign = replace(VISITOR, foreign=True)
    typed = {"state": begun.state, "email": "alice@example.com", "password": "a quiet walnut drawer"}
    values = elsewhere.come_back(begun.step.url, ADA) if isinstance(begun.step, Redirect) else typed
    if posts:
        assert (await people.services.sign_in.finish(foreign, values)).text
    else:
        with pytest.raises(Forbidden, match="another site"):
            await people.services.sign_in.finish(foreign, values)


async def test_a_password_in_a_link_is_not_looked_at(people: People) -> None:
    await people.user("alice")
    begun = await people.services.sign_in.begin("local", VISITOR, return_to=None, base_url=BASE)
    values = {"state": begun.state, "email": "alice@example.com", "password": "a quiet walnut drawer"}
    with pytest.raises(BadRequest, match="histories"):
        await people.services.sign_in.finish(replace(VISITOR, by_link=True), values)
    assert people.passwords.asked == 0


async def test_a_sign_in_gives_a_new_session_and_ends_the_browsers_old_one(people: People, elsewhere: FakeRedirectProvider) -> None:
    first = await back(people, elsewhere)
    second = await back(people, elsewhere, visitor=replace(VISITOR, session=first.text))
    assert first.session.id != second.session.id
    assert [row.id for row in await rows(people, SignedIn)] == [second.session.id]


# -- a provider that is away


async def test_a_provider_that_is_away_is_a_502_and_nobodys_failure(people: People, elsewhere: FakeRedirectProvider) -> None:
    begun = [await begin(people, elsewhere) for _ in range(15)]
    elsewhere.away = "its token endpoint answers 500"
    for each in begun:
        with pytest.raises(BadGateway, match="Okta.*token endpoint answers 500"):
            await people.services.sign_in.finish(VISITOR, elsewhere.come_back(each.step.url, ADA))
    elsewhere.away = None
    assert (await back(people, elsewhere)).text, "after fifteen that could not be judged the sixteenth is judged"


async def test_beginning_with_one_that_is_away_is_a_502_that_does_not_count(people: People, elsewhere: FakeRedirectProvider) -> None:
    elsewhere.away = "discovery failed"
    for _ in range(130):
        with pytest.raises(BadGateway, match="Okta.*discovery failed"):
            await begin(people, elsewhere)
    assert await rows(people, LoginState) == []
    elsewhere.away = None
    assert (await back(people, elsewhere)).text


async def test_one_that_never_answers_is_cut_off_at_the_time_of_the_settings(people: People) -> None:
    provider = governed(people, timeout_seconds=0.1)
    begun = await begin(people, provider)

    async def hang(*_: object) -> Any:
        await asyncio.Event().wait()

    provider.finish = hang  # type: ignore[method-assign, assignment]
    with pytest.raises(BadGateway, match="within 0.1 seconds"):
        await people.services.sign_in.finish(VISITOR, provider.come_back(begun.step.url, ADA))
    provider.begin = hang  # type: ignore[method-assign, assignment]
    with pytest.raises(BadGateway, match="within 0.1 seconds"):
        await begin(people, provider)


async def test_one_that_lies_leaves_nobody_behind(people: People, elsewhere: FakeRedirectProvider) -> None:
    with pytest.raises(BadGateway, match="Okta"):
        await back(people, elsewhere, replace(ADA, subject="\0"))
    assert await rows(people, User) == []
    assert await rows(people, SignedIn) == []


async def test_refusals_of_a_provider_are_counted_and_slowed_down(people: People, elsewhere: FakeRedirectProvider) -> None:
    for _ in range(10):
        begun = await begin(people, elsewhere)
        with pytest.raises(Refused):
            await people.services.sign_in.finish(VISITOR, {"state": begun.state, "code": "guessed"})
    with pytest.raises(TooManyRequests):
        await back(people, elsewhere)


# -- who it is


async def assign(people: People, *roles: str, email: str = "ada@example.com", provider: str = "okta", user_id: str | None = None) -> None:
    async with people.db.uow() as uow:
        for role in roles:
            given = {"provider": provider, "email": email, "email_key": email_key(email), "role": role, "user_id": user_id}
            uow.add(RoleAssignment(id=ids.new("ra"), created_at=uow.now(), **given))
        await uow.commit()


async def bound(people: People) -> dict[str, str | None]:
    return {row.role: row.user_id for row in await rows(people, RoleAssignment)}


async def test_roles_given_to_an_address_bind_to_the_first_who_shows_it_verified(people: People, elsewhere: FakeRedirectProvider) -> None:
    await assign(people, "audit", "developer", email="ADA@example.com")
    await assign(people, "admin", provider="another")
    await assign(people, "reader", email="ada@example.org")
    user = (await back(people, elsewhere)).user
    assert await bound(people) == {"audit": user.id, "developer": user.id, "admin": None, "reader": None}
    (entry,) = [each for each in await rows(people, AuditEntry) if each.action == "role-assignment.bind"]
    assert (entry.actor_id, entry.detail["roles"]) == (user.id, ["audit", "developer"])


@pytest.mark.parametrize("spelled", ["Ad\u00e9le@Example.com", "ade\u0301le@EXAMPLE.com", " ad\u00c9le@example.com "])
async def test_addresses_are_compared_without_case_and_unicodes_spellings(
    people: People, elsewhere: FakeRedirectProvider, spelled: str
) -> None:
    await assign(people, "audit", email="ad\u00e9le@example.com")
    user = (await back(people, elsewhere, replace(ADA, email=spelled))).user
    assert (await bound(people))["audit"] == user.id


@pytest.mark.parametrize("near", ["ada+x@example.com", "ada@sub.example.com", "a.da@example.com", "ada@example.co"])
async def test_an_address_that_is_only_nearly_the_same_gets_nothing(people: People, elsewhere: FakeRedirectProvider, near: str) -> None:
    await assign(people, "audit")
    await back(people, elsewhere, replace(ADA, email=near))
    assert await bound(people) == {"audit": None}


@pytest.mark.parametrize("near", ["bo\u00df@example.com", "bo\u017f\u017f@example.com"])
async def test_letters_that_only_fold_alike_are_two_addresses(people: People, elsewhere: FakeRedirectProvider, near: str) -> None:
    await assign(people, "audit", email="boss@example.com")
    await back(people, elsewhere, replace(ADA, email=near))
    assert await bound(people) == {"audit": None}


async def test_nobody_is_called_by_anothers_address_or_the_name_of_a_service_account_that_is_gone(
    people: People, elsewhere: FakeRedirectProvider
) -> None:
    made = await people.services.accounts.create_service_account(SYSTEM, "ci")
    await people.services.accounts.delete(SYSTEM, made.id)
    names = {}
    for number, name in enumerate(("ci", "boss@example.com", "ADA@example.com", "grace", "system")):
        person = replace(ADA, subject=str(number), username=name, email=f"ada{number}@example.com" if number != 2 else ADA.email)
        names[name] = (await back(people, elsewhere, person)).user.username
    assert names == {
        "ci": "ci (okta)",
        "boss@example.com": "ada1@example.com",
        "ADA@example.com": "ADA@example.com",
        "grace": "grace",
        "system": "system (okta)",
    }


async def test_a_network_of_one_subscriber_counts_as_one_address(people: People, elsewhere: FakeRedirectProvider) -> None:
    for number in range(10):
        visitor = replace(VISITOR, address=f"2001:db8:1:2::{number}")
        begun = await begin(people, elsewhere, visitor)
        with pytest.raises(Refused):
            await people.services.sign_in.finish(visitor, {"state": begun.state, "code": "guessed"})
    with pytest.raises(TooManyRequests):
        await back(people, elsewhere, visitor=replace(VISITOR, address="2001:db8:1:2:ffff::1"))
    assert (await back(people, elsewhere, visitor=replace(VISITOR, address="2001:db8:1:3::1"))).text


async def test_an_unverified_address_gets_nothing_until_it_is_verified(people: People, elsewhere: FakeRedirectProvider) -> None:
    await assign(people, "audit")
    user = (await back(people, elsewhere, replace(ADA, email_verified=False))).user
    assert await bound(people) == {"audit": None}
    assert not user.email_verified
    assert (await back(people, elsewhere)).user.email_verified
    assert await bound(people) == {"audit": user.id}


async def test_an_address_that_changed_elsewhere_is_in_the_record(people: People, elsewhere: FakeRedirectProvider) -> None:
    user = (await back(people, elsewhere)).user
    await back(people, elsewhere)
    await back(people, elsewhere, replace(ADA, email="lovelace@example.com"))
    (entry,) = [each for each in await rows(people, AuditEntry) if each.action == "user.update"]
    assert (entry.resource_id, entry.detail["email"]) == (user.id, "lovelace@example.com")
    assert entry.detail["was"] == {"email": "Ada@Example.com", "verified": True}


@pytest.mark.parametrize("verified", [True, False])
@pytest.mark.parametrize("changes", [{"subject": "ada-2"}, {"issuer": "https://evil.example"}])
async def test_a_second_subject_with_the_address_is_refused_and_both_are_named_to_the_admin(
    people: People, elsewhere: FakeRedirectProvider, changes: dict[str, Any], verified: bool
) -> None:
    await assign(people, "audit")
    ada = (await back(people, elsewhere)).user
    second = replace(ADA, username="second", email_verified=verified, **changes)
    with pytest.raises(Refused, match="another account; ask an administrator") as refused:
        await back(people, elsewhere, second)
    assert not [text for text in (ada.id, "ada-1", "ada-2") if text in refused.value.detail]
    assert [user.id for user in await rows(people, User)] == [ada.id]
    assert await bound(people) == {"audit": ada.id}
    (entry,) = [each for each in await rows(people, AuditEntry) if each.outcome == "refused"]
    assert (entry.detail["user"], entry.detail["subject"], entry.detail["issuer"]) == (ada.id, "ada-1", "https://idp.example")
    assert entry.detail["refused-user"] is None
    assert (entry.detail["refused-subject"], entry.detail["refused-issuer"]) == (second.subject, second.issuer)


async def test_a_known_user_who_changes_to_anothers_address_is_refused_and_named(people: People, elsewhere: FakeRedirectProvider) -> None:
    bob = (await back(people, elsewhere, Identity("bob", "https://idp.example", "bob@example.com", True, "bob"))).user
    await assign(people, "audit")
    ada = (await back(people, elsewhere)).user
    with pytest.raises(Refused):
        await back(people, elsewhere, Identity("bob", "https://idp.example", "ada@example.com", True, "bob"))
    (entry,) = [each for each in await rows(people, AuditEntry) if each.outcome == "refused"]
    assert (entry.detail["user"], entry.detail["refused-user"]) == (ada.id, bob.id)
    assert {user.email for user in await rows(people, User)} == {"bob@example.com", "Ada@Example.com"}


async def test_of_two_who_come_at_once_with_one_address_one_gets_the_roles(people: People, elsewhere: FakeRedirectProvider) -> None:
    await assign(people, "audit", "developer")
    both = [back(people, elsewhere, replace(ADA, subject=f"ada-{number}", username=f"ada-{number}")) for number in (1, 2)]
    results = await asyncio.gather(*both, return_exceptions=True)
    welcomes = [result for result in results if isinstance(result, Welcome)]
    assert [type(result) for result in results if not isinstance(result, Welcome)] == [Refused]
    assert set((await bound(people)).values()) == {welcomes[0].user.id}


async def test_a_disabled_user_is_refused_on_the_way_back(people: People, elsewhere: FakeRedirectProvider) -> None:
    user = (await back(people, elsewhere)).user
    begun = await begin(people, elsewhere)
    await people.services.accounts.disable(SYSTEM, user.id)
    with pytest.raises(Refused, match="disabled"):
        await people.services.sign_in.finish(VISITOR, elsewhere.come_back(begun.step.url, ADA))
    assert await rows(people, SignedIn) == []


async def test_a_local_user_who_is_gone_is_not_made_anew(people: People) -> None:
    async def ghost(_: object) -> Identity:
        return Identity("user-gone", "local", "alice@example.com", True, "alice")

    people.passwords.finish = ghost  # type: ignore[method-assign, assignment]
    begun = await people.services.sign_in.begin("local", VISITOR, return_to=None, base_url=BASE)
    with pytest.raises(Refused):
        await people.services.sign_in.finish(VISITOR, {"state": begun.state, "email": "alice@example.com"})
    assert await rows(people, User) == []


# -- groups


async def make_role(people: People, name: str) -> None:
    async with people.db.uow() as uow:
        described: dict[str, Any] = {
            "workspace_permission": "read",
            "pool_permission": "read",
            "created_at": uow.now(),
            "updated_at": uow.now(),
        }
        lists: dict[str, Any] = {"allow_labels": {}, "allow_names": [], "deny_labels": {}, "deny_names": []}
        uow.add(Role(id=ids.new("role"), name=name, **described, **lists))
        await uow.commit()


async def claimed(people: People) -> set[str]:
    return {row.role for row in await rows(people, ClaimedRole)}


async def test_mapped_groups_give_roles_that_the_next_sign_in_replaces(people: People, clock: FakeClock) -> None:
    mapping = {"okta": {"platform": ("developer", "audit"), "ops": ("operator",)}, "another": {"platform": ("admin",)}}
    provider = governed(people, role_mapping=mapping)
    for name in ("developer", "operator"):
        await make_role(people, name)
    user = (await back(people, provider, replace(ADA, groups=frozenset({"platform", "unmapped"})))).user
    assert await claimed(people) == {"developer", "audit"}
    assert user.roles_claimed_at == clock.now()
    clock.advance(timedelta(hours=1))
    user = (await back(people, provider, replace(ADA, groups=frozenset({"ops"})))).user
    assert await claimed(people) == {"operator"}
    assert user.roles_claimed_at == clock.now()
    await back(people, provider)
    assert await claimed(people) == set()
    changes = [each.detail for each in await rows(people, AuditEntry) if each.action == "user.claim-roles"]
    assert sorted(tuple(each["roles"]) for each in changes) == [(), ("audit", "developer"), ("operator",)]


async def test_a_group_called_admin_gives_nothing_and_one_that_is_mapped_to_admin_does(people: People) -> None:
    groups = frozenset({"admin", "audit", "everyone", "bosses"})
    provider = governed(people, role_mapping={"okta": {"owners": ("admin",)}})
    user = (await back(people, provider, replace(ADA, groups=groups))).user
    assert await claimed(people) == set()
    provider = governed(people, role_mapping={"okta": {"bosses": ("admin",)}})
    assert (await back(people, provider, replace(ADA, groups=groups))).user.id == user.id
    assert await claimed(people) == {PlatformRole.ADMIN.value}


async def test_a_role_that_does_not_exist_is_left_out_and_told_in_the_log(people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    log = CapturingLogger()
    monkeypatch.setattr(identities, "log", log)
    provider = governed(people, role_mapping={"okta": {"team": ("developer", "misspelt", "everyone")}})
    await make_role(people, "developer")
    await back(people, provider, replace(ADA, groups=frozenset({"team"})))
    assert await claimed(people) == {"developer"}
    (told,) = log.calls
    assert told.method_name == "warning"
    assert told.kwargs["roles"] == ["everyone", "misspelt"]


async def test_roles_of_groups_count_for_a_day_and_assigned_ones_for_ever(people: People, clock: FakeClock) -> None:
    provider = governed(people, role_mapping={"okta": {"bosses": ("admin",)}})
    await assign(people, "audit")
    boss = replace(ADA, groups=frozenset({"bosses"}))
    text = await people.token((await back(people, provider, boss)).user.id)
    for hours, platform in ((23, {"admin", "audit"}), (1, {"audit"})):
        clock.advance(hours=hours)
        assert (await people.actor(text)).platform == platform
    await back(people, provider, boss)
    assert (await people.actor(text)).platform == {"admin", "audit"}


async def test_tokens_rest_while_their_user_does_not_sign_in_where_they_belong(people: People, clock: FakeClock) -> None:
    provider = governed(people)
    elsewheres = await people.token((await back(people, provider)).user.id)
    others = [await people.token(await people.user("alice"))]
    others.append(await people.token((await people.services.accounts.create_service_account(SYSTEM, "ci")).id))
    clock.advance(days=29)
    assert await people.services.tokens.authenticate(elsewheres) is not None
    clock.advance(days=1)
    assert await people.services.tokens.authenticate(elsewheres) is None
    assert None not in [await people.services.tokens.authenticate(text) for text in others]
    await back(people, provider)
    assert await people.services.tokens.authenticate(elsewheres) is not None


async def test_a_local_user_has_no_groups(people: People) -> None:
    governed(people, role_mapping={"local": {"team": ("admin",)}})
    alice = await people.user("alice")
    await people.session("alice@example.com")
    (user,) = await rows(people, User)
    assert (user.id, user.roles_claimed_at, user.email_verified) == (alice, None, True)
    assert await claimed(people) == set()


async def test_one_person_twice_at_once_with_new_groups_is_one_user_with_each_role_once(people: People) -> None:
    provider = governed(people, role_mapping={"okta": {"team": ("developer", "audit")}})
    await make_role(people, "developer")
    person = replace(ADA, groups=frozenset({"team"}))
    first, second = await asyncio.gather(back(people, provider, person), back(people, provider, person))
    assert first.user.id == second.user.id
    assert await claimed(people) == {"developer", "audit"}


@pytest.mark.parametrize(
    ("waiting", "groups", "verified", "let_in"),
    [
        ((), (), True, False),
        (("audit",), (), True, True),
        (("audit",), (), False, False),
        ((), ("team",), False, True),
        ((), ("strangers",), True, False),
        ((), ("misspelt",), True, False),
    ],
)
async def test_where_only_the_invited_come_in_a_role_or_a_mapped_group_is_the_invitation(
    people: People, waiting: tuple[str, ...], groups: tuple[str, ...], verified: bool, let_in: bool
) -> None:
    mapping = {"okta": {"team": ("audit",), "misspelt": ("no-such-role",)}}
    provider = governed(people, role_mapping=mapping, allow_new_users="assigned")
    await assign(people, *waiting)
    person = replace(ADA, groups=frozenset(groups), email_verified=verified)
    if let_in:
        user = (await back(people, provider, person)).user
        assert (await back(people, provider, replace(person, groups=frozenset()))).user.id == user.id, "they are no newcomer any more"
        return
    with pytest.raises(Refused, match="ask an administrator"):
        await back(people, provider, person)
    assert await rows(people, User) == []
    assert set((await bound(people)).values()) <= {None}
