from __future__ import annotations

import re
from collections.abc import Sequence

import pytest
from sqlalchemy import select

from terrapod_core.accounts import SignedIn
from terrapod_core.authz import Actor
from terrapod_core.jsonapi import Page as Listed, PageRequest
from terrapod_core.settings import Settings
from terrapod_core.testing import FakeClock
from terrapod_core.ui import WorkspaceRow
from tests.support.people import PASSWORD, Browser, People

TOKENS = "/app/settings/tokens"
PROTECTED = ["/app", TOKENS, f"{TOKENS}?source=terraform-login"]


@pytest.fixture
async def browser(people: People) -> Browser:
    """Alice's, signed in."""
    await people.user("alice")
    browser = people.browser()
    assert (await browser.sign_in("alice@example.com")).status == 303
    return browser


class Shelf:
    """A `WorkspacePages` with a list."""

    def __init__(self, *rows: WorkspaceRow) -> None:
        self.rows = rows

    async def list(self, actor: Actor, page: PageRequest, search: str | None) -> Listed[WorkspaceRow]:
        found = [row for row in self.rows if (search or "") in row.name]
        return Listed(found[page.offset : page.offset + page.size], page.number, page.size, len(found))

    async def ids(self, actor: Actor, names: Sequence[str]) -> Sequence[str]:
        return [f"ws-{name}" for name in names]


@pytest.mark.parametrize("path", PROTECTED)
async def test_a_page_leads_to_the_sign_in_and_back(people: People, path: str) -> None:
    await people.user("alice")
    browser = people.browser()
    away = await browser.open(path)
    assert (away.status, away.leads_to.partition("?")[0]) == (303, "/app/sign-in")
    page = await browser.open(away.leads_to + "&provider=local")
    back = await browser.send("/app/sign-in", {**page.hidden(), "email": "alice@example.com", "password": PASSWORD})
    assert back.leads_to == path


@pytest.mark.parametrize("path", ["/app/sign-in", "/app/sign-in?provider=local", TOKENS, "/app/nothing/here", "/oauth/authorize"])
async def test_a_page_keeps_to_itself(browser: Browser, people: People, path: str) -> None:
    page = await (browser if path == TOKENS else people.browser()).open(path)
    policy = page.headers["Content-Security-Policy"]
    for rule in ("default-src 'self'", "frame-ancestors 'none'", "form-action 'self'", "base-uri 'none'"):
        assert rule in policy
    assert "unsafe" not in policy
    assert page.headers["Referrer-Policy"] == "same-origin"
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    assert page.headers["Cache-Control"] == "no-store"
    assert not re.search(r"<script(?![^>]* src=\"/app/static/)|<style| style=| on\w+=|https?://(?!localhost)", page.text), (
        "nothing inline or foreign"
    )


async def test_the_sessions_cookie_is_for_the_server_alone(people: People) -> None:
    await people.user("alice")
    given = (await people.browser().sign_in("alice@example.com")).response.headers.getlist("Set-Cookie")
    session = next(cookie for cookie in given if cookie.startswith("terrapod="))
    assert "HttpOnly" in session
    assert "SameSite=Lax" in session
    assert "Path=/" in session
    assert "Domain" not in session
    assert "Expires" not in session


async def test_over_tls_the_cookie_is_bound_to_the_host(people: People) -> None:
    people.settings = Settings(external_url="https://terrapod.example.com")
    people.services = people.restarted(people.keyring)
    await people.user("alice")
    browser = people.browser()
    browser.origin = "https://terrapod.example.com"
    page = await browser.open("/app/sign-in?provider=local")
    binding = page.response.headers.getlist("Set-Cookie")[0].partition(";")[0]
    answer = await browser.send("/app/sign-in", {**page.hidden(), "email": "alice@example.com", "password": PASSWORD}, Cookie=binding)
    session = next(cookie for cookie in answer.response.headers.getlist("Set-Cookie") if "terrapod-session" in cookie)
    assert session.startswith("__Host-terrapod=")
    assert "Secure" in session


