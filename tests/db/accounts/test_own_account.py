"""What users do about themselves: their name, their password, where they are signed in."""

from __future__ import annotations

from typing import Any

import pytest

from terrapod_core.accounts import Visitor
from terrapod_core.authz import PlatformRole
from terrapod_core.plugin import Identity
from terrapod_core.testing import FakeClock
from tests.support.api import API
from tests.support.people import BASE, PASSWORD, People

NEW = "another walnut drawer"


def document(**attributes: object) -> dict[str, Any]:
    return {"data": {"type": "users", "attributes": attributes}}


def passwords(current: str = PASSWORD, new: str = NEW, again: str | None = None) -> dict[str, Any]:
    return document(current_password=current, password=new, password_confirmation=again if again is not None else new)


@pytest.fixture
async def api(people: People) -> API:
    """Alice's, in a session."""
    await people.user("alice")
    return API(people, await people.session("alice@example.com"))


async def through_elsewhere(people: People) -> str:
    """A session of a user of another provider."""
    people.elsewhere.person = Identity("7", "https://idp.example", "carol@example.com", True, "carol")
    visitor = Visitor(browser="b", address="192.0.2.9")
    begun = await people.services.sign_in.begin("corporate", visitor, return_to=None, base_url=BASE)
    return (await people.services.sign_in.finish(visitor, {"state": begun.state})).text


# -- the name


async def test_a_user_changes_their_name(api: API, people: People) -> None:
    changed = await api("PATCH", "account/update", document(username="Alice L."))
    assert (changed.status, changed.attributes["username"]) == (200, "Alice L.")
    assert (await api("GET", "account/details")).attributes["username"] == "Alice L."
    assert (await api("PATCH", "account/update", document(username="alice@example.com", email="alice@example.com"))).status == 200
    assert ("user.update", "alice", "allowed") in await people.audited()


@pytest.mark.parametrize("name", ["bob", "bob@example.com", "root@example.com", "System", " Terrapod", "", " ", "a\nb", "x" * 300])
async def test_nobody_takes_a_name_that_is_anothers_or_looks_like_it(api: API, people: People, name: str) -> None:
    await people.user("bob")
    refused = await api("PATCH", "account/update", document(username=name))
    assert refused.status in (409, 422)
    assert "None" not in refused.sentence
    assert (await api("GET", "account/details")).attributes["username"] == "alice"


async def test_ones_own_address_is_changed_by_an_admin(api: API) -> None:
    reply = await api("PATCH", "account/update", document(email="new@example.com"))
    assert (reply.status, reply.pointer) == (422, "/data/attributes/email")


async def test_a_user_of_another_provider_keeps_its_name_and_has_no_password_here(people: People) -> None:
    carol = API(people, await through_elsewhere(people))
    details = (await carol("GET", "account/details")).attributes
    assert (details["is-sso-login"], details["permissions"]["can-change-username"]) == (True, False)
    assert (await carol("PATCH", "account/update", document(username="root"))).status == 403
    assert (await carol("PATCH", "account/password", passwords())).status == 409


# -- the password


async def test_a_new_password_ends_the_other_sessions_and_keeps_this_one(api: API, people: People) -> None:
    other = await people.session("alice@example.com")
    token = await people.token((await api("GET", "account/details")).data["id"])
    changed = await api("PATCH", "account/password", passwords())
    assert changed.status == 200
    assert (await api("GET", "account/details")).status == 200
    assert await people.services.tokens.authenticate(other) is None
    assert await people.services.tokens.authenticate(token) is not None
    assert await people.session("alice@example.com", NEW)
    assert ("user.change-password", "alice", "allowed") in await people.audited()


@pytest.mark.parametrize(
    ("sent", "pointer"),
    [
        (passwords("not my password"), "/data/attributes/current_password"),
        (passwords(""), "/data/attributes/current_password"),
        (passwords(new="short"), "/data/attributes/password"),
        (passwords(again="something else"), "/data/attributes/password_confirmation"),
        (document(current_password=PASSWORD, password=NEW), "/data/attributes/password-confirmation"),
    ],
)
async def test_a_password_that_is_not_changed_stays(api: API, people: People, sent: object, pointer: str) -> None:
    other = await people.session("alice@example.com")
    reply = await api("PATCH", "account/password", sent)
    assert (reply.status, reply.pointer) == (422, pointer)
    assert NEW not in str(reply.json)
    assert await people.services.tokens.authenticate(other) is not None
    assert await people.session("alice@example.com", PASSWORD)


