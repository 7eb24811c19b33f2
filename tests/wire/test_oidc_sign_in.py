"""Signing in through real identity providers: browser, session, `terraform login`, roles, and one of them away."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest

from tests.support.browser import Browser, Page
from tests.support.oidc import CLIENT_ID, CLIENT_SECRET, IdentityProvider, client, identity_provider
from tests.support.server import Server, free_port

REDIRECT = "http://localhost:10007/login"
"""Where terraform would listen; nobody does."""


@dataclass
class Company:
    """A server with two providers that run and one that is down."""

    server: Server
    first: IdentityProvider
    second: IdentityProvider


def settings_for(port: int, name: str) -> dict[str, str]:
    prefix = f"AUTH__OIDC__PROVIDERS__{name.upper()}__"
    given = {"ISSUER": f"http://127.0.0.1:{port}", "CLIENT_ID": CLIENT_ID, "CLIENT_SECRET": CLIENT_SECRET}
    return {prefix + key: value for key, value in given.items()}


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    ports = {name: free_port() for name in ("first", "second", "down")}
    settings = {key: value for name, port in ports.items() for key, value in settings_for(port, name).items()}
    settings["AUTH__ROLE_MAPPING"] = json.dumps({"first": {"admins": ["admin"], "dev": ["no-such-role"]}})
    server = Server(tmp_path_factory.mktemp("company"), settings=settings)
    clients = [client(f"{server.url}/api/v2/auth/callback")]
    people: dict[str, dict[str, object]] = {"bob": {"groups": ["dev"]}, "carol": {"email": None}}
    try:
        with (
            identity_provider(clients, people, port=ports["first"]) as first,
            identity_provider(clients, people, port=ports["second"]) as second,
        ):
            yield Company(server.start(), first, second)
    finally:
        server.close()


@pytest.fixture
def visit(company: Company) -> Iterator[Callable[[], Browser]]:
    """Browsers that know nobody yet."""
    opened: list[Browser] = []

    def new() -> Browser:
        opened.append(Browser(company.server))
        return opened[-1]

    yield new
    for browser in opened:
        browser.close()


def at_the_provider(browser: Browser, page: Page, name: str) -> Page:
    """Fill in what the identity provider asks, until it sends the browser back."""
    while page.url.startswith("http://127.0.0.1:"):
        assert page.forms, page.text
        page = browser.submit(page, page.forms[0], login=name, password="any")
    return page


def sign_in(browser: Browser, company: Company, provider: str, name: str, return_to: str = "/app") -> Page:
    query = urlencode({"provider": provider, "return_to": return_to})
    return at_the_provider(browser, browser.open(f"{company.server.url}/api/v2/auth/authorize?{query}"), name)


def token_of(browser: Browser, company: Company, provider: str, name: str) -> str:
    """What `terraform login` ends up with."""
    verifier = secrets.token_urlsafe(48)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    asked = {
        "client_id": "terraform-cli",
        "code_challenge": challenge,
        "code_challenge_method": "S256",
        "redirect_uri": REDIRECT,
        "response_type": "code",
        "state": "state-of-terraform",
    }
    consent = sign_in(browser, company, provider, name, f"/oauth/authorize?{urlencode(asked)}")
    assert f"<dd>{name}" in consent.text, "the page says for whom the token is"
    with pytest.raises(httpx.ConnectError) as nobody_listens:
        browser.submit(consent, consent.form("/oauth/authorize"))
    came_back = parse_qs(urlsplit(str(nobody_listens.value.request.url)).query)
    assert came_back["state"] == ["state-of-terraform"]
    form = {
        "grant_type": "authorization_code",
        "client_id": "terraform-cli",
        "code": came_back["code"][0],
        "code_verifier": verifier,
        "redirect_uri": REDIRECT,
    }
    answer = httpx.post(f"{company.server.url}/oauth/token", data=form, trust_env=False)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["access_token"])


def account(company: Company, token: str) -> httpx.Response:
    with closing(company.server.client(token)) as api:
        return api.get("account/details")


def test_a_person_signs_in_at_their_provider_and_lands_where_they_wanted_to_go(company: Company, visit: Callable[[], Browser]) -> None:
    browser = visit()
    page = sign_in(browser, company, "first", "alice", "/app/settings/tokens")
    assert (page.status, urlsplit(page.url).path) == (200, "/app/settings/tokens"), page.text
    assert "<span>alice</span>" in page.text


def test_terraform_login_works_through_it_and_equal_addresses_of_two_providers_are_two_people(
    company: Company, visit: Callable[[], Browser]
) -> None:
    tokens = [token_of(visit(), company, provider, "alice") for provider in ("first", "second", "first")]
    answers = [account(company, token) for token in tokens]
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    people = [answer.json()["data"] for answer in answers]
    assert [person["attributes"]["email"] for person in people] == ["alice@example.com"] * 3
    assert people[0]["id"] == people[2]["id"] != people[1]["id"]


def test_groups_give_the_roles_that_the_operator_mapped_them_to_and_only_those(company: Company, visit: Callable[[], Browser]) -> None:
    for provider, name, status in (("first", "alice", 200), ("first", "bob", 403), ("second", "alice", 403)):
        with closing(company.server.client(token_of(visit(), company, provider, name))) as api:
            assert api.get("admin/users").status_code == status, (provider, name)


def test_somebody_without_an_address_is_told_and_may_try_another_way(company: Company, visit: Callable[[], Browser]) -> None:
    page = sign_in(visit(), company, "first", "carol")
    assert page.status == 401
    assert "did not say your e-mail address" in page.text
    assert [form for form in page.forms if "password" in form.fields]
    assert "Second" in page.text


def test_a_provider_that_is_down_is_named_and_the_others_stay_usable(company: Company, visit: Callable[[], Browser]) -> None:
    browser = visit()
    page = browser.open(f"{company.server.url}/api/v2/auth/authorize?provider=down")
    assert page.status == 502
    assert "Down" in page.text
    answer = httpx.get(f"{company.server.url}/api/v2/auth/authorize?provider=down", trust_env=False, headers={"Accept": "application/json"})
    assert answer.status_code == 502
    assert "Down" in answer.json()["errors"][0]["detail"]
    assert sign_in(browser, company, "second", "dave").status == 200


def test_a_callback_of_another_browser_or_a_second_time_is_refused(company: Company, visit: Callable[[], Browser]) -> None:
    authorize = f"{company.server.url}/api/v2/auth/authorize?provider=first"
    callback = f"{company.server.url}/api/v2/auth/callback"
    with httpx.Client(trust_env=False, headers={"Accept": "text/html"}) as mine:
        begun = mine.get(authorize)
        values = company.first.sign_in(begun.headers["Location"], "erin", callback)
        stolen = httpx.get(callback, params=values, trust_env=False, headers={"Accept": "application/json"})
        assert stolen.status_code == 400
        assert mine.get(callback, params=values).status_code == 303
        assert mine.get(callback, params=values, headers={"Accept": "application/json"}).status_code == 400


def test_no_token_code_or_secret_is_in_the_servers_log(company: Company, visit: Callable[[], Browser]) -> None:
    callback = f"{company.server.url}/api/v2/auth/callback"
    with httpx.Client(trust_env=False, headers={"Accept": "text/html"}) as mine:
        begun = mine.get(f"{company.server.url}/api/v2/auth/authorize?provider=first")
        values = company.first.sign_in(begun.headers["Location"], "frank", callback)
        assert mine.get(callback, params=values).status_code == 303
    said = company.server.said()
    assert CLIENT_SECRET not in said
    assert values["code"] not in said
    assert "eyJ" not in said