async def test_a_wrong_password_shows_the_form_again_with_the_sentence_of_the_api(people: People) -> None:
    await people.user("alice")
    browser = people.browser()
    page = await browser.sign_in("alice@example.com", "wrong", return_to=TOKENS)
    assert page.status == 401
    assert "the e-mail address or the password is wrong" in page.text
    assert "wrong</" in page.text
    assert 'value="wrong"' not in page.text
    again = await browser.send("/app/sign-in", {**page.hidden(), "email": "alice@example.com", "password": PASSWORD})
    assert again.leads_to == TOKENS, "the second try leads where the first was to lead"


async def test_too_many_tries_are_told_with_the_time_to_wait(people: People) -> None:
    browser = people.browser()
    for _ in range(10):
        assert (await browser.sign_in("nobody@example.com", "wrong")).status == 401
    page = await browser.sign_in("nobody@example.com", "wrong")
    assert page.status == 429
    assert int(page.headers["Retry-After"]) > 0


async def test_a_stale_form_offers_a_fresh_one(people: People, clock: FakeClock) -> None:
    await people.user("alice")
    browser = people.browser()
    page = await browser.open("/app/sign-in?provider=local")
    clock.advance(minutes=11)
    stale = await browser.send("/app/sign-in", {**page.hidden(), "email": "alice@example.com", "password": PASSWORD})
    assert stale.status == 400
    fresh = await browser.send("/app/sign-in", {**stale.hidden(), "email": "alice@example.com", "password": PASSWORD})
    assert fresh.status == 303


async def test_a_sign_in_form_from_a_foreign_page_is_refused(people: People) -> None:
    await people.user("alice")
    browser = people.browser()
    page = await browser.open("/app/sign-in?provider=local")
    fields = {**page.hidden(), "email": "alice@example.com", "password": PASSWORD}
    assert (await browser.send("/app/sign-in", fields, Origin="https://evil.example")).status == 403
    assert (await browser.send("/app/sign-in", fields, Origin="null")).status == 403


async def test_several_ways_to_sign_in_are_offered(people: People) -> None:
    page = await people.browser().open("/app/sign-in?return_to=/app/settings/tokens")
    assert "E-mail and password" in page.text
    assert "Corporate sign-in" in page.text
    away = await people.browser().open("/app/sign-in?provider=corporate")
    assert away.leads_to.startswith("https://idp.example/")


async def test_signing_out_ends_the_session_here_and_in_the_browser(people: People, browser: Browser) -> None:
    page = await browser.open(TOKENS)
    out = await browser.send("/app/sign-out", page.hidden())
    assert out.leads_to == "/app/sign-in"
    assert (await browser.open(TOKENS)).status == 303
    assert not await people.db.read(lambda session: session.execute(select(SignedIn)).all())


async def test_a_foreign_page_cannot_sign_anybody_out(browser: Browser) -> None:
    page = await browser.open(TOKENS)
    assert (await browser.send("/app/sign-out", page.hidden(), Origin="https://evil.example")).status == 403
    assert (await browser.send("/app/sign-out", {})).status == 403
    assert (await browser.open(TOKENS)).status == 200


async def test_a_new_token_is_shown_once(people: People, browser: Browser) -> None:
    page = await browser.open(f"{TOKENS}?source=terraform-login")
    assert "terraform waits for a token" in page.text
    made = await browser.send(TOKENS, {**page.hidden(), "description": "my laptop", "days": "30"})
    assert made.status == 200
    text = re.findall(r"terrapod-at-\w+-\w+", made.text)
    assert len(set(text)) == 1
    assert (await people.actor(text[0])).name == "alice"
    listed = await browser.open(TOKENS)
    assert "my laptop" in listed.text
    assert text[0] not in listed.text


@pytest.mark.parametrize(
    "fields", [{"days": "0"}, {"days": "-1"}, {"days": "x"}, {"days": ""}, {"days": "99999"}, {"days": "30", "description": "x" * 300}]
)
async def test_a_token_that_cannot_be_is_told_on_the_page(people: People, browser: Browser, fields: dict[str, str]) -> None:
    page = await browser.open(TOKENS)
    refused = await browser.send(TOKENS, {**page.hidden(), "description": "x", **fields})
    assert refused.status == 422
    assert 'role="alert"' in refused.text
    assert "You have no tokens" in refused.text


