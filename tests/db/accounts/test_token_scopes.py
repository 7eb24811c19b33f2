"""Narrowed tokens: stored, shown, inherited; and how long-lived a token may be for whom."""

from __future__ import annotations

import hmac
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from terrapod_core.accounts import Narrowing, SignInAgain
from terrapod_core.audit import AuditEntry
from terrapod_core.authz import SYSTEM, Level, PlatformRole, Scope
from terrapod_core.errors import Forbidden, Invalid
from terrapod_core.settings import Bootstrap, SettingsError
from terrapod_core.testing import FakeClock
from tests.support.api import API
from tests.support.people import PASSWORD, People

FIXED = "a-fixed-token-of-at-least-32-characters"


def new(workspaces: list[str] | None = None, **attributes: object) -> dict[str, Any]:
    data: dict[str, Any] = {"type": "authentication-tokens", "attributes": attributes}
    if workspaces is not None:
        data["relationships"] = {"workspaces": {"data": [{"type": "workspaces", "id": each} for each in workspaces]}}
    return {"data": data}


AS_ATTRIBUTE = {"data": {"attributes": {"permission": "read", "workspaces": ["ws-two", "ws-one", "ws-two"]}}}


@pytest.fixture
async def api(people: People) -> API:
    """Alice's, in a house with two workspaces."""
    people.readable = {"ws-one", "ws-two"}
    return API(people, await people.token(await people.user("alice")))


@pytest.mark.parametrize("document", [AS_ATTRIBUTE, new(["ws-one", "ws-two"], permission="read")])
async def test_a_scope_is_stored_shown_and_given_to_the_gate(api: API, people: People, document: object) -> None:
    reply = await api("POST", "authentication-tokens", document)
    assert reply.status == 201
    shown = (await api("GET", f"authentication-tokens/{reply.data['id']}")).data
    for each in (reply.data, shown):
        assert each["attributes"]["permission"] == "read"
        assert each["attributes"]["workspaces"] == ["ws-one", "ws-two"]
        assert [ref["id"] for ref in each["relationships"]["workspaces"]["data"]] == ["ws-one", "ws-two"]
    actor = await people.actor(reply.attributes["token"])
    assert actor.scope == Scope(Level.READ, frozenset({"ws-one", "ws-two"}))


async def test_a_token_without_a_scope_says_so(api: API, people: People) -> None:
    reply = await api("POST", "authentication-tokens", new())
    assert (reply.attributes["permission"], reply.attributes["workspaces"]) == (None, None)
    assert "workspaces" not in reply.data["relationships"]
    assert (await people.actor(reply.attributes["token"])).scope is None


@pytest.mark.parametrize(
    ("document", "pointer"),
    [
        (new(permission="everything"), "/data/attributes/permission"),
        (new(permission=1), "/data/attributes/permission"),
        (new(workspaces=["ws-hidden"]), "/data/relationships/workspaces"),
        ({"data": {"attributes": {"workspaces": ["ws-one", "ws-hidden"]}}}, "/data/attributes/workspaces"),
        ({"data": {"attributes": {"workspaces": []}}}, "/data/attributes/workspaces"),
        ({"data": {"attributes": {"workspaces": "ws-one"}}}, "/data/attributes/workspaces"),
    ],
)
async def test_a_scope_that_cannot_be_is_422_and_pointed_at(api: API, document: Any, pointer: str) -> None:
    reply = await api("POST", "authentication-tokens", document)
    assert reply.status == 422
    assert reply.pointer == pointer
    assert len((await api("GET", "authentication-tokens")).data) == 1


async def test_workspaces_are_named_once(api: API) -> None:
    twice = new(["ws-one"])
    twice["data"]["attributes"]["workspaces"] = ["ws-two"]
    reply = await api("POST", "authentication-tokens", twice)
    assert (reply.status, reply.pointer) == (422, "/data/relationships/workspaces")


