"""Administering users: found, made, shut out, deleted; service accounts; and that somebody can always do it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import func, select, text

from terrapod_core.accounts import SERVICE, APIToken, AuthorizationCode, Refused, SignedIn, User, Visitor, open_accounts
from terrapod_core.audit import AuditEntry
from terrapod_core.authz import SYSTEM, PlatformRole, RoleAssignment
from terrapod_core.db.outbox import OutboxRow
from terrapod_core.errors import Conflict, NotFound
from terrapod_core.plugin import Identity
from terrapod_core.settings import Bootstrap, SettingsError
from tests.support.api import API
from tests.support.people import BASE, PASSWORD, People

FIXED = "a-fixed-token-of-at-least-32-characters"


def user(**attributes: object) -> dict[str, Any]:
    return {"data": {"type": "users", "attributes": {name.replace("_", "-"): value for name, value in attributes.items()}}}


@pytest.fixture
async def admin(people: People) -> API:
    """Of a platform admin called root."""
    return API(people, await people.token(await people.user("root", PlatformRole.ADMIN)))


async def rows(people: People, table: Any) -> int:
    return await people.db.read(lambda session: session.execute(select(func.count()).select_from(table)).scalar_one())


async def names(admin: API, query: str = "") -> list[str]:
    return [each["attributes"]["username"] for each in (await admin("GET", f"admin/users{query}")).data]


async def test_users_are_listed_in_pages_searched_and_filtered(admin: API, people: People) -> None:
    bob = await people.user("bob")
    await people.user("alice", PlatformRole.AUDIT)
    await people.services.accounts.disable(SYSTEM, bob)
    await people.services.accounts.create_service_account(SYSTEM, "ci")
    assert await names(admin) == ["alice", "bob", "ci", "root"]
    assert await names(admin, "?page[size]=1&page[number]=2") == ["bob"]
    assert await names(admin, "?q=LIC") == ["alice"]
    assert await names(admin, "?q=root@EXAMPLE") == ["root"]
    assert await names(admin, "?q=%25") == []
    assert await names(admin, "?filter[admin]=true") == ["root"]
    assert await names(admin, "?filter[admin]=false&filter[suspended]=true") == ["bob"]
    assert await names(admin, "?filter[suspended]=false&filter[service-account]=true") == ["ci"]
    assert (await admin("GET", "admin/users?filter[admin]=maybe")).status == 400


async def test_a_user_is_shown_as_go_tfe_reads_an_admin_user(admin: API, people: People) -> None:
    bob = await people.user("bob")
    shown = (await admin("GET", f"admin/users/{bob}")).data
    assert (shown["id"], shown["type"]) == (bob, "users")
    attributes = shown["attributes"]
    assert (attributes["username"], attributes["email"], attributes["is-admin"]) == ("bob", "bob@example.com", False)
    assert attributes["is-suspended"] is attributes["is-service-account"] is attributes["bootstrap-token-in-force"] is False
    assert attributes["two-factor"] == {"enabled": False, "verified": False}
    assert "password" not in attributes
    assert (await admin("GET", "admin/users/bob@example.com")).data["id"] == bob
    assert (await admin("GET", "admin/users/user-nobody")).status == 404


async def test_the_token_of_the_settings_is_told_while_it_is_in_force(people: People) -> None:
    await people.services.first_start.apply(Bootstrap(admin_email="root@example.com", admin_password=PASSWORD, admin_token=FIXED))
    api = API(people, FIXED)
    assert (await api("GET", "admin/users/root@example.com")).attributes["bootstrap-token-in-force"] is True
    me = await people.actor(FIXED)
    api.token = await people.token(me.id)
    assert (await api("DELETE", f"authentication-tokens/{me.token_id}")).status == 204
    assert (await api("GET", "admin/users/root@example.com")).attributes["bootstrap-token-in-force"] is False


READING = (("GET", "admin/users"), ("GET", "admin/users/{id}"), ("GET", "admin/users/{id}/sessions"))
WRITING = (
    ("POST", "admin/users"),
    ("PATCH", "admin/users/{id}"),
    ("DELETE", "admin/users/{id}"),
    ("DELETE", "admin/users/{id}/sessions"),
    *(
        ("POST", f"admin/users/{{id}}/actions/{action}")
        for action in ("suspend", "unsuspend", "grant_admin", "grant-admin", "revoke_admin", "revoke-admin", "reset-password")
    ),
)


@pytest.mark.parametrize(("method", "path"), [*READING, *WRITING])
async def test_auditors_look_admins_act_and_others_do_neither(people: People, method: str, path: str) -> None:
    victim = await people.user("victim", PlatformRole.ADMIN)
    document = user(username="renamed", email="new@example.com") if method in ("POST", "PATCH") else None
    for roles, reads in (((), False), ((PlatformRole.AUDIT,), True)):
        api = API(people, await people.token(await people.user(f"somebody{len(roles)}", *roles)))
        expected = 200 if reads and (method, path) in READING else 403
        assert (await api(method, path.format(id=victim), document)).status == expected
    assert (await API(people)(method, path.format(id=victim), document)).status == 401
    assert await people.session("victim@example.com"), "nothing happened to them"


# -- made and changed


async def test_an_admin_makes_a_user_who_can_sign_in(admin: API, people: People) -> None:
    made = await admin("POST", "admin/users", user(email="new@example.com", password=PASSWORD, username="newcomer"))
    assert (made.status, made.attributes["username"], made.attributes["is-admin"]) == (201, "newcomer", False)
    assert PASSWORD not in str(made.json)
    assert await people.session("new@example.com")
    again = await admin("POST", "admin/users", user(email="NEW@example.com"))
    assert again.status == 409


@pytest.mark.parametrize(
    ("document", "pointer"),
    [
        (user(), "/data/attributes/email"),
        (user(email="no address"), "/data/attributes/email"),
        (user(email="new@example.com", password="short"), "/data/attributes/password"),
        (user(email="new@example.com", username=" "), "/data/attributes/username"),
        (user(is_service_account=True), "/data/attributes/username"),
        (user(is_service_account=True, username="ci", password=PASSWORD), "/data/attributes/password"),
        (user(is_service_account=True, username="ci@example.com"), "/data/attributes/username"),
        (user(is_service_account=True, username="ci", email="no address"), "/data/attributes/email"),
    ],
)
async def test_what_makes_no_user_is_422_and_pointed_at(admin: API, people: People, document: object, pointer: str) -> None:
    reply = await admin("POST", "admin/users", document)
    assert (reply.status, reply.pointer) == (422, pointer)
    assert await rows(people, User) == 1


async def test_a_user_is_renamed_and_keeps_their_roles(admin: API, people: People) -> None:
    bob = await people.user("bob", PlatformRole.AUDIT)
    changed = await admin("PATCH", f"admin/users/{bob}", user(username="robert", email="Robert@example.com", is_admin=True))
    assert (changed.attributes["username"], changed.attributes["email"]) == ("robert", "Robert@example.com")
    assert changed.attributes["is-admin"] is changed.attributes["is-auditor"] is True
    assert await people.session("robert@example.com")
    held = await people.db.read(
        lambda session: session.execute(select(RoleAssignment).where(RoleAssignment.user_id == bob)).scalars().all()
    )
    assert {each.email_key for each in held} == {"robert@example.com"}
    assert (await admin("PATCH", f"admin/users/{bob}", user(is_admin=False))).attributes["is-admin"] is False
    assert (await admin("PATCH", f"admin/users/{bob}", user(email="root@example.com"))).status == 409
    assert (await admin("PATCH", f"admin/users/{bob}", user(username="root"))).status == 409


async def test_suspending_in_tfes_words_refuses_and_admits_again(admin: API, people: People) -> None:
    bob = await people.user("bob")
    token, session = await people.token(bob), await people.session("bob@example.com")
    assert (await admin("POST", f"admin/users/{bob}/actions/suspend")).attributes["is-suspended"] is True
    for text_ in (token, session):
        assert await people.services.tokens.authenticate(text_) is None
    assert (await admin("POST", f"admin/users/{bob}/actions/unsuspend")).attributes["is-suspended"] is False
    assert await people.services.tokens.authenticate(token) is not None
    assert await people.services.tokens.authenticate(session) is None, "sessions do not come back"


@pytest.mark.parametrize("dash", ["_", "-"])
async def test_admins_are_made_and_unmade_in_both_spellings(admin: API, people: People, dash: str) -> None:
    bob = await people.user("bob")
    assert (await admin("POST", f"admin/users/{bob}/actions/grant{dash}admin")).attributes["is-admin"] is True
    assert (await admin("POST", f"admin/users/{bob}/actions/revoke{dash}admin")).attributes["is-admin"] is False


async def test_a_disabled_users_sessions_are_refused_within_five_seconds_on_every_server(people: People) -> None:
    alice = await people.user("alice")
    session = await people.session("alice@example.com")
    elsewhere = people.restarted(people.keyring)
    assert await elsewhere.tokens.authenticate(session) is not None
    await people.services.accounts.disable(SYSTEM, alice)
    people.clock.advance(seconds=5)
    assert await elsewhere.tokens.authenticate(session) is None


# -- passwords


async def test_a_password_that_is_made_is_told_once_and_ends_the_sessions(admin: API, people: People) -> None:
    bob = await people.user("bob")
    session = await people.session("bob@example.com")
    reset = await admin("POST", f"admin/users/{bob}/actions/reset-password")
    assert reset.headers["Cache-Control"] == "no-store"
    made = reset.attributes["password"]
    assert len(made) >= 20
    assert await people.services.tokens.authenticate(session) is None
    assert await people.session("bob@example.com", made)
    assert "password" not in (await admin("GET", f"admin/users/{bob}")).attributes
    entries = await people.db.read(lambda session: session.execute(select(AuditEntry)).scalars().all())
    assert made not in repr([vars(entry) for entry in entries])


async def test_a_password_that_the_admin_chose_is_not_repeated(admin: API, people: People) -> None:
    bob = await people.user("bob")
    reset = await admin("POST", f"admin/users/{bob}/actions/reset-password", user(password="another walnut drawer"))
    assert "password" not in reset.attributes
    assert await people.session("bob@example.com", "another walnut drawer")
    weak = await admin("POST", f"admin/users/{bob}/actions/reset-password", user(password="short"))
    assert (weak.status, weak.pointer) == (422, "/data/attributes/password")


async def test_users_of_other_providers_and_service_accounts_have_no_password_to_reset(admin: API, people: People) -> None:
    ci = await people.services.accounts.create_service_account(SYSTEM, "ci")
    assert (await admin("POST", f"admin/users/{ci.id}/actions/reset-password")).status == 409


# -- deleted


async def test_what_a_deleted_user_had_goes_with_them(admin: API, people: People) -> None:
    bob = await people.user("bob", PlatformRole.AUDIT)
    token, session = await people.token(bob), await people.session("bob@example.com")
    async with people.db.uow() as uow:
        common = {"client_id": "terraform-cli", "redirect_uri": "http://localhost:10000/login", "challenge": "c", "kind": "terraform-login"}
        uow.add(AuthorizationCode(id="code-x", hash="h", user_id=bob, created_at=uow.now(), expires_at=uow.now(), **common))
        await uow.commit()
    assert (await admin("DELETE", f"admin/users/{bob}")).status == 204
    assert (await admin("GET", f"admin/users/{bob}")).status == 404
    for text_ in (token, session):
        assert await people.services.tokens.authenticate(text_) is None
    assert (await rows(people, APIToken), await rows(people, SignedIn), await rows(people, AuthorizationCode)) == (1, 0, 0)
    left = await people.db.read(lambda session: session.execute(select(RoleAssignment.user_id)).scalars().all())
    assert bob not in left
    events = await people.db.read(lambda session: session.execute(select(OutboxRow.event, OutboxRow.payload)).all())
    assert [tuple(row) for row in events] == [("UserDeleted", {"user_id": bob})]
    assert ("user.delete", "root", "allowed") in await people.audited()
    assert await people.user("bob") != bob, "the address is free again"


async def test_the_last_admin_cannot_be_deleted_though_there_is_an_admin_that_never_signs_in(people: People) -> None:
    root = await people.user("root", PlatformRole.ADMIN)
    await people.services.accounts.create_service_account(SYSTEM, "ci", roles=[PlatformRole.ADMIN])
    off = await people.user("off", PlatformRole.ADMIN)
    await people.services.accounts.disable(SYSTEM, off)
    for attempt in (people.services.accounts.delete(SYSTEM, root), people.services.accounts.disable(SYSTEM, root)):
        with pytest.raises(Conflict, match="last platform admin"):
            await attempt
    await people.services.accounts.delete(SYSTEM, off)


@pytest.mark.parametrize("first", ["delete", "disable", "demote"])
@pytest.mark.parametrize("second", ["delete", "disable", "demote"])
async def test_two_admins_cannot_be_rid_of_each_other_at_once(people: People, first: str, second: str) -> None:
    accounts = people.services.accounts
    ends: dict[str, Callable[[str], Awaitable[object]]] = {
        "delete": lambda who: accounts.delete(SYSTEM, who),
        "disable": lambda who: accounts.disable(SYSTEM, who),
        "demote": lambda who: accounts.withdraw(SYSTEM, who, PlatformRole.ADMIN),
    }
    one, other = await people.user("one", PlatformRole.ADMIN), await people.user("other", PlatformRole.ADMIN)
    results = await asyncio.gather(ends[first](one), ends[second](other), return_exceptions=True)
    assert [isinstance(each, Conflict) for each in results].count(True) == 1, results
    assert [isinstance(each, BaseException) for each in results].count(True) == 1, results


# -- service accounts


async def service_account(admin: API, **more: object) -> str:
    made = await admin("POST", "admin/users", user(is_service_account=True, username="ci", **more))
    assert made.status == 201, made.json
    return str(made.data["id"])


async def test_a_service_account_works_with_the_tokens_that_admins_make(admin: API, people: People) -> None:
    ci = await service_account(admin)
    made = await admin("POST", f"users/{ci}/authentication-tokens", user(description="pipeline"))
    assert made.status == 201
    assert made.data["relationships"]["user"]["data"]["id"] == ci
    root = (await admin("GET", "account/details")).data["id"]
    assert made.data["relationships"]["created-by"]["data"]["id"] == root
    robot = API(people, made.attributes["token"])
    account = (await robot("GET", "account/details")).data
    assert (account["id"], account["attributes"]["is-service-account"], account["attributes"]["auth-method"]) == (ci, True, "service")
    assert [each["id"] for each in (await admin("GET", f"users/{ci}/authentication-tokens")).data] == [made.data["id"]]
    assert (await robot("PATCH", "account/update", user(username="root2"))).status == 403
    assert (await robot("PATCH", "account/password", user(current_password="x", password="y", password_confirmation="y"))).status == 409
    assert (await admin("DELETE", f"authentication-tokens/{made.data['id']}")).status == 204
    assert (await robot("GET", "account/details")).status == 401


async def test_nobody_but_an_admin_makes_tokens_for_a_service_account(admin: API, people: People) -> None:
    ci = await service_account(admin)
    for roles in ((), (PlatformRole.AUDIT,)):
        api = API(people, await people.token(await people.user(f"somebody{len(roles)}", *roles)))
        assert (await api("POST", f"users/{ci}/authentication-tokens", user())).status == 403


async def test_a_service_account_cannot_sign_in_nor_have_a_session(admin: API, people: People) -> None:
    ci = await service_account(admin, email="ci@example.com")
    with pytest.raises(Refused):
        await people.session("ci@example.com")
    async with people.db.uow() as uow:
        session, _ = people.services.sessions.open(uow, await uow.session.get_one(User, ci), address=None, user_agent=None)
        await uow.commit()
    assert await people.services.tokens.authenticate(session) is None


def test_no_provider_takes_the_name_of_service_accounts() -> None:
    with pytest.raises(SettingsError, match="another name"):
        open_accounts(None, None, None, None, {SERVICE: None}, None, None)  # type: ignore[arg-type, dict-item]


async def test_roles_wait_for_a_service_account_that_is_made_later(admin: API, people: People) -> None:
    async with people.db.uow() as uow:
        waiting = RoleAssignment(id="ra-x", provider="service", email="ci@example.com", email_key="ci@example.com", role="audit")
        waiting.user_id, waiting.created_at = None, uow.now()
        uow.add(waiting)
        await uow.commit()
    ci = await service_account(admin, email="CI@example.com")
    assert (await people.actor(await people.token(ci))).platform == {PlatformRole.AUDIT}


async def test_the_name_and_address_of_a_deleted_service_account_stay_reserved(admin: API, people: People) -> None:
    ci = await service_account(admin, email="ci@example.com")
    assert (await admin("PATCH", f"admin/users/{ci}", user(username="cd"))).status == 422
    await admin("DELETE", f"admin/users/{ci}")
    for document, pointer in (
        (user(is_service_account=True, username="CI", email="other@example.com"), "username"),
        (user(is_service_account=True, username="other", email="ci@EXAMPLE.com"), "email"),
        (user(email="ci@example.com"), "username"),
        (user(email="person@example.com", username="ci"), "username"),
    ):
        reply = await admin("POST", "admin/users", document)
        assert (reply.status, reply.pointer) == (422, f"/data/attributes/{pointer}")
    alice = API(people, await people.token(await people.user("alice")))
    assert (await alice("PATCH", "account/update", user(username="ci"))).status == 422
    assert await service_account(admin, email="ci@example.com", force=True) != ci
    assert ("reserved-name.free", "root", "allowed") in await people.audited()


async def test_two_service_accounts_have_two_addresses(admin: API) -> None:
    await service_account(admin, email="bots@example.com")
    twin = await admin("POST", "admin/users", user(is_service_account=True, username="cd", email="bots@example.com"))
    assert twin.status == 409


async def test_no_digest_of_a_secret_is_told_by_any_route(admin: API, people: People) -> None:
    bob = await people.user("bob")
    token, session = await people.token(bob), await people.session("bob@example.com")
    kept = await people.db.read(
        lambda session: [
            str(row[0])
            for query in ("SELECT hash FROM api_tokens", "SELECT hash FROM sessions", "SELECT password_hash FROM users")
            for row in session.execute(text(query))
        ]
    )
    said = ""
    for path in (
        *("admin/users", f"admin/users/{bob}", f"admin/users/{bob}/sessions", f"users/{bob}", f"users/{bob}/authentication-tokens"),
        *("authentication-tokens", "account/details", "auth/sessions"),
    ):
        said += str((await admin("GET", path)).json)
    entries = await people.db.read(lambda session: session.execute(select(AuditEntry)).scalars().all())
    said += repr([vars(entry) for entry in entries])
    assert bob in said
    for secret in (*kept, token, session, token[-20:], session[-20:]):
        assert secret not in said


@pytest.mark.parametrize(
    "path",
    [
        "organizations/default/authentication-token",
        "organizations/default/team-tokens",
        "teams/team-x/authentication-token",
        "teams/team-x/authentication-tokens",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_tokens_of_organizations_and_teams_are_refused_with_the_way_out(admin: API, method: str, path: str) -> None:
    reply = await admin(method, path)
    assert reply.status == 404
    assert "service account" in reply.sentence


async def test_a_deleted_user_makes_no_token_though_they_are_remembered(people: People) -> None:
    alice = await people.user("alice")
    actor = await people.actor(await people.session("alice@example.com"))
    await people.restarted(people.keyring).accounts.delete(SYSTEM, alice)
    with pytest.raises(NotFound):
        await people.services.tokens.create(actor)


async def test_accounts_whose_names_differ_in_case_are_deleted_one_after_the_other(admin: API, people: People) -> None:
    named = {"ci": "one@example.com", "CI": "two@example.com"}
    for made in [await people.services.accounts.create_service_account(SYSTEM, name, email=email) for name, email in named.items()]:
        assert (await admin("DELETE", f"admin/users/{made.id}")).status == 204
    assert (await admin("POST", "admin/users", user(is_service_account=True, username="Ci", email="new@example.com"))).status == 422


async def test_an_admin_without_a_password_is_nobody_to_rely_on(admin: API, people: People) -> None:
    root = (await admin("GET", "account/details")).data["id"]
    made = await admin("POST", "admin/users", user(email="new@example.com", is_admin=True))
    assert made.status == 201
    refused = await admin("POST", f"admin/users/{root}/actions/revoke-admin")
    assert (refused.status, "can sign in" in refused.sentence) == (409, True)
    new = made.data["id"]
    await admin("POST", f"admin/users/{new}/actions/reset-password")
    assert (await admin("POST", f"admin/users/{root}/actions/revoke-admin")).attributes["is-admin"] is False
    with pytest.raises(Conflict, match="last platform admin"):
        await people.services.accounts.delete(SYSTEM, new)


# -- roles of those whose address nobody verified


async def unverified(people: People) -> str:
    """The id of a user of another provider who merely says that an address is theirs."""
    people.elsewhere.person = Identity("7", "https://idp.example", "boss@example.com", False, "mallory")
    visitor = Visitor(browser="b", address="192.0.2.9")
    begun = await people.services.sign_in.begin("corporate", visitor, return_to=None, base_url=BASE)
    return (await people.services.sign_in.finish(visitor, {"state": begun.state})).user.id


async def test_an_address_that_nobody_verified_gets_no_platform_role_by_its_name(admin: API, people: People) -> None:
    mallory = await unverified(people)
    for reply in (
        await admin("POST", "admin/users/boss@example.com/actions/grant-admin"),
        await admin("PATCH", "admin/users/boss@example.com", user(is_admin=True)),
    ):
        assert (reply.status, mallory in reply.sentence) == (409, True)
    assert (await admin("GET", f"admin/users/{mallory}")).attributes["is-admin"] is False
    assert (await admin("POST", f"admin/users/{mallory}/actions/grant-admin")).attributes["is-admin"] is True


async def test_a_role_that_waits_for_the_address_is_theirs_whom_an_admin_gives_it(admin: API, people: People) -> None:
    mallory = await unverified(people)
    await waits(people, "corporate", "boss@example.com", PlatformRole.ADMIN)
    assert (await admin("POST", f"admin/users/{mallory}/actions/grant-admin")).attributes["is-admin"] is True
    held = await people.db.read(lambda session: session.execute(select(RoleAssignment.user_id)).scalars().all())
    assert held.count(mallory) == 1


async def test_a_new_address_brings_no_roles_that_wait_for_it(admin: API, people: People) -> None:
    bob = await people.user("bob")
    await waits(people, "local", "boss@example.com", PlatformRole.ADMIN)
    moved = await admin("PATCH", f"admin/users/{bob}", user(email="boss@example.com"))
    assert (moved.status, "take those away first" in moved.sentence) == (409, True)
    assert (await admin("GET", f"admin/users/{bob}")).attributes["email"] == "bob@example.com"


async def waits(people: People, provider: str, email: str, role: PlatformRole) -> None:
    async with people.db.uow() as uow:
        waiting = RoleAssignment(id="ra-x", provider=provider, email=email, email_key=email, role=role.value)
        waiting.user_id, waiting.created_at = None, uow.now()
        uow.add(waiting)
        await uow.commit()
