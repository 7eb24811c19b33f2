"""The contract's health, readiness, discovery, ping, account, organizations, sign-in and `terraform login`."""

from __future__ import annotations

import base64
import hashlib
import secrets
from typing import Any

import httpx
import pytest

from tests.support import wire
from tests.support.server import Server
from tests.support.waiting import until
from tests.support.wire import JSON, Person, attributes, data, document, refused


def get(server: Server, path: str, **parameters: str) -> httpx.Response:
    """A request without any credential."""
    return httpx.get(server.url + path, params=parameters, headers={"Accept": JSON}, trust_env=False)


def test_health(server: Server) -> None:
    response = get(server, "/health")
    assert (response.status_code, response.json()) == (200, {"status": "healthy"})


def test_ready_asks_database_redis_and_storage(server: Server) -> None:
    # A part that takes longer than two seconds on a busy machine is rightly said not to answer, until it does.
    found = until(lambda: ready(server), "a server that is ready")
    assert found["status"] == "ready"
    assert set(found["checks"]) == {"database", "redis", "storage"}
    assert all(said.startswith("healthy") for said in found["checks"].values())


def ready(server: Server) -> dict[str, Any] | None:
    response = get(server, "/ready")
    found: dict[str, Any] = response.json()
    return found if response.status_code == 200 and "degraded" not in response.text else None


def test_discovery_is_the_contracts_and_what_the_clients_need(server: Server) -> None:
    response = get(server, "/.well-known/terraform.json")
    assert response.headers["content-type"] == JSON
    found = response.json()
    assert found["login.v1"] == {
        "client": "terraform-cli",
        "grant_types": ["authz_code"],
        "authz": "/oauth/authorize",
        "token": "/oauth/token",
        "ports": [10000, 10010],
    }
    assert found["modules.v1"] == "/api/v2/registry/modules/"
    assert found["providers.v1"] == "/api/v2/registry/providers/"
    assert {found[name] for name in ("tfe.v2", "tfe.v2.1", "tfe.v2.2", "state.v2")} == {"/api/v2/"}


def test_discovery_is_json_whatever_is_accepted(server: Server) -> None:
    response = httpx.get(f"{server.url}/.well-known/terraform.json", headers={"Accept": wire.JSON_API}, trust_env=False)
    assert (response.status_code, response.headers["content-type"]) == (200, JSON)


def test_ping_wears_the_version_headers(server: Server) -> None:
    response = get(server, "/api/v2/ping")
    assert response.status_code in (200, 204)
    assert (response.headers["TFP-API-Version"], response.headers["TFP-AppName"], response.headers["X-TFE-Version"]) == (
        "2.6",
        "Terrapod",
        "v0.1.0",
    )


def test_account_details(api: httpx.Client, server: Server) -> None:
    found = data(api.get("account/details"))
    assert found["type"] == "users"
    assert found["id"].startswith("user-")
    assert (found["attributes"]["email"], found["attributes"]["is-service-account"]) == (server.email, False)
    assert found["attributes"]["username"]
    assert attributes(api.get(f"users/{found['id']}"))["username"] == found["attributes"]["username"]


def test_the_organization_and_what_it_may(api: httpx.Client, alice: Person) -> None:
    for client in (api, alice.api):
        found = data(client.get("organizations/default"))
        assert (found["type"], found["id"], found["attributes"]["name"]) == ("organizations", "default", "default")
        assert [one["id"] for one in data(client.get("organizations"))] == ["default"]
        entitled = data(client.get("organizations/default/entitlement-set"))
        assert entitled["type"] == "entitlement-sets"
        for name in ("operations", "state-storage", "vcs-integrations", "private-module-registry", "sentinel", "teams", "agents"):
            assert name in entitled["attributes"]
        assert entitled["attributes"]["operations"] is True
        assert entitled["attributes"]["state-storage"] is True


def test_capacity_and_queue_are_readable(api: httpx.Client) -> None:
    capacity = attributes(api.get("organizations/default/capacity"))
    assert isinstance(capacity["pending"], int)
    assert isinstance(capacity["running"], int)
    assert isinstance(data(api.get("organizations/default/runs/queue")), list)


# -- tokens


