"""Narrowed tokens over HTTP, with real workspaces; the commands beside a server that runs."""

from __future__ import annotations

import httpx

from tests.support import wire
from tests.support.server import Server
from tests.support.waiting import until
from tests.support.wire import Person, data, document, ref, refused, terrapod


def made(api: httpx.Client, *workspaces: str, **attributes: object) -> httpx.Response:
    """The answer to asking for a token of one's own, for some workspaces."""
    related = {"workspaces": [ref("workspaces", each) for each in workspaces]} if workspaces else None
    return api.post("authentication-tokens", json=document("authentication-tokens", related, **attributes))


def test_a_token_is_for_workspaces_that_its_maker_may_see(api: httpx.Client, server: Server, alice: Person) -> None:
    hers, hidden = wire.make_workspace(alice.api)["id"], wire.make_workspace(api)["id"]
    refused(made(alice.api, hers, hidden), 422, pointer="/data/relationships/workspaces", says="may not see it")
    refused(made(alice.api, f"ws-{wire.UNKNOWN}"), 422, pointer="/data/relationships/workspaces", says="may not see it")
    token = data(made(alice.api, hers, permission="read"), 201)
    assert token["attributes"]["permission"] == "read"
    assert token["attributes"]["workspaces"] == [hers]
    with server.client(token["attributes"]["token"]) as narrow:
        assert data(narrow.get("account/details"))["id"] == alice.id
        child = data(made(narrow), 201)
        assert (child["attributes"]["permission"], child["attributes"]["workspaces"]) == ("read", [hers])
        refused(made(narrow, permission="plan"), 422, pointer="/data/attributes/permission")
    assert alice.api.delete(f"authentication-tokens/{token['id']}").status_code == 204
    with server.client(child["attributes"]["token"]) as orphan:
        refused(orphan.get("account/details"), 401)


def test_the_commands_make_and_list_narrow_tokens_while_the_server_runs(api: httpx.Client, server: Server, alice: Person) -> None:
    workspace = wire.make_workspace(api)
    arguments = ("--permission", "plan", "--workspace", workspace["attributes"]["name"], "--expires", "2d")
    text = terrapod(server, "tokens", "create", alice.email, *arguments)
    with server.client(text) as narrow:
        assert data(narrow.get("account/details"))["id"] == alice.id
        child = data(made(narrow), 201)["attributes"]
        assert (child["permission"], child["workspaces"]) == ("plan", [workspace["id"]])
    listed = terrapod(server, "tokens", "list", alice.email)
    assert f"plan, {workspace['id']}" in listed
    assert text not in listed
    assert "from the settings" in terrapod(server, "tokens", "list")


def test_the_commands_see_users_through_their_life_while_the_server_runs(server: Server) -> None:
    name, email = wire.fresh("robot"), f"{wire.fresh('temp')}@example.com"
    terrapod(server, "users", "create", name, "--service-account", "--role", "audit")
    assert terrapod(server, "users", "roles", name) == "audit"
    assert terrapod(server, "users", "roles", name, "--add", "admin", "--remove", "audit") == "admin"
    with server.client(terrapod(server, "tokens", "create", name)) as robot:
        account = wire.attributes(robot.get("account/details"))
        assert (account["username"], account["is-service-account"], account["is-admin"]) == (name, True, True)
        terrapod(server, "users", "disable", name)
        until(lambda: robot.get("account/details").status_code == 401, "the disabled account to be refused")
        terrapod(server, "users", "enable", name)
        until(lambda: robot.get("account/details").status_code == 200, "the enabled account to be let in")
        assert f"{name}@service.invalid" in terrapod(server, "users", "list")
        terrapod(server, "users", "delete", name, "--yes")
        until(lambda: robot.get("account/details").status_code == 401, "the deleted account to be refused")
    terrapod(server, "users", "create", email, "--password", "a long enough passphrase 42")
    terrapod(server, "users", "delete", email, "--yes")
    assert email not in terrapod(server, "users", "list")