async def test_guessing_the_password_with_a_stolen_session_is_slow(api: API, people: People, clock: FakeClock) -> None:
    for _ in range(10):
        assert (await api("PATCH", "account/password", passwords("a guess"))).status == 422
    asked = people.passwords.asked
    refused = await api("PATCH", "account/password", passwords())
    assert (refused.status, int(refused.headers["Retry-After"]) > 0) == (429, True)
    assert people.passwords.asked == asked
    clock.advance(minutes=5)
    assert (await api("PATCH", "account/password", passwords())).status == 200
    assert (await people.audited()).count(("user.change-password", "alice", "refused")) == 10


async def test_a_busy_server_has_not_judged_the_password(api: API, people: People) -> None:
    people.passwords.busy = True
    for _ in range(12):
        assert (await api("PATCH", "account/password", passwords())).status == 429
    people.passwords.busy = False
    assert (await api("PATCH", "account/password", passwords())).status == 200


# -- sessions


async def ids(api: API, path: str = "auth/sessions") -> list[str]:
    return [each["id"] for each in (await api("GET", path)).data]


async def test_a_user_ends_one_session_or_all_others(api: API, people: People, clock: FakeClock) -> None:
    others = []
    for _ in range(3):
        clock.advance(seconds=1)
        others.append(await people.session("alice@example.com"))
    latest = (await people.actor(others[-1])).session_id
    assert len(await ids(api)) == 4
    assert (await api("DELETE", f"auth/sessions/{latest}")).status == 204
    assert await people.services.tokens.authenticate(others[-1]) is None
    assert await people.services.tokens.authenticate(others[0]) is not None
    assert (await api("DELETE", "auth/sessions")).status == 204
    assert len(await ids(api)) == 1
    assert (await api("DELETE", f"auth/sessions/{latest}")).status == 404
    actions = [action for action, _, _ in await people.audited()]
    assert (actions.count("session.revoke"), actions.count("session.revoke-all")) == (1, 1)


async def test_a_token_ends_all_sessions(api: API, people: People) -> None:
    me = (await api("GET", "account/details")).data["id"]
    program = API(people, await people.token(me))
    assert (await program("DELETE", "auth/sessions")).status == 204
    assert (await api("GET", "account/details")).status == 401
    assert await ids(program) == []


async def test_anothers_session_is_not_there_but_for_admins(api: API, people: People) -> None:
    mine = (await ids(api))[0]
    alice = (await api("GET", "account/details")).data["id"]
    await people.user("bob")
    bob = API(people, await people.session("bob@example.com"))
    assert (await bob("DELETE", f"auth/sessions/{mine}")).status == 404
    assert (await bob("DELETE", "auth/sessions")).status == 204
    assert (await api("GET", "account/details")).status == 200, "bob ended his own alone"
    root = API(people, await people.token(await people.user("root", PlatformRole.ADMIN)))
    assert await ids(root, f"admin/users/{alice}/sessions") == [mine]
    assert (await root("GET", "admin/users/user-nobody/sessions")).status == 404
    assert (await root("DELETE", f"auth/sessions/{mine}")).status == 204
    assert (await api("GET", "account/details")).status == 401
    api.token = await people.session("alice@example.com")
    assert (await root("DELETE", f"admin/users/{alice}/sessions")).status == 204
    assert (await api("GET", "account/details")).status == 401
    assert (await root("DELETE", "admin/users/user-nobody/sessions")).status == 404


async def test_where_nobody_has_a_password_none_is_changed(api: API, people: People) -> None:
    # The server was restarted without the plugin; the session and the user are still there.
    del people.services.passwords._providers["local"]  # type: ignore[attr-defined]
    reply = await api("PATCH", "account/password", passwords())
    assert (reply.status, "no plugin for passwords" in reply.sentence) == (409, True)