def test_a_token_is_shown_once_and_works_until_it_is_revoked(api: httpx.Client, server: Server) -> None:
    made = data(api.post("authentication-tokens", json=document("authentication-tokens", description="mine")), 201)
    text = made["attributes"]["token"]
    assert (made["type"], made["attributes"]["description"]) == ("authentication-tokens", "mine")
    assert text.startswith(f"terrapod-{made['id']}-")
    shown = data(api.get(f"authentication-tokens/{made['id']}"))
    assert (shown["attributes"]["token"], shown["attributes"]["description"]) == (None, "mine")
    listed = {one["id"]: one["attributes"]["token"] for one in data(api.get("authentication-tokens", params={"page[size]": 100}))}
    assert made["id"] in listed
    assert set(listed.values()) == {None}
    with server.client(text) as other:
        assert data(other.get("account/details"))["id"] == data(api.get("account/details"))["id"]
        assert api.delete(f"authentication-tokens/{made['id']}").status_code == 204
        refused(other.get("account/details"), 401)
    refused(api.get(f"authentication-tokens/{made['id']}"), 404)
    refused(api.delete(f"authentication-tokens/{made['id']}"), 404)


def test_tokens_by_both_paths_are_the_same(api: httpx.Client) -> None:
    me = data(api.get("account/details"))["id"]
    made = data(api.post(f"users/{me}/authentication-tokens", json={"data": {"type": "", "attributes": {"description": "go-tfe's"}}}), 201)
    for path in ("authentication-tokens", f"users/{me}/authentication-tokens"):
        assert made["id"] in {one["id"] for one in data(api.get(path, params={"page[size]": 100}))}
    assert api.delete(f"authentication-tokens/{made['id']}").status_code == 204


def test_nobody_makes_tokens_for_others(alice: Person, api: httpx.Client) -> None:
    sent = document("authentication-tokens", description="x")
    refused(alice.api.post(f"users/{data(api.get('account/details'))['id']}/authentication-tokens", json=sent), 403, 404)
    refused(api.post(f"users/{alice.id}/authentication-tokens", json=sent), 403, 404)
    own = data(alice.api.post("authentication-tokens", json=sent), 201)["id"]
    refused(alice.api.delete(f"authentication-tokens/{data(api.post('authentication-tokens', json=sent), 201)['id']}"), 404)
    assert api.delete(f"authentication-tokens/{own}").status_code == 204  # a platform admin may


# -- signing in


def begin(server: Server, client: httpx.Client) -> str:
    """Start a sign-in; its state."""
    begun = data(client.get(f"{server.url}/api/v2/auth/authorize", params={"provider": "local"}, headers={"Accept": JSON}))
    assert begun["attributes"]["callback"] == "/api/v2/auth/callback"
    assert [field["name"] for field in begun["attributes"]["fields"]] == ["email", "password"]
    state: str = begun["attributes"]["state"]
    return state


def test_the_providers_are_listed(server: Server) -> None:
    found = data(get(server, "/api/v2/auth/providers"))
    assert "local" in [one["attributes"]["name"] for one in found]


@pytest.mark.parametrize("form", [True, False], ids=["form", "json"])
def test_a_sign_in_gives_a_session_that_is_listed_and_ended(server: Server, form: bool) -> None:
    with httpx.Client(trust_env=False, headers={"Accept": JSON}) as browser:
        sent = {"state": begin(server, browser), "email": server.email, "password": server.password}
        callback = f"{server.url}/api/v2/auth/callback"
        answer = browser.post(callback, data=sent) if form else browser.post(callback, json=sent)
        token = attributes(answer)["token"]
        refused(browser.post(callback, data=sent), 400, 401, 403, 404, 409, 422)  # a sign-in is finished once
    with server.client(token) as session:
        assert attributes(session.get("account/details"))["email"] == server.email
        listed = data(session.get("auth/sessions"))
        assert [one["attributes"]["is-current"] for one in listed].count(True) == 1
        assert session.post("auth/logout").status_code in (200, 204)
        refused(session.get("account/details"), 401)


def test_a_wrong_password_and_an_unknown_address_are_told_alike(server: Server) -> None:
    answers = []
    for email, password in ((server.email, "wrong"), ("nobody@example.com", "wrong"), (server.email, ""), ("", "")):
        with httpx.Client(trust_env=False, headers={"Accept": JSON}) as browser:
            sent = {"state": begin(server, browser), "email": email, "password": password}
            answers.append(refused(browser.post(f"{server.url}/api/v2/auth/callback", data=sent), 400, 401, 403, 422, 429))
    assert answers[0][0]["detail"] == answers[1][0]["detail"]


