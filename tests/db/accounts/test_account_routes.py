from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import pytest

from terrapod_core.authz import SYSTEM, PlatformRole
from terrapod_core.testing import FakeClock
from tests.support.api import API, HOST
from tests.support.people import BASE, PASSWORD, People


def new(**attributes: object) -> dict[str, Any]:
    return {"data": {"type": "authentication-tokens", "attributes": attributes}}


@pytest.fixture
async def api(people: People) -> API:
    """Alice's."""
    api = API(people)
    api.token = await people.token(await people.user("alice"))
    return api


async def test_the_account_says_what_the_contract_and_go_tfe_ask_for(api: API) -> None:
    reply = await api("GET", "account/details")
    assert reply.status == 200
    assert reply.data["type"] == "users"
    attributes = reply.data["attributes"]
    assert (attributes["username"], attributes["email"], attributes["is-service-account"]) == ("alice", "alice@example.com", False)
    assert attributes["two-factor"] == {"enabled": False, "verified": False}
    assert attributes["is-admin"] is attributes["is-site-admin"] is attributes["is-sso-login"] is False
    assert attributes["permissions"]["can-manage-user-tokens"] is True
    assert reply.data["relationships"]["authenticated-resource"]["data"] == {"id": reply.data["id"], "type": "users"}


async def test_the_details_of_an_account_can_be_included_where_it_is_named(api: API) -> None:
    reply = await api("POST", "authentication-tokens?include=created_by", new(description="ci"))
    assert [each["attributes"]["username"] for each in reply.json["included"]] == ["alice"]


async def test_another_user_is_shown_without_their_address(api: API, people: People) -> None:
    bob = await people.user("bob", PlatformRole.ADMIN)
    attributes = (await api("GET", f"users/{bob}")).data["attributes"]
    assert attributes["username"] == "bob"
    assert "email" not in attributes
    assert "is-admin" not in attributes
    assert (await api("GET", "users/user-nobody")).status == 404


@pytest.mark.parametrize("path", ["authentication-tokens", "users/{me}/authentication-tokens"])
@pytest.mark.parametrize("kind", ["authentication-tokens", "authentication-token", "", None])
async def test_a_token_is_made_whatever_its_type_is_called(api: API, path: str, kind: str | None) -> None:
    me = (await api("GET", "account/details")).data["id"]
    document = new(description="ci")
    document["data"]["type"] = kind
    reply = await api("POST", path.format(me=me), document)
    assert reply.status == 201
    assert reply.headers["Cache-Control"] == "no-store"
    text, token_id = reply.data["attributes"]["token"], reply.data["id"]
    assert text.startswith(f"terrapod-{token_id}-")
    assert reply.data["relationships"]["created-by"]["data"] == {"id": me, "type": "users"}
    shown = await api("GET", f"authentication-tokens/{token_id}")
    assert shown.data["attributes"]["token"] is None
    assert shown.data["attributes"]["description"] == "ci"
    api.token = text
    assert (await api("GET", "account/details")).status == 200
    assert (await api("DELETE", f"authentication-tokens/{token_id}")).status == 204
    assert (await api("GET", "account/details")).status == 401


@pytest.mark.parametrize("expired_at", [None, "absent"])
async def test_without_an_end_a_token_gets_the_default_one_in_go_tfes_form(api: API, expired_at: str | None) -> None:
    reply = await api("POST", "authentication-tokens", new() if expired_at else new(**{"expired-at": None}))
    assert reply.data["attributes"]["expired-at"] == "2027-01-01T12:00:00Z"
    assert reply.data["attributes"]["created-at"] == "2026-01-01T12:00:00Z"


