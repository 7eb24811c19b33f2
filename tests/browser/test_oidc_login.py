"""Signing in at another site: a real browser, a real identity provider, and the page that offers both ways."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.oidc import CLIENT_ID, CLIENT_SECRET, IdentityProvider, client, identity_provider
from tests.support.server import Server, free_port


@dataclass
class Company:
    """A server whose people sign in elsewhere, if the other site is up."""

    server: Server
    idp: IdentityProvider


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    port = free_port()
    settings = {
        "AUTH__OIDC__ISSUER": f"http://127.0.0.1:{port}",
        "AUTH__OIDC__CLIENT_ID": CLIENT_ID,
        "AUTH__OIDC__CLIENT_SECRET": CLIENT_SECRET,
        "AUTH__OIDC__DISPLAY_NAME": "House of Example",
        "AUTH__OIDC__PROVIDERS__DOWN__ISSUER": f"http://127.0.0.1:{free_port()}",
        "AUTH__OIDC__PROVIDERS__DOWN__CLIENT_ID": CLIENT_ID,
        "AUTH__OIDC__PROVIDERS__DOWN__CLIENT_SECRET": CLIENT_SECRET,
    }
    server = Server(tmp_path_factory.mktemp("company"), settings=settings)
    try:
        with identity_provider([client(f"{server.url}/api/v2/auth/callback")], port=port) as idp:
            yield Company(server.start(), idp)
    finally:
        server.close()


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """A browser that knows nobody yet; at its end no page of ours was blocked by its own policy."""
    context = chromium.new_context()
    page = context.new_page()
    page.set_default_timeout(30_000)
    yield page
    context.close()


def sign_in_at_the_provider(page: Page, name: str) -> None:
    page.fill("input[name=login]", name)
    page.fill("input[name=password]", "any")
    page.locator("button[type=submit]").click()
    page.locator("button[type=submit]", has_text="Continue").click()


def test_a_person_chooses_the_other_site_and_comes_back_signed_in_where_they_wanted_to_go(company: Company, page: Page) -> None:
    page.goto(f"{company.server.url}/app/settings/tokens")
    expect(page.locator("input[name=password]")).to_be_visible()
    page.get_by_role("link", name="House of Example").click()
    expect(page).to_have_url(re.compile(re.escape(company.idp.issuer)))
    sign_in_at_the_provider(page, "alice")
    expect(page).to_have_url(f"{company.server.url}/app/settings/tokens")
    expect(page.get_by_text("alice", exact=True)).to_be_visible()
    session = [cookie for cookie in page.context.cookies() if "terrapod" in cookie.get("name", "")]
    assert session
    assert all(cookie.get("httpOnly") for cookie in session)


def test_who_declines_at_the_other_site_is_told_and_can_choose_again(company: Company, page: Page) -> None:
    page.goto(f"{company.server.url}/app")
    page.get_by_role("link", name="House of Example").click()
    page.get_by_text("Cancel").click()
    expect(page.get_by_role("alert")).to_contain_text("did not let you in")
    page.get_by_role("link", name="House of Example").click()
    sign_in_at_the_provider(page, "alice")
    expect(page.get_by_role("heading", name="Workspaces")).to_be_visible()


def test_a_provider_that_is_down_is_named_on_a_page_that_still_offers_the_others(company: Company, page: Page) -> None:
    page.goto(f"{company.server.url}/app")
    page.get_by_role("link", name="Down").click()
    expect(page.get_by_role("alert")).to_contain_text("Down")
    expect(page.get_by_role("link", name="House of Example")).to_be_visible()
    page.fill("input[name=email]", company.server.email)
    page.fill("input[name=password]", company.server.password)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Workspaces")).to_be_visible()
