"""Asking too often, as clients meet it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import httpx
import pytest
from pytfe import TFEClient, TFEConfig

from tests.support.listeners import make_listener, make_pool
from tests.support.server import Server
from tests.support.wire import attributes, document, refused


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with the limits that it has by itself, behind a proxy: every test comes from an address of its own."""
    limits = {
        "LIMITS__REQUESTS_PER_SECOND_PER_TOKEN": "30",
        "LIMITS__REQUESTS_PER_SECOND_PER_ADDRESS": "20",
        "LIMITS__REQUESTS_PER_MINUTE_PER_RUN": "1000",
        "SERVER__TRUSTED_PROXIES": "1",
        "EXTERNAL_URL": "http://localhost:8080",
    }
    server = Server(tmp_path_factory.mktemp("limited"), settings=limits)
    yield server.start()
    server.close()


@pytest.fixture
def token(limited: Server) -> str:
    """A new one: each has a limit of its own."""
    return str(attributes(limited.api.post("authentication-tokens", json=document("authentication-tokens")), 201)["token"])


@pytest.fixture
def mine(limited: Server, token: str) -> Iterator[httpx.Client]:
    """The API with it."""
    with limited.client(token) as client:
        yield client


def hammer(client: httpx.Client, path: str, times: int, **headers: str) -> list[httpx.Response]:
    return [client.get(path, headers=headers) for _ in range(times)]


def until_refused(ask: Callable[[], httpx.Response]) -> httpx.Response:
    """The first answer 429; the server gives way to so many a second, so how many it takes depends on the machine."""
    for _ in range(2000):
        answer = ask()
        if answer.status_code == 429:
            return answer
        assert answer.status_code < 500, answer.text
    raise AssertionError("it was never refused")


def test_a_token_that_asks_too_often_is_told_when_to_come_back(mine: httpx.Client) -> None:
    answers = hammer(mine, "account/details", 60)
    assert {answer.status_code for answer in answers} == {200}
    first = until_refused(lambda: mine.get("account/details"))
    refused(first, 429, says="too many requests with this token; try again in 1 s")
    assert first.headers["Retry-After"] == first.headers["X-RateLimit-Reset"] == "1"
    assert first.headers["X-RateLimit-Limit"] == "30"
    assert first.headers["X-RateLimit-Remaining"] == "0"


def test_a_client_of_hashicorp_waits_and_goes_on(limited: Server, token: str, mine: httpx.Client) -> None:
    """pytfe, as go-tfe, tries again after what the answer says."""
    with TFEClient(TFEConfig(address=limited.url, token=token, max_retries=5, ca_bundle=None)) as client:
        until_refused(lambda: mine.get("account/details"))
        assert {client.users.read_current().email for _ in range(5)} == {limited.email}


def test_a_guesser_is_stopped_and_the_neighbours_go_on(limited: Server, mine: httpx.Client) -> None:
    near, far = {"X-Forwarded-For": "203.0.113.7"}, {"X-Forwarded-For": "203.0.113.8"}
    assert mine.get("account/details", headers=near).status_code == 200
    with limited.client(None) as guesser:
        guesses = (guesser.get("account/details", headers={**near, "Authorization": f"Bearer guess-{n}"}) for n in range(2000))
        refused(until_refused(lambda: next(guesses)), 429, says="from this address")
        assert mine.get("account/details", headers=near).status_code == 200
        assert guesser.get("account/details", headers=far).status_code == 401


def test_an_address_cannot_be_changed_by_writing_another(limited: Server) -> None:
    with limited.client(None) as guesser:
        guesses = (guesser.get("account/details", headers={"X-Forwarded-For": f"198.51.100.{n}, 203.0.113.9"}) for n in range(2000))
        until_refused(lambda: next(guesses))


@pytest.mark.parametrize("path", ["/health", "/ready", "/api/v2/ping", "/.well-known/terraform.json"])
def test_what_costs_nothing_is_not_counted(limited: Server, path: str) -> None:
    with httpx.Client(base_url=limited.url, trust_env=False) as anybody:
        assert {answer.status_code for answer in hammer(anybody, path, 70)} == {200}


def test_a_browser_gets_a_page(limited: Server) -> None:
    with httpx.Client(base_url=limited.url, trust_env=False, headers={"Accept": "text/html", "X-Forwarded-For": "203.0.113.10"}) as browser:
        last = until_refused(lambda: browser.get("/app"))
    assert last.headers["Content-Type"].startswith("text/html")
    assert "too many requests" in last.text
    assert last.headers["Retry-After"] == "1"


def test_a_runner_has_a_limit_of_its_own_and_is_nobody_before_it_is_known(limited: Server) -> None:
    with limited.client(None) as guesser:
        path = f"{limited.url}/api/runner/v1/phases/plan-1/claim"
        guesses = (
            guesser.post(path, headers={"Authorization": f"Bearer {n}", "X-Forwarded-For": "203.0.113.11"}, content=b"{}")
            for n in range(2000)
        )
        refused(until_refused(lambda: next(guesses)), 429, says="from this address")


@pytest.mark.parametrize(
    ("method", "path", "authorized"),
    [
        ("OPTIONS", "/c/guess-{}", False),
        ("GET", "/c//guess-{}", False),
        ("OPTIONS", "/api/runner/v1/phases/plan-1/claim", True),
        ("POST", "/api/runner//v1/phases/plan-1/claim", True),
        ("GET", "/api/runner/v1/nothing", True),
    ],
)
def test_what_no_route_answers_proves_nothing(limited: Server, method: str, path: str, authorized: bool) -> None:
    """Else whoever asks that first would guess, and keep connections open, without a limit."""
    with httpx.Client(base_url=limited.url, trust_env=False) as guesser:

        def guess(n: int) -> httpx.Response:
            claimed = {"Authorization": f"Bearer {method}-{n}"} if authorized else {}
            return guesser.request(
                method, f"{limited.url}{path.format(n)}", headers={**claimed, "X-Forwarded-For": f"192.0.2.{len(path) + len(method)}"}
            )

        guesses = (guess(n) for n in range(2000))
        until_refused(lambda: next(guesses))


def test_a_listener_is_counted_for_itself_and_not_for_its_address(limited: Server) -> None:
    pool = make_pool(limited.api)["id"]
    listener = make_listener(limited.api, limited.url, pool, base="http://localhost:8080")
    address = {"X-Forwarded-For": "203.0.113.90"}
    assert listener.send("heartbeat", signed=listener.sign("heartbeat") | address).status_code == 200
    with httpx.Client(base_url=limited.url, trust_env=False) as client:
        until_refused(lambda: client.get("/api/v2/account/details", headers=address))
    assert listener.send("heartbeat", signed=listener.sign("heartbeat") | address).status_code == 200