@pytest.mark.parametrize(
    "expired_at", [0, -1, "", "soon", "2025-12-31T00:00:00Z", "2026-01-01T12:00:00Z", "2098-01-01T00:00:00Z", True, {}]
)
async def test_an_end_that_cannot_be_is_422_and_pointed_at(api: API, expired_at: object) -> None:
    reply = await api("POST", "authentication-tokens", new(**{"expired-at": expired_at}))
    assert reply.status == 422
    assert reply.json["errors"][0]["source"]["pointer"] == "/data/attributes/expired-at"


async def test_lists_of_tokens_are_paged_and_the_users_own_is_whole_unless_asked(api: API) -> None:
    me = (await api("GET", "account/details")).data["id"]
    for _ in range(24):
        await api("POST", "authentication-tokens", new())
    paged = await api("GET", "authentication-tokens")
    assert (len(paged.data), paged.json["meta"]["pagination"]["total-count"]) == (20, 25)
    assert len((await api("GET", f"users/{me}/authentication-tokens")).data) == 25
    asked = await api("GET", f"users/{me}/authentication-tokens?page[number]=2&page[size]=20")
    assert (len(asked.data), asked.json["meta"]["pagination"]["current-page"]) == (5, 2)


async def test_anothers_tokens_cannot_be_listed_shown_made_or_deleted(api: API, people: People) -> None:
    bob = await people.user("bob")
    theirs = (await people.actor(await people.token(bob))).token_id
    assert (await api("GET", f"users/{bob}/authentication-tokens")).data == []
    assert (await api("GET", f"authentication-tokens/{theirs}")).status == 404
    assert (await api("DELETE", f"authentication-tokens/{theirs}")).status == 404
    assert (await api("POST", f"users/{bob}/authentication-tokens", new())).status == 403
    assert (await api("POST", "users/user-nobody/authentication-tokens", new())).status == 404


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "account/details"),
        ("GET", "users/user-x"),
        ("GET", "authentication-tokens"),
        ("POST", "authentication-tokens"),
        ("GET", "authentication-tokens/at-x"),
        ("DELETE", "authentication-tokens/at-x"),
        ("GET", "users/user-x/authentication-tokens"),
        ("POST", "users/user-x/authentication-tokens"),
        ("GET", "auth/sessions"),
        ("POST", "auth/logout"),
    ],
)
async def test_nobody_in_particular_is_401(people: People, method: str, path: str) -> None:
    api = API(people)
    assert (await api(method, path, new() if method == "POST" else None)).status == 401


async def test_a_cookie_never_authenticates_the_api(people: People) -> None:
    await people.user("alice")
    text = await people.session("alice@example.com")
    api = API(people)
    for name in ("terrapod", "__Host-terrapod", "Authorization"):
        assert (await api("GET", "account/details", Cookie=f"{name}={text}")).status == 401
    api.token = text
    assert (await api("GET", "account/details")).status == 200, "the same text as bearer does"


async def test_a_disabled_users_token_is_refused_within_five_seconds(api: API, people: People, clock: FakeClock) -> None:
    assert (await api("GET", "account/details")).status == 200
    elsewhere = people.restarted(people.keyring)
    await elsewhere.accounts.disable(SYSTEM, "alice@example.com")
    clock.advance(seconds=5)
    assert (await api("GET", "account/details")).status == 401


# -- signing in, as a program does


async def test_providers_are_listed_for_everybody(people: People) -> None:
    listed = (await API(people)("GET", "auth/providers")).data
    assert [(each["id"], each["attributes"]["display-name"]) for each in listed] == [
        ("local", "E-mail and password"),
        ("corporate", "Corporate sign-in"),
    ]


async def test_a_program_signs_in_with_json_and_out_again(people: People) -> None:
    await people.user("alice")
    api = API(people)
    begun = await api("GET", "auth/authorize?provider=local")
    state = begun.data["attributes"]["state"]
    assert [each["name"] for each in begun.data["attributes"]["fields"]] == ["email", "password"]
    done = await api("POST", "auth/callback", {"state": state, "email": "alice@example.com", "password": PASSWORD})
    assert done.status == 200
    assert done.headers["Cache-Control"] == "no-store"
    assert "Set-Cookie" not in done.headers
    api.token = done.data["attributes"]["token"]
    sessions = (await api("GET", "auth/sessions")).data
    assert [(each["id"], each["attributes"]["is-current"]) for each in sessions] == [(done.data["id"], True)]
    assert (await api("POST", "auth/logout")).status == 204
    assert (await api("GET", "account/details")).status == 401


