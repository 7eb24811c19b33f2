"""A real browser between this server and a SAML identity provider: the cookies, redirects and forms that only it can judge."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.support.saml_idp import Two, needs_xmlsec1, signing_in

pytestmark = needs_xmlsec1


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    with signing_in(tmp_path_factory.mktemp("saml")) as two:
        yield two


@pytest.fixture
def context(chromium: Browser) -> Iterator[BrowserContext]:
    """A browser without cookies, which takes the certificate that `--dev-tls` made."""
    context = chromium.new_context(ignore_https_errors=True)
    context.set_default_timeout(30_000)
    yield context
    context.close()


def to_the_identity_provider(page: Page, two: Two, path: str = "/app/settings/tokens") -> None:
    page.goto(two.server.url + path)
    page.get_by_role("link", name="Our directory").click()
    expect(page.get_by_text("Sign in to")).to_be_visible()


def test_a_person_goes_to_the_identity_provider_and_comes_back_signed_in(context: BrowserContext, two: Two) -> None:
    page = context.new_page()
    to_the_identity_provider(page, two)
    assert page.url.startswith(two.idp.url)
    page.get_by_role("button", name="ana").click()
    expect(page).to_have_url(re.compile(r"/app/settings/tokens$"))
    expect(page.get_by_text("ana", exact=True)).to_be_visible()
    page.reload()
    expect(page.get_by_text("ana", exact=True)).to_be_visible()


def test_only_the_session_is_left_of_the_way_there_and_back(context: BrowserContext, two: Two) -> None:
    page = context.new_page()
    to_the_identity_provider(page, two)
    on_the_way = {cookie["name"]: cookie for cookie in context.cookies(two.server.url)}
    brought_along = [cookie for cookie in on_the_way.values() if cookie["sameSite"] == "None"]
    assert len(brought_along) == 1
    assert brought_along[0]["secure"]
    assert brought_along[0]["httpOnly"]
    page.get_by_role("button", name="ana").click()
    expect(page.get_by_text("ana", exact=True)).to_be_visible()
    assert [cookie["name"] for cookie in context.cookies(two.server.url) if cookie["sameSite"] == "None"] == []


def test_another_browser_cannot_use_what_came_back(chromium: Browser, context: BrowserContext, two: Two) -> None:
    page = context.new_page()
    kept: list[str] = []

    def intercept(route: object, request: object) -> None:
        kept.append(request.post_data or "")  # type: ignore[attr-defined]
        route.abort()  # type: ignore[attr-defined]

    page.route("**/api/v2/auth/callback", intercept)
    to_the_identity_provider(page, two)
    with page.expect_event("requestfailed"):
        page.get_by_role("button", name="ana").click()
    elsewhere = chromium.new_context(ignore_https_errors=True)
    answer = elsewhere.request.post(
        f"{two.server.url}/api/v2/auth/callback", data=kept[0], headers={"Content-Type": "application/x-www-form-urlencoded"}
    )
    assert answer.status == 400
    assert [cookie for cookie in elsewhere.cookies() if "sign-in" not in cookie.get("name", "")] == []
    elsewhere.close()


def test_going_back_and_posting_again_signs_nobody_in(context: BrowserContext, two: Two) -> None:
    page = context.new_page()
    posts: list[str] = []
    page.on("request", lambda request: posts.append(request.post_data or "") if request.url.endswith("/auth/callback") else None)
    to_the_identity_provider(page, two)
    page.get_by_role("button", name="bob").click()
    expect(page.get_by_text("bob", exact=True)).to_be_visible()
    context.clear_cookies()
    answer = context.request.post(
        f"{two.server.url}/api/v2/auth/callback", data=posts[0], headers={"Content-Type": "application/x-www-form-urlencoded"}
    )
    assert answer.status == 400


def test_a_refusal_is_told_on_the_sign_in_page_and_passwords_still_work(context: BrowserContext, two: Two) -> None:
    page = context.new_page()
    to_the_identity_provider(page, two)
    page.evaluate("() => document.querySelector('form').action = document.querySelector('form').action.replace(/RelayState=[^&]*/, '')")
    page.get_by_role("button", name="ana").click()
    expect(page.get_by_role("alert")).to_be_visible()
    page.fill("input[name=email]", two.server.email)
    page.fill("input[name=password]", two.server.password)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_text(two.server.email)).to_be_visible()