async def test_a_token_made_with_a_narrowed_one_is_as_narrow_and_dies_with_it(api: API, people: People) -> None:
    parent = await api("POST", "authentication-tokens", new(["ws-one"], permission="plan"))
    narrow = API(people, parent.attributes["token"])
    child = await narrow("POST", "authentication-tokens", new())
    assert (child.attributes["permission"], child.attributes["workspaces"]) == ("plan", ["ws-one"])
    for wider in (new(permission="write"), new(["ws-two"]), new(["ws-one", "ws-two"])):
        assert (await narrow("POST", "authentication-tokens", wider)).status == 422
    grandchild = await API(people, child.attributes["token"])("POST", "authentication-tokens", new(permission="read"))
    assert (await people.actor(grandchild.attributes["token"])).scope == Scope(Level.READ, frozenset({"ws-one"}))
    assert (await api("DELETE", f"authentication-tokens/{parent.data['id']}")).status == 204
    for text in (parent, child, grandchild):
        assert await people.services.tokens.authenticate(text.attributes["token"]) is None


async def test_a_narrowed_token_looks_after_itself_and_nothing_else_of_the_account(api: API, people: People) -> None:
    made = await api("POST", "authentication-tokens", new(["ws-one"], permission="admin"))
    narrow = API(people, made.attributes["token"])
    other = (await people.actor(api.token or "")).token_id
    assert (await narrow("GET", "account/details")).status == 200
    assert (await narrow("GET", f"authentication-tokens/{made.data['id']}")).status == 200
    assert (await narrow("DELETE", f"authentication-tokens/{other}")).status in (403, 404)
    passwords = {"current_password": PASSWORD, "password": "another walnut drawer", "password_confirmation": "another walnut drawer"}
    for method, path, sent in (
        ("PATCH", "account/update", {"username": "mallory"}),
        ("PATCH", "account/password", passwords),
        ("DELETE", "auth/sessions", None),
        ("DELETE", "auth/sessions/session-x", None),
    ):
        reply = await narrow(method, path, {"data": {"attributes": sent}} if sent else None)
        assert (reply.status, reply.json["errors"][0]["code"]) == (403, "token_scope"), path
    assert (await narrow("DELETE", f"authentication-tokens/{made.data['id']}")).status == 204


async def test_an_admins_narrowed_token_administers_nobody(people: People) -> None:
    root = await people.user("root", PlatformRole.ADMIN)
    narrow = API(people, await people.token(root, narrowing=Narrowing("admin")))
    assert (await narrow("POST", "admin/users", {"data": {"attributes": {"email": "new@example.com"}}})).status == 403
    assert (await narrow("POST", f"admin/users/{root}/actions/suspend")).status == 403


async def test_the_scope_is_in_the_record(people: People) -> None:
    people.readable = {"ws-one"}
    await people.token(await people.user("alice"), narrowing=Narrowing("read", ["ws-one"]))
    rows = await people.db.read(lambda session: session.execute(select(AuditEntry)).scalars().all())
    detail = next(row.detail for row in rows if row.action == "authentication-token.create")
    assert (detail["permission"], detail["workspaces"]) == ("read", ["ws-one"])


# -- how long-lived, and how soon after a sign-in


async def test_a_session_makes_long_lived_tokens_only_soon_after_its_sign_in(people: People, clock: FakeClock) -> None:
    await people.user("alice")
    api = API(people, await people.session("alice@example.com"))
    assert (await api("POST", "authentication-tokens", new())).status == 201
    clock.advance(minutes=people.settings.tokens.reauthenticate_minutes)
    stale = await api("POST", "authentication-tokens", new())
    assert (stale.status, stale.json["errors"][0]["code"]) == (403, "reauthentication_needed")
    assert "sign in again" in stale.sentence
    month = clock.now() + timedelta(days=people.settings.tokens.reauthenticate_days)
    assert (await api("POST", "authentication-tokens", new(expired_at=month.isoformat()))).status == 201
    longer = month + timedelta(seconds=1)
    assert (await api("POST", "authentication-tokens", new(expired_at=longer.isoformat()))).status == 403
    api.token = await people.session("alice@example.com")
    assert (await api("POST", "authentication-tokens", new(expired_at=longer.isoformat()))).status == 201


async def test_a_session_that_ended_makes_none_though_it_is_remembered(people: People) -> None:
    await people.user("alice")
    actor = await people.actor(await people.session("alice@example.com"))
    await people.restarted(people.keyring).sessions.end(actor)
    with pytest.raises(SignInAgain):
        await people.services.tokens.create(actor)


