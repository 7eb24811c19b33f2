"""Signing in and out, and what a stranger's page cannot do."""

from __future__ import annotations

import re

import httpx
from playwright.sync_api import expect

from tests.browser.conftest import Person


def test_a_person_signs_in_and_lands_where_they_wanted_to_go(person: Person) -> None:
    person.sign_in("/app/settings/tokens")
    expect(person.page).to_have_url(re.compile(r"/app/settings/tokens$"))
    expect(person.page.get_by_text(person.server.email)).to_be_visible()
    assert person.elsewhere() == []
    assert person.complaints == []


def test_a_wrong_password_is_refused_in_a_sentence_and_can_be_tried_again(person: Person) -> None:
    person.open("/app")
    for password in ("not it", person.server.password):
        person.page.fill("input[name=email]", person.server.email)
        person.page.fill("input[name=password]", password)
        person.page.get_by_role("button", name="Sign in").click()
        if password == "not it":
            expect(person.page.get_by_role("alert")).to_be_visible()
            assert "not it" not in person.page.content()
    expect(person.page.get_by_role("heading", name="Workspaces")).to_be_visible()


def test_signing_out_ends_the_session_and_not_only_the_cookie(person: Person) -> None:
    person.sign_in()
    kept = person.page.context.cookies()
    person.page.get_by_role("button", name="Sign out").or_(person.page.get_by_role("link", name="Sign out")).first.click()
    person.page.wait_for_load_state()
    person.page.context.add_cookies(kept)  # type: ignore[arg-type]
    person.open("/app")
    expect(person.page).to_have_url(re.compile("sign-in"))


def test_the_cookie_does_not_open_the_api(person: Person) -> None:
    person.sign_in()
    answer = person.page.evaluate("async () => (await fetch('/api/v2/account/details')).status")
    assert answer == 401


def test_the_cookie_cannot_be_read_by_a_script_or_sent_from_another_site(person: Person) -> None:
    person.sign_in()
    assert person.page.evaluate("document.cookie") == ""
    session = [cookie for cookie in person.page.context.cookies() if "terrapod" in cookie["name"]]
    assert session
    assert all(cookie["httpOnly"] for cookie in session)
    assert all(cookie["sameSite"] in ("Lax", "Strict") for cookie in session)


def test_a_page_cannot_be_framed_and_runs_no_foreign_script(person: Person) -> None:
    answer = httpx.get(person.server.url + "/app/sign-in", trust_env=False)
    policy = answer.headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in policy
    assert "unsafe-inline" not in policy
    assert "default-src 'self'" in policy or "default-src 'none'" in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_an_unknown_page_is_a_page_and_not_a_document(person: Person) -> None:
    person.sign_in("/app/default/nonesuch/runs/run-1111111111111111")
    expect(person.page.get_by_role("heading").first).to_be_visible()
    assert "there is no such run" in person.page.content()
