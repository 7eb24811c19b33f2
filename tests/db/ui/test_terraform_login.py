"""`terraform login`, played through as the browser and terraform do (checked against a recording of terraform 1.11.4)."""

from __future__ import annotations

import base64
import hashlib
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from sqlalchemy import select, update

from terrapod_core.accounts import AuthorizationCode
from terrapod_core.authz import SYSTEM
from terrapod_core.testing import FakeClock
from tests.support.people import Browser, Page, People

VERIFIER = "64eabbe7-2953-c5dd-d3b5-2a4b205f5a33.216874571"
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
REDIRECT = "http://localhost:10001/login"
STATE = "98af5f64-6e19-fd79-cc6f-96e18f43c5c1"
ASKED = {
    "client_id": "terraform-cli",
    "code_challenge": CHALLENGE,
    "code_challenge_method": "S256",
    "redirect_uri": REDIRECT,
    "response_type": "code",
    "state": STATE,
}


def authorize(**changes: str | None) -> str:
    asked = {name: value for name, value in {**ASKED, **changes}.items() if value is not None}
    return f"/oauth/authorize?{urlencode(asked)}"


@pytest.fixture
async def browser(people: People) -> Browser:
    """Alice's, signed in."""
    await people.user("alice")
    browser = people.browser()
    assert (await browser.sign_in("alice@example.com")).status == 303
    return browser


async def allow(browser: Browser, **changes: str) -> Page:
    page = await browser.open(authorize(**changes))
    assert page.status == 200
    return await browser.send("/oauth/authorize", {**page.hidden(), "decision": "allow"})


async def code_for(browser: Browser, **changes: str) -> str:
    """Agree; the code that the browser carries to terraform."""
    return dict(parse_qsl(urlsplit((await allow(browser, **changes)).leads_to).query))["code"]


async def exchange(browser: Browser, code: str, **changes: str | None) -> tuple[int, dict[str, Any]]:
    """What terraform sends; it has no cookies of the browser."""
    fields = {"client_id": "terraform-cli", "code": code, "code_verifier": VERIFIER, "grant_type": "authorization_code"}
    sent = {name: value for name, value in {**fields, "redirect_uri": REDIRECT, **changes}.items() if value is not None}
    headers = {"Content-Type": "application/x-www-form-urlencoded", "User-Agent": "Terraform/1.11.4", "Host": "localhost:8080"}
    response = await browser.client.post("/oauth/token", data=urlencode(sent), headers=headers)
    assert response.headers["Content-Type"] == "application/json"
    assert response.headers["Cache-Control"] == "no-store"
    return response.status_code, await response.get_json()


async def test_a_click_brings_a_code_that_becomes_a_token_of_the_person(people: People, browser: Browser) -> None:
    page = await allow(browser)
    assert page.status == 303
    target = urlsplit(page.leads_to)
    query = dict(parse_qsl(target.query))
    assert f"{target.scheme}://{target.netloc}{target.path}" == REDIRECT
    assert query["state"] == STATE
    assert set(query) == {"code", "state"}
    status, granted = await exchange(browser, query["code"])
    assert status == 200
    assert set(granted) == {"access_token", "token_type"}
    assert granted["token_type"] == "bearer"
    actor = await people.actor(granted["access_token"])
    assert actor.name == "alice"
    assert actor.token_id is not None


async def test_whoever_is_not_signed_in_signs_in_first_and_comes_back(people: People) -> None:
    await people.user("alice")
    browser = people.browser()
    away = await browser.open(authorize())
    assert away.status == 303
    return_to = dict(parse_qsl(urlsplit(away.leads_to).query))["return_to"]
    back = await browser.sign_in("alice@example.com", return_to=return_to)
    assert dict(parse_qsl(urlsplit(back.leads_to).query)) == ASKED
    assert (await browser.open(back.leads_to)).status == 200


async def test_the_page_says_who_gets_what_and_where_and_waits_for_a_click(people: People, browser: Browser) -> None:
    page = await browser.open(authorize())
    assert page.status == 200
    for fact in ("alice", "10001", "2027-01-01", "terraform"):
        assert fact in page.text
    assert not await people.db.read(lambda session: session.execute(select(AuthorizationCode)).all()), "opening it gives nothing"
    assert "form-action 'self' http://localhost:10001" in page.headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in page.headers["Content-Security-Policy"]


