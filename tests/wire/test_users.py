"""Users over HTTP: workspaces of deleted ones, passwords with real hashing, sessions of two browsers."""

from __future__ import annotations

import httpx

from tests.support import wire
from tests.support.server import Server
from tests.support.waiting import until
from tests.support.wire import attributes, data, document, make_person, refused

FIRST, SECOND = "a quiet walnut drawer", "another quiet walnut drawer"


def signed_in(server: Server, email: str, password: str) -> httpx.Response:
    """The answer to a sign-in."""
    with httpx.Client(base_url=server.url, headers={"Accept": wire.JSON}, trust_env=False) as client:
        state = attributes(client.get("/api/v2/auth/authorize", params={"provider": "local"}))["state"]
        return client.post("/api/v2/auth/callback", json={"state": state, "email": email, "password": password})


def test_a_deleted_users_workspaces_are_left_to_admins(api: httpx.Client, server: Server) -> None:
    person = make_person(server, "leaver")
    workspace = wire.make_workspace(person.api)["id"]
    assert api.delete(f"admin/users/{person.id}").status_code == 204
    refused(person.api.get("account/details"), 401)
    person.api.close()

    def disowned() -> bool:
        included = api.get(f"workspaces/{workspace}", params={"include": "owner"}).json()
        return person.id not in str(included)

    until(disowned, "the workspace to lose its owner")
    assert data(api.get(f"workspaces/{workspace}"))["id"] == workspace
    refused(api.get(f"users/{person.id}"), 404)


def test_a_user_is_made_changes_the_password_and_is_given_another(api: httpx.Client, server: Server) -> None:
    email = f"{wire.fresh('walnut')}@example.com"
    made = data(api.post("admin/users", json=document("users", email=email, password=FIRST)), 201)
    first, other = (attributes(signed_in(server, email, FIRST))["token"] for _ in range(2))
    change = {"current_password": FIRST, "password": SECOND, "password_confirmation": SECOND}
    with server.client(first) as browser, server.client(other) as elsewhere:
        weak = {**change, "password": "password1", "password_confirmation": "password1"}
        refused(browser.patch("account/password", json={"data": {"attributes": weak}}), 422, pointer="/data/attributes/password")
        assert browser.patch("account/password", json={"data": {"attributes": change}}).status_code == 200
        assert data(browser.get("account/details"))["id"] == made["id"]
        refused(elsewhere.get("account/details"), 401)
        refused(signed_in(server, email, FIRST), 401)
        reset = attributes(api.post(f"admin/users/{made['id']}/actions/reset-password"))["password"]
        refused(browser.get("account/details"), 401)
    assert signed_in(server, email, reset).status_code == 200


def test_a_session_that_is_ended_elsewhere_is_refused(api: httpx.Client, server: Server) -> None:
    email = f"{wire.fresh('twice')}@example.com"
    data(api.post("admin/users", json=document("users", email=email, password=FIRST)), 201)
    one, other = (attributes(signed_in(server, email, FIRST))["token"] for _ in range(2))
    with server.client(one) as here, server.client(other) as there:
        listed = data(here.get("auth/sessions"))
        assert sorted(each["attributes"]["is-current"] for each in listed) == [False, True]
        theirs = next(each["id"] for each in listed if not each["attributes"]["is-current"])
        assert here.delete(f"auth/sessions/{theirs}").status_code == 204
        refused(there.get("account/details"), 401)
        assert data(here.get("account/details"))


def test_the_token_of_the_settings_is_shown_to_admins(api: httpx.Client) -> None:
    me = data(api.get("account/details"))["id"]
    assert attributes(api.get(f"admin/users/{me}"))["bootstrap-token-in-force"] is True
    origins = [each["attributes"]["origin"] for each in data(api.get(f"users/{me}/authentication-tokens"))]
    assert origins.count("bootstrap") == 1
