"""What every answer wears, and where answers lead."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import quote, urlencode, urlsplit

import httpx
import pytest

from tests.support.server import Server
from tests.support.wire import attributes, data, document, put_state, state

ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
}
PLAIN = {"Referrer-Policy": "no-referrer", "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; sandbox"}
API = {**ALWAYS, **PLAIN, "Cache-Control": "no-store"}
PAGE = {**ALWAYS, "Referrer-Policy": "same-origin", "Cache-Control": "no-store", "Cross-Origin-Opener-Policy": "same-origin"}

TABLE: dict[str, tuple[str, str, int, dict[str, str]]] = {
    "health": ("GET", "/health", 200, API),
    "discovery": ("GET", "/.well-known/terraform.json", 200, API),
    "ping": ("GET", "/api/v2/ping", 200, API),
    "an account": ("GET", "/api/v2/account/details", 200, API),
    "a list": ("GET", "/api/v2/organizations/default/workspaces", 200, API),
    "tokens": ("GET", "/api/v2/authentication-tokens", 200, API),
    "a refusal": ("GET", "/api/v2/workspaces/ws-none", 404, API),
    "a bad document": ("POST", "/api/v2/organizations/default/workspaces", 400, API),
    "a wrong method": ("PUT", "/api/v2/account/details", 405, API),
    "an unknown path": ("GET", "/nothing", 404, API),
    "a link that is none": ("GET", "/c/guess", 404, API),
    "an OAuth refusal": ("POST", "/oauth/token", 400, API),
    "a runner's route": ("POST", "/api/runner/v1/phases/plan-1/claim", 401, API),
    "the sign-in page": ("GET", "/app/sign-in", 200, PAGE),
    "a page that needs a session": ("GET", "/app", 303, {**ALWAYS, "Cache-Control": "no-store"}),
    "an error page": ("GET", "/app/nothing/here", 404, ALWAYS),
    "a stylesheet": ("GET", "/app/static/terrapod.css", 200, ALWAYS),
}

EVIL = [
    "//evil.example",
    "///evil.example",
    "\\\\evil.example",
    "/\\evil.example",
    "https:evil.example",
    "https://evil.example",
    "//evil.example/app",
]
EVIL += [
    "%2f%2fevil.example",
    "/%2fevil.example",
    "\t//evil.example",
    "/\t/evil.example",
    "/app\r\nLocation: //evil.example",
    "javascript:alert(1)",
]
EVIL += [
    "http:///evil.example",
    "//evil.example%2f@localhost",
    "/app/../..//evil.example",
    "\u2044\u2044evil.example",
    "//localhost@evil.example",
]

STARTS = ("/app/sign-in?", "/app/sign-in?provider=local&", "/api/v2/auth/authorize?", "/api/v2/auth/authorize?provider=local&")
LOGIN = "client_id=terraform-cli&response_type=code&state=x&code_challenge=y&code_challenge_method=S256"


@pytest.mark.parametrize(("method", "path", "status", "headers"), TABLE.values(), ids=TABLE.keys())
def test_every_answer_wears_what_browsers_heed(server: Server, method: str, path: str, status: int, headers: dict[str, str]) -> None:
    asked = {"Authorization": f"Bearer {server.token}"} if path.startswith("/api/v2") else {}
    answer = httpx.request(method, server.url + path, headers=asked, trust_env=False)
    assert answer.status_code == status, answer.text
    assert {name: answer.headers.get(name) for name in headers} == headers
    assert "default-src '" in answer.headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"] or path.startswith("/app/static/")
    assert "unsafe" not in answer.headers["Content-Security-Policy"]
    assert "Server" not in answer.headers
    assert "Access-Control-Allow-Origin" not in answer.headers
    assert all(len(answer.headers.get_list(name)) == 1 for name in headers)


def test_what_users_made_is_kept_from_running_in_a_browser(server: Server) -> None:
    workspace = data(server.api.post("organizations/default/workspaces", json=document("workspaces", name="worn-headers")), 201)
    data(server.api.post(f"workspaces/{workspace['id']}/actions/lock", json={}))
    made = put_state(server.api, workspace["id"], state(1))
    url = made["attributes"]["hosted-state-download-url"]
    answer = httpx.get(url, trust_env=False)
    if answer.status_code == 401:  # this one asks for the token
        answer = server.api.get(url, follow_redirects=True)
    assert answer.status_code == 200
    assert urlsplit(url).path.startswith(("/c/", "/api/v2/"))
    for name, value in API.items():
        assert answer.headers.get(name) == value, name
    assert answer.headers["Content-Disposition"].startswith("attachment")


def test_a_new_token_is_kept_by_no_cache(server: Server) -> None:
    answer = server.api.post("authentication-tokens", json=document("authentication-tokens", description="worn"))
    assert attributes(answer, 201)["token"]
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that takes every test for somebody else, by the address before its proxy: sign-ins of one are limited."""
    server = Server(tmp_path_factory.mktemp("doors"), settings={"SERVER__TRUSTED_PROXIES": "1"})
    server.set("EXTERNAL_URL", server.url)
    yield server.start()
    server.close()


@pytest.mark.parametrize(("number", "target"), list(enumerate(EVIL)), ids=EVIL)
def test_no_way_leads_off_this_server(doors: Server, number: int, target: str) -> None:
    whole, loose = quote(target, safe=""), quote(target, safe="%")
    paths = [f"{start}return_to={given}" for start in STARTS for given in (whole, loose)]
    paths += [f"/oauth/authorize?{LOGIN}&redirect_uri={whole}", f"/{quote(target, safe='/')}", f"/app/{quote(target, safe='/')}/workspaces"]
    headers = {"Accept": "text/html", "X-Forwarded-For": f"203.0.113.{number}"}
    with httpx.Client(trust_env=False, headers=headers) as browser:
        for path in paths:
            where = browser.get(doors.url + path).headers.get("Location", "")
            assert stays(where, doors), f"{path} leads to {where}"


@pytest.mark.parametrize(("number", "target"), list(enumerate(EVIL)), ids=EVIL)
def test_a_sign_in_leads_to_no_other_server(doors: Server, number: int, target: str) -> None:
    headers = {"Accept": "text/html", "X-Forwarded-For": f"203.0.113.{100 + number}"}
    with httpx.Client(trust_env=False, headers=headers) as browser:
        page = browser.get(f"{doors.url}/app/sign-in?{urlencode({'return_to': target})}").text
        hidden = dict(re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', page))
        fields = {**hidden, "email": doors.email, "password": doors.password, "return_to": target}
        answer = browser.post(f"{doors.url}/app/sign-in", data=fields, headers={"Origin": doors.url})
    assert answer.status_code == 303, answer.text
    assert stays(answer.headers["Location"], doors)


def stays(where: str, server: Server) -> bool:
    """Whether a browser that follows this stays here: a path with one slash and no backslash, or our own address."""
    if not where:
        return True
    if where.startswith("/"):
        return not where.startswith("//") and "\\" not in where.partition("?")[0] and not any(ord(each) < 32 for each in where)
    parts = urlsplit(where)
    return f"{parts.scheme}://{parts.netloc}" == server.url
