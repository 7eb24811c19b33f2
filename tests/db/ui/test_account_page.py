"""The page of one's own account, scopes on the page of tokens, and signing in again for what asks for it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import parse_qsl, urlsplit

import pytest

from terrapod_core.authz import Actor, Level, Scope
from terrapod_core.errors import NotFound
from terrapod_core.jsonapi import Page as Listed, PageRequest
from terrapod_core.testing import FakeClock
from terrapod_core.ui import WorkspaceRow
from tests.db.ui.test_terraform_login import ASKED, REDIRECT, authorize
from tests.support.people import PASSWORD, Browser, People

ACCOUNT = "/app/settings/account"
TOKENS = "/app/settings/tokens"
NEW = "another walnut drawer"


class Two:
    """A `WorkspacePages` with two workspaces."""

    known = {"one": "ws-one", "two": "ws-two"}

    async def list(self, actor: Actor, page: PageRequest, search: str | None) -> Listed[WorkspaceRow]:
        return Listed([], page.number, page.size, 0)

    async def ids(self, actor: Actor, names: Sequence[str]) -> Sequence[str]:
        missing = [name for name in names if name not in self.known]
        if missing:
            raise NotFound("there is no such workspace, or you may not see it")
        return [self.known[name] for name in names]


@pytest.fixture
async def browser(people: People) -> Browser:
    """Alice's, signed in, in a house with two workspaces."""
    people.workspaces, people.readable = Two(), {"ws-one", "ws-two"}
    await people.user("alice")
    browser = people.browser()
    assert (await browser.sign_in("alice@example.com")).status == 303
    return browser


async def own_token(browser: Browser) -> dict[str, str]:
    """The hidden field of every form of this browser."""
    return {"form-token": (await browser.open(ACCOUNT)).hidden()["form-token"]}


async def test_the_page_lists_where_one_is_signed_in_and_ends_a_session(people: People, browser: Browser) -> None:
    other = await people.session("alice@example.com")
    page = await browser.open(ACCOUNT)
    assert "192.0.2.1" in page.text
    assert page.text.count("this one") == 1
    found = re.findall(r"/app/settings/account/sessions/(session-\w+)/revoke", page.text)
    assert found == [(await people.actor(other)).session_id]
    assert (await browser.send(f"{ACCOUNT}/sessions/{found[0]}/revoke", {})).status == 403, "without the form's token"
    assert await people.services.tokens.authenticate(other) is not None
    done = await browser.send(f"{ACCOUNT}/sessions/{found[0]}/revoke", await own_token(browser))
    assert done.leads_to == ACCOUNT
    assert await people.services.tokens.authenticate(other) is None
    assert (await browser.open(ACCOUNT)).status == 200


async def test_one_click_signs_out_everywhere_else(people: People, browser: Browser) -> None:
    others = [await people.session("alice@example.com") for _ in range(2)]
    await browser.send(f"{ACCOUNT}/sessions/revoke-others", await own_token(browser))
    for other in others:
        assert await people.services.tokens.authenticate(other) is None
    page = await browser.open(ACCOUNT)
    assert page.status == 200
    assert "everywhere else" not in page.text


async def test_name_and_password_are_changed_on_the_page(people: People, browser: Browser) -> None:
    await browser.send(f"{ACCOUNT}/name", {**await own_token(browser), "username": "Alice <b>"})
    assert "Alice &lt;b&gt;" in (await browser.open(ACCOUNT)).text
    fields = {**await own_token(browser), "current_password": "a guess", "password": NEW, "password_confirmation": NEW}
    wrong = await browser.send(f"{ACCOUNT}/password", fields)
    assert (wrong.status, "current_password is wrong" in wrong.text, NEW in wrong.text) == (422, True, False)
    assert (await browser.send(f"{ACCOUNT}/password", {**fields, "current_password": PASSWORD})).status == 303
    assert await people.session("alice@example.com", NEW)
    assert (await browser.open(ACCOUNT)).status == 200


@pytest.mark.parametrize("path", ["name", "password", "sessions/session-x/revoke", "sessions/revoke-others"])
async def test_a_foreign_page_changes_nothing_of_an_account(people: People, browser: Browser, path: str) -> None:
    other = await people.session("alice@example.com")
    fields = {**await own_token(browser), "username": "mallory"}
    assert (await browser.send(f"{ACCOUNT}/{path}", fields, Origin="https://evil.example")).status == 403
    assert await people.services.tokens.authenticate(other) is not None
    assert "mallory" not in (await browser.open(ACCOUNT)).text