async def test_a_form_is_as_good_as_json(people: People) -> None:
    await people.user("alice")
    api = API(people)
    state = (await api("GET", "auth/authorize?provider=local")).data["attributes"]["state"]
    fields = {"state": state, "email": "alice@example.com", "password": PASSWORD}
    headers = {**HOST, "Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"}
    response = await api.client.post("/api/v2/auth/callback", data=urlencode(fields), headers=headers)
    assert response.status_code == 200


async def test_a_failed_sign_in_is_a_document_with_the_sentence(people: People) -> None:
    api = API(people)
    state = (await api("GET", "auth/authorize?provider=local")).data["attributes"]["state"]
    reply = await api("POST", "auth/callback", {"state": state, "email": "nobody@example.com", "password": PASSWORD})
    assert reply.status == 401
    assert "wrong" in reply.sentence
    again = await api("POST", "auth/callback", {"state": state, "email": "nobody@example.com", "password": PASSWORD})
    assert again.status == 400
    documents: list[object] = [[], {"state": 1}, {"state": state, "email": None}]
    for bad in documents:
        assert (await api("POST", "auth/callback", bad)).status == 400


async def test_another_programs_state_is_refused(people: People) -> None:
    await people.user("alice")
    one, other = API(people), API(people)
    state = (await one("GET", "auth/authorize?provider=local")).data["attributes"]["state"]
    await other("GET", "auth/authorize?provider=local")
    good = {"state": state, "email": "alice@example.com", "password": PASSWORD}
    assert (await other("POST", "auth/callback", good)).status == 400
    assert (await one("POST", "auth/callback", good)).status == 200


async def test_a_browser_that_comes_back_from_elsewhere_gets_the_cookie_and_goes_on(people: People) -> None:
    browser = people.browser()
    away = await browser.open("/api/v2/auth/authorize?provider=corporate&return_to=/app/settings/tokens")
    assert away.status == 302
    state = away.leads_to.rpartition("state=")[2]
    back = await browser.open(f"/api/v2/auth/callback?{urlencode({'state': state, 'code': 'x'})}")
    assert (back.status, back.leads_to) == (303, "/app/settings/tokens")
    assert (await browser.open("/app/settings/tokens")).status == 200
    refused = await browser.open(f"/api/v2/auth/callback?{urlencode({'state': state, 'code': 'x'})}")
    assert refused.status == 400
    assert "begin again" in refused.text
    assert refused.headers["Content-Type"].startswith("text/html")


@pytest.mark.parametrize(
    "return_to",
    [
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "/app\\..",
        "/api/v2/ping",
        "/app/\n",
        "javascript:alert(1)",
        "/app/../../x",
        "/" * 3000,
    ],
)
async def test_nobody_is_led_elsewhere_after_signing_in(people: People, return_to: str) -> None:
    await people.user("alice")
    assert (await people.browser().sign_in("alice@example.com", return_to=return_to)).leads_to == "/app"


async def test_plain_http_from_another_machine_is_refused_before_a_password_is_typed(people: People) -> None:
    browser = people.browser()
    browser.origin = "http://terrapod.lan:8080"
    page = await browser.open("/app/sign-in?provider=local")
    assert page.status == 403
    assert "https" in page.text
    assert "Set-Cookie" not in page.headers
    reply = await API(people)("GET", "auth/authorize?provider=local", Host="terrapod.lan:8080")
    assert reply.status == 403
    assert BASE not in reply.sentence
