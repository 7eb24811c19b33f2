"""Walks over the application's routes beside the one of `tests/house/test_gate.py`: what lists show, and what a cookie opens."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest

from tests.support import wire
from tests.support.access import TABLE, Listening, Open, Runner
from tests.support.endpoints import World
from tests.support.routes import routes
from tests.support.server import Server
from tests.support.wire import Person, refused


@pytest.fixture(scope="module")
def every_route(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, str]]:
    """Method and path."""
    return routes(tmp_path_factory.mktemp("routes"))


def shape(method: str, path: str) -> str:
    """A route without the names of its arguments."""
    return f"{method} {re.sub(r'<[^>]+>', '<>', path)}"


def concrete(path: str, world: World) -> str:
    """The path with the ids of things that exist; they are the admin's."""
    of_provider = "registry-providers" in path or "registry/providers" in path
    named = {
        "org": "default",
        "name": world.provider_name if of_provider else world.module_name if "/registry" in path else world.name,
        "workspace_id": world.workspace,
        "variable_id": world.shared if path.startswith("/api/v2/varsets") else world.variable,
        "varset_id": world.varset,
        "var_id": world.variable,
        "project_id": world.project,
        "pool_id": world.pool,
        "listener_id": world.listener,
        "run_id": world.run,
        "plan_id": world.plan,
        "apply_id": world.apply,
        "event_id": world.event,
        "comment_id": world.comment,
        "phase_id": world.plan,
        "artifact": "plan-file",
        "version_id": world.state if path.startswith("/api/v2/state-versions") else world.configuration,
        "state_version_id": world.state,
        "output_id": world.output,
        "user_id": world.user,
        "token_id": world.token,
        "session_id": f"session-{wire.UNKNOWN}",
        "team_id": f"team-{wire.UNKNOWN}",
        "module_id": world.module,
        "provider_id": world.provider,
        "namespace": "default",
        "provider": "aws",
        "version": "1.0.0",
        "os": "linux",
        "arch": "amd64",
        "key_id": world.gpg_key,
        "connection_id": world.connection,
        "result_id": f"asmtres-{wire.UNKNOWN}",
        "change_id": f"vcschg-{wire.UNKNOWN}",
        "tool": "packer",
        "warming_id": "none",
        "client_id": f"oc-{wire.UNKNOWN}",
        "installation_id": f"ghain-{wire.UNKNOWN}",
    }
    for name, value in named.items():
        path = path.replace(f"<{name}>", value)
    assert "<" not in path, f"the walk does not know what to put into {path}"
    return path


def api_routes(routes: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Those that programs call."""
    return [(method, path) for method, path in routes if path.startswith("/api/")]


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
    "GET /api/v2/organizations/<>/events",
    "GET /api/v2/auth/sessions",
    "GET /api/v2/users/<>",
)
"""What every user may read: themselves, the organization, names of users; and listen to, as far as they may read it."""

NEED_FILTERS = (
    "/api/v2/state-versions",
    "/api/v2/vars",
    "/api/v2/admin/mirror-keys/offered",
    "/api/v2/vcs-connections/<connection_id>/refs",
    "/api/v2/organizations/<org>/registry-modules/private/<namespace>/<name>/<provider>/version",
    "/api/v2/organizations/<org>/vcs/repo",
)
"""What asks for the workspace's name, or a version, and says so before anything else."""


def test_a_user_without_rights_gets_nothing_of_others(
    alice: Person, world: World, server: Server, every_route: list[tuple[str, str]]
) -> None:
    """Every GET with the ids of the admin's things: 404, 403, or a list without them."""
    for method, path in api_routes(every_route):
        row = TABLE[f"{method} {path}"]
        if method != "GET" or isinstance(row.needs, Open | Runner | Listening) or shape(method, path) in BARE:
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
    found = routes(tmp_path)
    assert not sorted({shape(*one) for one in found if found.count(one) > 1})