async def test_a_token_is_revoked_by_its_user_alone(people: People, browser: Browser) -> None:
    page = await browser.open(TOKENS)
    made = await browser.send(TOKENS, {**page.hidden(), "description": "x", "days": "30"})
    token_id = re.findall(r"/app/settings/tokens/(at-\w+)/revoke", made.text)[0]
    await people.user("mallory")
    mallorys = people.browser()
    await mallorys.sign_in("mallory@example.com")
    theirs = await mallorys.open(TOKENS)
    assert (await mallorys.send(f"{TOKENS}/{token_id}/revoke", theirs.hidden())).status == 404
    assert (await browser.send(f"{TOKENS}/{token_id}/revoke", {})).status == 403
    assert (await browser.send(f"{TOKENS}/{token_id}/revoke", page.hidden())).leads_to == TOKENS
    assert "You have no tokens" in (await browser.open(TOKENS)).text


async def test_what_people_typed_is_shown_as_text(browser: Browser) -> None:
    page = await browser.open(TOKENS)
    made = await browser.send(TOKENS, {**page.hidden(), "description": '"><script>alert(1)</script>', "days": "30"})
    assert "<script>alert" not in made.text
    assert "&lt;script&gt;" in made.text


async def test_a_lost_session_and_a_form_lead_to_a_page_not_to_json(people: People, browser: Browser) -> None:
    fields = (await browser.open(TOKENS)).hidden()
    stranger = people.browser()
    refused = await stranger.send(TOKENS, {**fields, "description": "x", "days": "30"})
    assert refused.status == 401
    assert "/app/sign-in" in refused.text


async def test_an_error_is_a_page_with_the_sentence_in_it(browser: Browser) -> None:
    page = await browser.open("/app/nothing/here/at/all")
    assert page.status == 404
    assert page.headers["Content-Type"].startswith("text/html")
    assert "there is nothing at /app/nothing/here/at/all" in page.text


CONDITION = {"code": "state-diverged", "severity": "error", "detail": "the runner was <lost>", "remedy": "look at it"}


async def test_the_first_page_lists_workspaces_where_there_are_any(people: People) -> None:
    await people.user("alice")
    shelf = people.workspaces = Shelf(
        WorkspaceRow("network", "default", "Default Project", people.clock.now(), 12, True, "run-2uPXtbAVfmCkwGsT", "planned_and_finished"),
        WorkspaceRow("<b>odd</b>", "default", conditions=[CONDITION]),
    )
    browser = people.browser()
    await browser.sign_in("alice@example.com")
    page = await browser.open("/app")
    assert "/app/default/network/runs/run-2uPXtbAVfmCkwGsT" in page.text
    assert "planned and finished" in page.text
    assert "<b>odd" not in page.text
    for word in ("state-diverged", "the runner was &lt;lost&gt;", "look at it"):
        assert page.text.count(word) == 1
    assert "odd" not in (await browser.open("/app?search=net")).text
    assert "No workspace has" in (await browser.open("/app?search=%3Cnone%3E")).text
    shelf.rows = ()
    assert 'organization = "default"' in (await browser.open("/app")).text
    assert (await browser.open("/app?page[size]=x")).status == 400


async def test_without_workspaces_the_first_page_is_that_of_tokens(browser: Browser) -> None:
    assert (await browser.open("/")).leads_to == "/app"
    assert (await browser.open("/app")).leads_to == TOKENS


async def test_files_of_pages_may_be_kept_and_nothing_else_is_served(browser: Browser) -> None:
    page = await browser.open(TOKENS)
    links = re.findall(r'"(/app/static/[^"]+)"', page.text)
    assert links
    for link in links:
        file = await browser.open(link)
        assert file.status == 200
        assert "immutable" in file.headers["Cache-Control"]
    for name in ("nothing.css", "..%2f__init__.py", "%2e%2e/render.py"):
        assert (await browser.open(f"/app/static/{name}")).status == 404