def test_a_callback_without_its_beginning_is_refused(server: Server) -> None:
    with httpx.Client(trust_env=False, headers={"Accept": JSON}) as browser:
        mine = begin(server, browser)
        sent = {"email": server.email, "password": server.password}
        callback = f"{server.url}/api/v2/auth/callback"
        for wrong in ({}, {"state": ""}, {"state": "guess"}, {"state": mine + "x"}):
            refused(browser.post(callback, data={**sent, **wrong}), 400, 401, 403, 404, 422)
        refused(browser.post(callback, content=b"{", headers={"Content-Type": JSON}), 400)
        refused(browser.post(callback, content=b"x", headers={"Content-Type": "text/plain"}), 415)
        refused(browser.post(callback, json={"state": 7}), 400, 422)
        refused(browser.get(callback), 400, 401, 403, 404, 422)
        with httpx.Client(trust_env=False, headers={"Accept": JSON}) as another:
            refused(another.post(callback, data={**sent, "state": mine}), 400, 401, 403, 404, 422)
    refused(get(server, "/api/v2/auth/authorize", provider="nothing"), 400, 404, 422)


# -- terraform login


def challenge() -> tuple[str, str]:
    """A PKCE verifier and its challenge."""
    verifier = secrets.token_urlsafe(48)
    return verifier, base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def test_a_code_that_is_none_is_refused_as_oauth_says(server: Server) -> None:
    verifier, _ = challenge()
    good = {
        "grant_type": "authorization_code",
        "client_id": "terraform-cli",
        "code": "guess",
        "code_verifier": verifier,
        "redirect_uri": "http://localhost:10000/login",
    }
    for change in (
        {},
        {"grant_type": "password"},
        {"client_id": "other"},
        {"code": ""},
        {"code_verifier": ""},
        {"redirect_uri": "http://evil.example/login"},
    ):
        response = httpx.post(f"{server.url}/oauth/token", data={**good, **change}, trust_env=False)
        assert response.status_code == 400
        assert response.headers["content-type"] == JSON
        assert response.json()["error"] in (
            "invalid_request",
            "invalid_grant",
            "invalid_client",
            "unsupported_grant_type",
            "unauthorized_client",
        )
        assert " " in response.json()["error_description"]
    for content_type, content in (
        (JSON, b"{}"),
        ("application/x-www-form-urlencoded", b"\xff=%ff&" * 200),
        ("text/plain", b"x"),
        ("", b""),
    ):
        response = httpx.post(f"{server.url}/oauth/token", content=content, headers={"Content-Type": content_type}, trust_env=False)
        assert response.status_code in (400, 413, 415), (content_type, response.status_code, response.text)


@pytest.mark.parametrize(
    "change",
    [
        {"redirect_uri": "http://evil.example/login"},
        {"redirect_uri": "http://localhost:9999/login"},
        {"redirect_uri": "http://localhost:10000/login/../x"},
        {"redirect_uri": "http://localhost.evil.example:10000/login"},
        {"redirect_uri": "https://localhost:10000/login"},
        {"code_challenge_method": "plain"},
        {"code_challenge": ""},
        {"response_type": "token"},
        {"client_id": "another"},
    ],
    ids=str,
)
def test_an_authorization_that_is_not_terraforms_never_leads_away(server: Server, change: dict[str, str]) -> None:
    good = {
        "client_id": "terraform-cli",
        "code_challenge": challenge()[1],
        "code_challenge_method": "S256",
        "redirect_uri": "http://localhost:10000/login",
        "response_type": "code",
        "state": "x",
    }
    response = httpx.get(f"{server.url}/oauth/authorize", params={**good, **change}, headers={"Accept": "text/html"}, trust_env=False)
    assert response.status_code < 500
    location = response.headers.get("location", "/")
    assert location.startswith((f"{server.url}/", "/")), f"sent to {location}"
    assert not location.startswith("//")
    assert "code=" not in location.partition("?")[2].replace("code_challenge", "")