async def test_saying_no_gives_nothing_and_sends_nobody_anywhere(people: People, browser: Browser) -> None:
    page = await browser.open(authorize())
    answer = await browser.send("/oauth/authorize", {**page.hidden(), "decision": "deny"})
    assert (answer.status, answer.leads_to) == (200, "")
    assert "Ctrl-C" in answer.text
    assert not await people.db.read(lambda session: session.execute(select(AuthorizationCode)).all())


@pytest.mark.parametrize(
    "redirect_uri",
    [
        "http://localhost:9999/login",
        "http://localhost:10011/login",
        "http://localhost:100010/login",
        "http://localhost/login",
        "https://localhost:10000/login",
        "http://localhost:10000/login/",
        "http://localhost:10000/login?x=1",
        "http://localhost:10000/login#x",
        "http://localhost:10000/login\n",
        "http://localhost:10000/",
        "http://LOCALHOST:10000/login",
        "http://localhost.evil.example:10000/login",
        "http://localhost:10000@evil.example/login",
        "http://evil.example:10000/login",
        "http://127.0.0.2:10000/login",
        "http://[::1]:10000/login",
        "http://localhost:١0000/login",
        "//localhost:10000/login",
        "javascript:alert(1)",
        "",
        None,
    ],
)
async def test_a_code_is_sent_nowhere_but_to_terraforms_own_ports(browser: Browser, redirect_uri: str | None) -> None:
    page = await browser.open(authorize(redirect_uri=redirect_uri))
    assert (page.status, page.leads_to) == (400, "")
    assert "redirect_uri" in page.text
    good = await browser.open(authorize())
    fields = {**good.hidden(), "decision": "allow", "redirect_uri": redirect_uri or ""}
    sent = await browser.send("/oauth/authorize", fields)
    assert (sent.status, sent.leads_to) == (400, "")


@pytest.mark.parametrize("redirect_uri", ["http://localhost:10000/login", "http://localhost:10010/login", "http://127.0.0.1:10005/login"])
async def test_each_of_terraforms_ports_will_do(browser: Browser, redirect_uri: str) -> None:
    code = await code_for(browser, redirect_uri=redirect_uri)
    assert (await exchange(browser, code, redirect_uri=redirect_uri))[0] == 200


@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": "other"},
        {"client_id": None},
        {"response_type": "token"},
        {"code_challenge_method": "plain"},
        {"code_challenge_method": None},
        {"code_challenge": None},
        {"code_challenge": "short"},
        {"code_challenge": CHALLENGE + "="},
        {"state": None},
        {"state": ""},
        {"state": "x" * 513},
        {"state": "a\r\nb"},
    ],
)
async def test_a_wrong_request_is_told_here_and_goes_nowhere(browser: Browser, changes: dict[str, str | None]) -> None:
    page = await browser.open(authorize(**changes))
    assert (page.status, page.leads_to) == (400, "")
    assert page.headers["Content-Type"].startswith("text/html")


async def test_a_parameter_that_is_given_twice_is_refused(browser: Browser) -> None:
    page = await browser.open(authorize() + "&" + urlencode({"redirect_uri": "http://evil.example/"}))
    assert (page.status, page.leads_to) == (400, "")


async def test_a_code_is_good_once_and_its_token_dies_when_it_comes_again(people: People, browser: Browser) -> None:
    code = await code_for(browser)
    _, granted = await exchange(browser, code)
    await people.actor(granted["access_token"])
    status, refused = await exchange(browser, code)
    assert (status, refused["error"]) == (400, "invalid_grant")
    assert "terraform login" in refused["error_description"]
    assert await people.services.tokens.authenticate(granted["access_token"]) is None


async def test_a_code_is_good_for_a_minute(people: People, browser: Browser, clock: FakeClock) -> None:
    late = await code_for(browser)
    clock.advance(seconds=60)
    assert (await exchange(browser, late))[1]["error"] == "invalid_grant"
    timely = await code_for(browser)
    clock.advance(seconds=59)
    assert (await exchange(browser, timely))[0] == 200