async def test_the_token_of_the_settings_makes_none_beyond_the_default_lifetime(people: People, clock: FakeClock) -> None:
    await people.services.first_start.apply(Bootstrap(admin_token=FIXED))
    actor = await people.actor(FIXED)
    default = clock.now() + timedelta(days=people.settings.tokens.default_days)
    assert (await people.services.tokens.create(actor)).expires_at == default
    assert (await people.services.tokens.create(actor, expires_at=default)).expires_at == default
    with pytest.raises(Invalid, match="token of the settings"):
        await people.services.tokens.create(actor, expires_at=default + timedelta(seconds=1))


async def test_what_was_made_with_the_token_of_the_settings_dies_when_another_takes_its_place(people: People) -> None:
    await people.services.first_start.apply(Bootstrap(admin_token=FIXED))
    child = await people.services.tokens.create(await people.actor(FIXED))
    await people.services.first_start.apply(Bootstrap(admin_token=FIXED))
    assert await people.services.tokens.authenticate(child.text) is not None, "the same token changes nothing"
    await people.services.first_start.apply(Bootstrap(admin_token=FIXED[::-1]))
    assert await people.services.tokens.authenticate(child.text) is None


async def test_the_token_of_the_settings_can_be_told_from_others(people: People) -> None:
    await people.services.first_start.apply(Bootstrap(admin_token=FIXED))
    api = API(people, FIXED)
    me = (await api("GET", "account/details")).data["id"]
    await people.token(me)
    listed = (await api("GET", f"users/{me}/authentication-tokens")).data
    assert sorted((each["attributes"]["origin"], each["attributes"]["expired-at"] is None) for each in listed) == [
        ("bootstrap", True),
        ("command", False),
    ]


@pytest.mark.parametrize("prefix", ["terrapod-at-", "terrapod-session-"])
async def test_an_unknown_text_is_compared_as_often_as_a_known_one(people: People, monkeypatch: pytest.MonkeyPatch, prefix: str) -> None:
    alice = await people.user("alice")
    known = await people.token(alice) if prefix == "terrapod-at-" else await people.session("alice@example.com")
    compared: list[int] = []
    real = hmac.compare_digest

    def counting(first: str, second: str) -> bool:
        compared.append(len(first))
        return real(first, second)

    monkeypatch.setattr(hmac, "compare_digest", counting)
    assert await people.services.tokens.authenticate(known) is not None
    for_known, compared[:] = list(compared), []
    assert await people.services.tokens.authenticate(prefix + "x" * (len(known) - len(prefix))) is None
    assert compared == for_known
    assert compared


async def test_a_users_own_token_cannot_be_made_for_a_person_by_an_admin(people: People) -> None:
    alice = await people.user("alice")
    root = await people.actor(await people.token(await people.user("root", PlatformRole.ADMIN)))
    with pytest.raises(Forbidden):
        await people.services.tokens.create(root, user_id=alice)
    assert (await people.services.tokens.create(SYSTEM, user_id=alice)).user_id == alice


async def test_a_token_for_some_workspaces_sees_no_addresses_of_others(api: API, people: People) -> None:
    alice = (await api("GET", "account/details")).data["id"]
    auditor = await people.user("audrey", PlatformRole.AUDIT)
    whole, narrow = [
        API(people, await people.token(auditor, narrowing=narrowing)) for narrowing in (Narrowing(), Narrowing(workspace_ids=["ws-one"]))
    ]
    assert (await whole("GET", f"users/{alice}")).attributes["email"] == "alice@example.com"
    assert "email" not in (await narrow("GET", f"users/{alice}")).attributes
    assert (await narrow("GET", "account/details")).attributes["email"] == "audrey@example.com"


async def test_the_settings_token_is_that_of_the_admin_whom_the_settings_name_now(people: People) -> None:
    await people.services.first_start.apply(Bootstrap(admin_token=FIXED))
    await people.services.first_start.apply(Bootstrap(admin_email="second@example.com", admin_token=FIXED))
    assert (await people.actor(FIXED)).email == "second@example.com"


async def test_an_admins_address_that_is_anothers_name_is_a_mistake_in_the_settings(people: People) -> None:
    await people.services.accounts.create_user(SYSTEM, "alice@example.com", username="root@example.com")
    with pytest.raises(SettingsError, match="another user is called that"):
        await people.services.first_start.apply(Bootstrap(admin_email="root@example.com"))