# -- scopes on the page of tokens


async def test_a_narrow_token_is_made_and_shown_on_the_page(people: People, browser: Browser) -> None:
    fields = {**await own_token(browser), "description": "ci", "days": "30", "permission": "plan", "workspaces": "one, two"}
    made = await browser.send(TOKENS, fields)
    text = re.findall(r'id="issued"[^>]* value="([^"]+)"', made.text)[0]
    assert (await people.actor(text)).scope == Scope(Level.PLAN, frozenset({"ws-one", "ws-two"}))
    assert "plan on ws-one, ws-two" in (await browser.open(TOKENS)).text


@pytest.mark.parametrize("wrong", [{"permission": "root"}, {"workspaces": "three"}, {"days": "0"}])
async def test_what_was_typed_stays_when_a_token_cannot_be_made(browser: Browser, wrong: dict[str, str]) -> None:
    fields = {**await own_token(browser), "description": "my laptop", "days": "30", "permission": "read", "workspaces": "one"}
    refused = await browser.send(TOKENS, {**fields, **wrong})
    assert refused.status == 422
    assert 'value="my laptop"' in refused.text
    assert "You have no tokens" in refused.text


async def test_more_workspaces_than_a_token_is_for_are_not_even_looked_up(browser: Browser) -> None:
    fields = {**await own_token(browser), "description": "ci", "days": "30", "workspaces": "one " * 101}
    refused = await browser.send(TOKENS, fields)
    assert (refused.status, "at most 100 workspaces" in refused.text) == (422, True)


# -- signing in again


async def test_a_long_lived_token_asks_for_a_fresh_sign_in_and_leads_back(people: People, browser: Browser, clock: FakeClock) -> None:
    clock.advance(minutes=people.settings.tokens.reauthenticate_minutes)
    fields = {**await own_token(browser), "description": "my laptop", "days": "365"}
    refused = await browser.send(TOKENS, fields)
    assert refused.status == 403
    again = re.findall(r'<a class="button" href="([^"]+)"', refused.text)[0].replace("&amp;", "&")
    page = await browser.open(again)
    assert page.status == 200, "the form is there though somebody is signed in"
    back = await browser.send("/app/sign-in", {**page.hidden(), "email": "alice@example.com", "password": PASSWORD})
    assert back.leads_to == TOKENS
    made = await browser.send(TOKENS, {**fields, **await own_token(browser)})
    assert (made.status, 'id="issued"' in made.text) == (200, True)


async def test_a_short_lived_token_asks_for_nothing(people: People, browser: Browser, clock: FakeClock) -> None:
    clock.advance(minutes=people.settings.tokens.reauthenticate_minutes)
    made = await browser.send(TOKENS, {**await own_token(browser), "description": "today", "days": "30"})
    assert 'id="issued"' in made.text


async def test_terraform_login_asks_an_old_session_to_sign_in_and_goes_on(people: People, browser: Browser, clock: FakeClock) -> None:
    clock.advance(minutes=people.settings.tokens.reauthenticate_minutes)
    away = await browser.open(authorize())
    assert (away.status, urlsplit(away.leads_to).path) == (303, "/app/sign-in")
    page = await browser.open(away.leads_to)
    back = await browser.send("/app/sign-in", {**page.hidden(), "email": "alice@example.com", "password": PASSWORD})
    assert dict(parse_qsl(urlsplit(back.leads_to).query)) == ASKED
    consent = await browser.open(back.leads_to)
    assert consent.status == 200
    assert (await browser.send("/oauth/authorize", {**consent.hidden(), "decision": "allow"})).leads_to.startswith(REDIRECT)


async def test_a_consent_page_left_open_too_long_gives_no_code(people: People, browser: Browser, clock: FakeClock) -> None:
    consent = await browser.open(authorize())
    clock.advance(minutes=people.settings.tokens.reauthenticate_minutes)
    late = await browser.send("/oauth/authorize", {**consent.hidden(), "decision": "allow"})
    where = dict(parse_qsl(urlsplit(late.leads_to).query))
    assert urlsplit(late.leads_to).path == "/app/sign-in"
    assert dict(parse_qsl(urlsplit(where["return_to"]).query)) == ASKED
    assert "code=" not in late.leads_to