@pytest.mark.parametrize(
    "changes",
    [
        {"code_verifier": VERIFIER[:-1] + "0"},
        {"code_verifier": CHALLENGE},
        {"code_verifier": ""},
        {"code_verifier": None},
        {"redirect_uri": "http://localhost:10002/login"},
        {"redirect_uri": None},
        {"client_id": "other"},
        {"client_id": None},
    ],
)
async def test_a_code_is_bound_to_client_address_and_verifier_and_spent_by_a_wrong_try(
    browser: Browser, changes: dict[str, str | None]
) -> None:
    code = await code_for(browser)
    status, refused = await exchange(browser, code, **changes)
    assert (status, refused["error"]) == (400, "invalid_grant")
    assert (await exchange(browser, code))[0] == 400, "there is no second guess"


@pytest.mark.parametrize("code", ["", "x", "\0", "ä" * 500])
async def test_a_code_that_nobody_gave_is_refused(browser: Browser, code: str) -> None:
    assert (await exchange(browser, code))[1]["error"] == "invalid_grant"


async def test_a_code_of_another_kind_never_becomes_an_api_token(people: People, browser: Browser) -> None:
    code = await code_for(browser)
    async with people.db.uow() as uow:
        await uow.session.execute(update(AuthorizationCode).values(kind="web"))
        await uow.commit()
    assert (await exchange(browser, code))[1]["error"] == "invalid_grant"


async def test_other_grants_and_other_encodings_are_named(browser: Browser) -> None:
    code = await code_for(browser)
    assert (await exchange(browser, code, grant_type="password"))[1]["error"] == "unsupported_grant_type"
    assert (await exchange(browser, code, grant_type=None))[1]["error"] == "unsupported_grant_type"
    response = await browser.client.post("/oauth/token", json={"grant_type": "authorization_code", "code": code})
    assert (response.status_code, (await response.get_json())["error"]) == (400, "invalid_request")
    assert (await exchange(browser, code))[0] == 200, "and none of them spent it"


async def test_a_user_who_is_disabled_in_between_gets_no_token(people: People, browser: Browser) -> None:
    code = await code_for(browser)
    await people.services.accounts.disable(SYSTEM, "alice@example.com")
    assert (await exchange(browser, code))[1]["error"] == "invalid_grant"


async def test_consent_needs_the_token_of_the_form_and_of_this_session(people: People, browser: Browser) -> None:
    fields = {**(await browser.open(authorize())).hidden(), "decision": "allow"}
    await people.user("mallory")
    mallorys = people.browser()
    await mallorys.sign_in("mallory@example.com")
    theirs = (await mallorys.open(authorize())).hidden()["form-token"]
    for token in ("", "x", theirs):
        page = await browser.send("/oauth/authorize", {**fields, "form-token": token})
        assert (page.status, page.leads_to) == (403, "")
    without = {name: value for name, value in fields.items() if name != "form-token"}
    assert (await browser.send("/oauth/authorize", without)).status == 403


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "http://evil.example"}, {"Origin": "null"}, {"Origin": "http://localhost:8081"}, {"Sec_Fetch_Site": "cross-site"}],
)
async def test_consent_from_a_foreign_page_is_refused(browser: Browser, headers: dict[str, str]) -> None:
    fields = {**(await browser.open(authorize())).hidden(), "decision": "allow"}
    page = await browser.send("/oauth/authorize", fields, **headers)
    assert (page.status, page.leads_to) == (403, "")


async def test_a_token_in_the_cookie_is_no_session(people: People) -> None:
    text = await people.token(await people.user("alice"))
    browser = people.browser()
    page = await browser.open(authorize(), Cookie=f"terrapod={text}")
    assert page.leads_to.startswith("/app/sign-in")


async def test_the_page_says_whose_token_it_is_so_that_no_name_can_mislead(people: People, browser: Browser) -> None:
    page = await browser.open(authorize())
    assert "alice (alice@example.com), who signs in through local" in page.text
