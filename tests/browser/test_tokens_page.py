"""API tokens on their page: made, shown once, used, revoked; and the consent page of terraform login."""

from __future__ import annotations

import base64
import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
from playwright.sync_api import Browser, expect

from tests.browser.conftest import Person
from tests.support.waiting import until


def works(person: Person, token: str) -> bool:
    """Whether the API takes this token."""
    answer = httpx.get(f"{person.server.url}/api/v2/account/details", headers={"Authorization": f"Bearer {token}"}, trust_env=False)
    return answer.status_code == 200


def test_a_token_is_made_shown_once_used_and_revoked(person: Person) -> None:
    person.sign_in("/app/settings/tokens")
    person.page.fill("#description", "my laptop")
    person.page.get_by_role("button", name="Make a token").click()
    token = person.page.locator("#issued").input_value()
    assert works(person, token)
    person.open("/app/settings/tokens")
    expect(person.page.get_by_text("my laptop")).to_be_visible()
    assert token not in person.page.content()
    person.page.get_by_role("button", name="Revoke my laptop").click()
    person.page.wait_for_load_state()
    until(lambda: not works(person, token), "the revoked token to be refused")


def test_a_token_is_narrowed_on_its_page(person: Person) -> None:
    person.sign_in("/app/settings/tokens")
    person.page.fill("#description", "reads only")
    person.page.select_option("#permission", "read")
    person.page.fill("#workspaces", "no-such-workspace")
    person.page.get_by_role("button", name="Make a token").click()
    expect(person.page.get_by_role("alert")).to_contain_text("no such workspace")
    expect(person.page.locator("#description")).to_have_value("reads only")
    person.page.fill("#workspaces", "")
    person.page.get_by_role("button", name="Make a token").click()
    assert works(person, person.page.locator("#issued").input_value())
    expect(person.page.get_by_role("row", name="reads only").get_by_role("cell").nth(1)).to_have_text("read")
    person.page.get_by_role("button", name="Revoke reads only").click()


def test_a_session_is_ended_from_the_account_page(person: Person, chromium: Browser) -> None:
    context = chromium.new_context(user_agent="Another Browser")
    other = Person(context.new_page(), person.server)
    other.sign_in("/app/settings/account")
    expect(other.page.get_by_role("heading", name="Account")).to_be_visible()
    person.sign_in("/app/settings/account")
    person.page.get_by_role("button", name="Revoke the session of Another Browser").click()
    expect(person.page.get_by_text("Another Browser")).to_have_count(0)
    other.open("/app/settings/account")
    expect(other.page.get_by_role("button", name="Sign in")).to_be_visible()
    context.close()
    assert not person.elsewhere()
    assert not person.complaints


@contextmanager
def terraform_listening() -> Iterator[tuple[int, list[str]]]:
    """What `terraform login` opens on this machine: its port, and the paths it was asked for."""
    asked: list[str] = []

    class Callback(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<p>terraform has it</p>")

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the name it has in the library
            """Be quiet."""

    for port in range(10_000, 10_011):
        try:
            listener = ThreadingHTTPServer(("127.0.0.1", port), Callback)
        except OSError:
            continue
        threading.Thread(target=listener.serve_forever, daemon=True).start()
        yield port, asked
        listener.shutdown()
        listener.server_close()
        return
    raise AssertionError("every port that terraform login uses is taken")


def test_terraform_login_asks_for_consent_and_hands_out_a_working_token(person: Person) -> None:
    verifier = "0123456789abcdef-0123456789abcdef-0123456789abcdef"
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    with terraform_listening() as (port, landed):
        redirect = f"http://localhost:{port}/login"
        asked = {
            "client_id": "terraform-cli",
            "response_type": "code",
            "redirect_uri": redirect,
            "state": "a-state",
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        person.sign_in(f"/oauth/authorize?{urlencode(asked)}")
        expect(person.page.get_by_role("heading", name="Let terraform in?")).to_be_visible()
        assert landed == []
        person.page.get_by_role("button", name="Let terraform in").click()
        expect(person.page.get_by_text("terraform has it")).to_be_visible()
    answer = parse_qs(urlsplit(landed[0]).query)
    assert answer["state"] == ["a-state"]
    form = {
        "grant_type": "authorization_code",
        "code": answer["code"][0],
        "redirect_uri": redirect,
        "client_id": "terraform-cli",
        "code_verifier": verifier,
    }
    issued = httpx.post(f"{person.server.url}/oauth/token", data=form, trust_env=False)
    assert issued.status_code == 200, issued.text
    assert works(person, issued.json()["access_token"])
    assert httpx.post(f"{person.server.url}/oauth/token", data=form, trust_env=False).status_code == 400
