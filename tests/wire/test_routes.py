"""A walk over every route the application has: none is open by accident."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support import wire
from tests.support.endpoints import World
from tests.support.server import Server
from tests.support.wire import Person, refused

PUBLIC = {
    "GET /api/v2/ping": "terraform asks before it has a token",
    "GET /api/v2/auth/providers": "how to sign in",
    "GET /api/v2/auth/authorize": "signing in",
    "GET /api/v2/auth/callback": "signing in",
    "POST /api/v2/auth/callback": "signing in",
    "PUT /api/v2/state-versions/<>/content": "the contract's: the id is the right while the version waits",
    "PUT /api/v2/state-versions/<>/json-content": "the contract's: the id is the right while the version waits",
}
"""The routes below `/api` that ask nobody who they are, and why. Everything else does."""

OUTSIDE = {
    "GET /health": "for probes",
    "GET /ready": "for probes",
    "GET /.well-known/terraform.json": "discovery",
    "POST /oauth/token": "a code is the right",
    "GET /c/<>": "a signed link is the right",
    "PUT /c/<>": "a signed link is the right",
}
"""The routes outside `/api` and the pages that answer programs."""

PAGES = ("/app", "/login", "/logout", "/sign-in", "/sign-out", "/oauth/authorize", "/static", "/settings", "/account", "/", "/favicon")
"""Where pages for people begin: they answer with the sign-in page, and `tests/browser` sees to them."""


def rules(directory: Path) -> Iterator[tuple[str, str]]:
    """Method and path of every route, the path's arguments as `<name>`."""
    from terrapod_core.app import Terrapod
    from terrapod_core.settings import load

    app = Terrapod(load(environ={}, overrides={"data_dir": directory}), jobs=False).app
    for rule in app.url_map.iter_rules():
        yield from (
            (method, re.sub(r"<(?:[^:<>]+:)?([^<>]+)>", r"<\1>", rule.rule)) for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        )


@pytest.fixture(scope="module")
def routes(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, str]]:
    """All of them, sorted."""
    return sorted(set(rules(tmp_path_factory.mktemp("routes"))))


def shape(method: str, path: str) -> str:
    """A route without the names of its arguments."""
    return f"{method} {re.sub(r'<[^>]+>', '<>', path)}"


def concrete(path: str, world: World) -> str:
    """The path with the ids of things that exist; they are the admin's."""
    named = {
        "org": "default",
        "name": world.name,
        "workspace_id": world.workspace,
        "variable_id": world.variable,
        "var_id": world.variable,
        "project_id": world.project,
        "run_id": world.run,
        "plan_id": world.plan,
        "apply_id": world.apply,
        "event_id": world.event,
        "phase_id": world.plan,
        "artifact": "plan-file",
        "version_id": world.state if path.startswith("/api/v2/state-versions") else world.configuration,
        "state_version_id": world.state,
        "output_id": world.output,
        "user_id": world.user,
        "token_id": world.token,
    }
    for name, value in named.items():
        path = path.replace(f"<{name}>", value)
    assert "<" not in path, f"the walk does not know what to put into {path}"
    return path


def api_routes(routes: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Those that programs call."""
    return [(method, path) for method, path in routes if path.startswith("/api/")]


def test_the_walk_sees_the_whole_house(routes: list[tuple[str, str]]) -> None:
    shapes = {shape(*route) for route in routes}
    assert len(api_routes(routes)) > 80
    assert not {*PUBLIC, *OUTSIDE} - shapes, "the lists name routes that are not there"
    others = {one for one in shapes if not one.split()[1].startswith("/api/")} - {*OUTSIDE}
    assert not [one for one in others if not one.split()[1].startswith(PAGES)], "a route that is in no list"


def test_anonymous_gets_401_everywhere_else(server: Server, world: World, routes: list[tuple[str, str]]) -> None:
    with httpx.Client(base_url=server.url, headers={"Content-Type": wire.JSON_API}, trust_env=False) as anonymous:
        for method, path in api_routes(routes):
            response = anonymous.request(
                method, concrete(path, world), content=b'{"data": {}}' if method in ("POST", "PATCH", "PUT") else b""
            )
            if shape(method, path) in PUBLIC:
                assert response.status_code < 500, f"{method} {path}: {response.status_code}"
            else:
                refused(response, 401)


def test_a_users_token_does_not_open_the_runners_door(
    api: httpx.Client, server: Server, world: World, routes: list[tuple[str, str]]
) -> None:
    for method, path in api_routes(routes):
        if path.startswith("/api/runner/"):
            headers = {"Authorization": f"Bearer {server.token}"}
            refused(httpx.request(method, server.url + concrete(path, world), headers=headers, json={}, trust_env=False), 401, 404)


def test_a_cookie_never_opens_the_api(server: Server, world: World) -> None:
    """A browser's session is of no use on the API, however it was got."""
    signed_in = sign_in(server)
    cookies = dict.fromkeys(("session", "terrapod_session", "__Host-session", "__Host-terrapod_session", "terrapod-session"), signed_in)
    with httpx.Client(base_url=server.url, cookies=cookies, trust_env=False) as browser:
        refused(browser.get("/api/v2/account/details"), 401)
        refused(browser.delete(f"/api/v2/workspaces/{world.workspace}"), 401)
    bearer = httpx.get(f"{server.url}/api/v2/account/details", headers={"Authorization": f"Bearer {signed_in}"}, trust_env=False)
    assert bearer.status_code == 200, "the same text as a bearer token is the contract's session token"


def sign_in(server: Server) -> str:
    """The text of a new session of the admin's."""
    with httpx.Client(base_url=server.url, headers={"Accept": wire.JSON}, trust_env=False) as client:
        begun = wire.attributes(client.get("/api/v2/auth/authorize", params={"provider": "local"}))
        sent = {"state": begun["state"], "email": server.email, "password": server.password}
        token: str = wire.attributes(client.post("/api/v2/auth/callback", json=sent))["token"]
    return token


BARE = (
    "GET /api/v2/account/details",
    "GET /api/v2/organizations",
    "GET /api/v2/organizations/<>",
    "GET /api/v2/organizations/<>/entitlement-set",
    "GET /api/v2/organizations/<>/capacity",
    "GET /api/v2/auth/sessions",
    "GET /api/v2/users/<>",
)
"""What every user may read: themselves, the organization, names of users."""

NEED_FILTERS = ("/api/v2/state-versions", "/api/v2/vars")
"""Lists that ask for the workspace's name, and say so before anything else."""


def test_a_user_without_rights_gets_nothing_of_others(alice: Person, world: World, server: Server, routes: list[tuple[str, str]]) -> None:
    """Every GET with the ids of the admin's things: 404, 403, or a list without them."""
    for method, path in api_routes(routes):
        if method != "GET" or shape(method, path) in {*PUBLIC, *BARE} or path.startswith("/api/runner/"):
            continue
        response = alice.api.get(server.url + concrete(path, world))
        if response.status_code == 200:
            listed = response.json()["data"]
            assert isinstance(listed, list), f"{path} shows {response.text[:300]}"
            others = set(vars(world).values())
            assert not [one for one in listed if one["id"] in others], f"{path} lists what is not alice's"
            assert world.sensitive not in response.text
        else:
            refused(response, *((400,) if path in NEED_FILTERS else (403, 404)))


def test_every_route_is_there_once(tmp_path: Path) -> None:
    """Two handlers for one method and path: the second never answers."""
    found = list(rules(tmp_path))
    assert not sorted({shape(*one) for one in found if found.count(one) > 1})
