"""Those who ask at every door, and the things they ask for; `tests/house/test_gate.py` and `test_page_gate.py` walk with them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx

from tests.support import wire
from tests.support.access import LEVELS, Row, Who
from tests.support.connections import plant_connection
from tests.support.endpoints import WRITING, World, make_world
from tests.support.known_forge import IDENTIFIER
from tests.support.providers import path_of
from tests.support.server import Server
from tests.support.waiting import until
from tests.support.wire import Person, document, make_person

LABEL = {"walk": "yes"}
_SENT = {re.sub(r"\{\w+\}", "<>", f"{one.method} /api/v2/{one.path}").replace("/default/", "/<>/"): one.good for one in WRITING}

OWN_BODIES: dict[str, Any] = {
    "PATCH /api/v2/organizations/<org>/workspaces/<name>": document("workspaces", description="text"),
    "PATCH /api/v2/workspaces/<workspace_id>": document("workspaces", description="text"),
    "PATCH /api/v2/projects/<project_id>": document("projects", description="another"),
    "PATCH /api/v2/workspaces/<workspace_id>/vars/<variable_id>": document("vars", value="xyzzy-another-value"),
    "PATCH /api/v2/vars/<variable_id>": document("vars", value="xyzzy-another-value"),
    "POST /api/v2/authentication-tokens": document("authentication-tokens", description="of the walk"),
    "POST /api/v2/users/<user_id>/authentication-tokens": document("authentication-tokens", description="of the walk"),
    "PATCH /api/v2/workspaces/<workspace_id>/relationships/tag-bindings": {
        "data": [{"type": "tag-bindings", "attributes": {"key": key, "value": value}} for key, value in LABEL.items()]
    },
}
"""Where what `endpoints` sends is refused later on, or would change names or the walk's own label, which is for the owner."""


@dataclass
class Walk:
    """The server, those who ask, and the things they ask for."""

    server: Server
    tokens: dict[Who, str]
    """Bearer tokens; who has none here asks without."""
    client: httpx.Client
    """One for everybody, because making one costs more than asking; it carries nothing from one to the other."""
    change: str = field(init=False)
    """What a workspace saw in a repository, on which the walk's roles have their levels."""
    world: World = field(init=False)
    """For all questions but those that use something up: who passes there gets a world of their own."""

    def __post_init__(self) -> None:
        self.world = self.fresh()
        self.change = self._change()

    def fresh(self) -> World:
        """One of each thing, the platform admin's, on which the walk's roles have their levels."""
        token = plant_connection(self.server).replace("vcs-", "ot-")
        world = replace(make_world(self.server.api), oauth_token=token)
        for ident in (world.workspace, world.other):
            wire.data(self.server.api.patch(f"workspaces/{ident}", json=document("workspaces", labels=LABEL)))
        wire.data(self.server.api.patch(f"agent-pools/{world.pool}", json=document("agent-pools", labels=LABEL)))
        wire.data(self.server.api.patch(f"registry-modules/{world.module}", json=document("registry-modules", labels=LABEL)))
        wire.data(self.server.api.patch(path_of(world.provider_name), json=document("registry-providers", labels=LABEL)))
        return world

    def ask(self, who: Who, route: str, row: Row, world: World) -> httpx.Response:
        """The answer to this one's request."""
        method, path = route.split(" ", 1)
        headers = {"Content-Type": wire.JSON_API, "Accept": wire.JSON_API}
        if (token := self.tokens.get(who)) is not None:
            headers["Authorization"] = f"Bearer {token}"
        query = {key: world.fill(value) for key, value in (row.query or {}).items()}
        body = world.filled(body_of(route, row)) if method != "GET" else None
        self.client.cookies.clear()
        return asked(self.client, method, self.path(route, path, world), params=query or None, json=body, headers=headers)

    def path(self, route: str, path: str, world: World) -> str:
        """The path with the ids of things that are there."""
        versions = world.state if "/state-versions" in path else world.configuration
        named = {
            "org": "default", "organization": "default", "workspace": world.name, "workspace_name": world.name,
            "workspace_id": world.workspace, "varset_id": world.varset,
            "variable_id": world.shared if "/varsets/" in path else world.variable,
            "pool_id": world.pool, "listener_id": world.listener,
            "project_id": world.project, "run_id": world.run, "plan_id": world.plan, "apply_id": world.apply,
            "event_id": world.event, "comment_id": world.comment, "phase_id": world.plan, "artifact": "plan-file",
            "version_id": versions, "code": "state-diverged",
            "connection_id": world.connection, "change_id": self.change, "conflict_id": "conflict-none",
            "output_id": world.output, "token_id": world.token, "team_id": "team-1", "action": "cancel", "token": "x" * 40,
        }  # fmt: skip
        if path.startswith("/v1/"):
            named |= {"hostname": "registry.invalid", "namespace": "acme", "name": "pet", "provider": "null", "type_name": "fake"}
            named |= {"version": "1.0.0", "os": "linux", "arch": "amd64"}
        elif "/registry-providers" in path or "/registry/providers" in path or "/gpg-keys" in path:
            named |= {"provider_id": world.provider, "namespace": "default", "name": world.provider_name, "version": "1.0.0"}
            named |= {"os": "linux", "arch": "amd64", "key_id": world.gpg_key}
        elif "/provider-cache/" in path or "/module-cache/" in path:
            named |= {"host": "registry.test", "namespace": "acme", "name": "net", "type_": "fake", "system": "aws", "version": "1.0.0"}
            named |= {"os": "linux", "arch": "amd64"}
        elif "/registry" in path:
            named |= {"module_id": world.module, "namespace": "default", "name": world.module_name, "provider": "aws", "version": "1.0.0"}
        elif "/admin/users/" in path or "session" in path:
            named |= self._somebody(route)
        elif any(each in path for each in ("/oauth-", "/github-app", "/connections/")):
            named |= self._connection(path)
        elif "/roles/" in path or "/role-assignments/" in path:
            named |= self._role()
        elif "/binary-cache" in path or "/mirror-keys" in path:
            # Nothing that there is: the walk asks no upstream.
            named |= {"tool": "packer", "version": "1.0.0", "os": "linux", "arch": "amd64", "warming_id": "none", "key_id": "none"}
        elif "/vcs-events/" in path:
            named |= {"provider": "gitlab"}
        else:
            named |= {"name": world.name, "user_id": world.user}
        return re.sub(r"<(\w+)>", lambda match: str(named[match[1]]), path)

    def _change(self) -> str:
        """The first commit of a repository that a workspace begins to follow."""
        related = {"vcs-connection": wire.ref("vcs-connections", self.world.connection)}
        sent = document("workspaces", related, name=wire.fresh("walked"), labels=LABEL, vcs_repo_url=IDENTIFIER)
        ident = wire.data(self.server.api.post(f"{wire.ORG}/workspaces", json=sent), 201)["id"]
        found = until(lambda: wire.data(self.server.api.get(f"workspaces/{ident}/vcs-changes")), "the commit to be seen")
        return str(found[0]["id"])

    def _somebody(self, route: str) -> dict[str, str]:
        """A user whom nobody misses, and a session of the platform admin."""
        email = f"{wire.fresh('walked')}@example.com"
        made = wire.data(self.server.api.post("admin/users", json=document("users", email=email)), 201)
        session = ""
        if "session_id" in route:
            session = _session(self.server)
        return {"user_id": made["id"], "session_id": session}

    def _connection(self, path: str) -> dict[str, str]:
        """A connection that nobody uses, also by go-tfe's names of it."""
        about = {"id": 7, "name": "acme", "type": "Organization", "url": "", "icon_url": ""} if "/github-app" in path else None
        rest = plant_connection(self.server, installation=about).removeprefix("vcs-")
        return {"connection_id": f"vcs-{rest}", "client_id": f"oc-{rest}", "token_id": f"ot-{rest}", "installation_id": f"ghain-{rest}"}

    def _role(self) -> dict[str, str]:
        """A role that somebody has."""
        name, email = wire.fresh("walked"), f"{wire.fresh('walked')}@example.com"
        _make_role(self.server, name, "read", {"walked": name})
        sent = document("role-assignments", provider_name="local", email=email, roles=[name])
        wire.data(self.server.api.put("role-assignments", json=sent))
        return {"name": name, "role": name, "email": email, "provider": "local"}


def body_of(route: str, row: Row) -> Any:
    if row.body is not None:
        return row.body
    own = OWN_BODIES.get(route)
    if own is not None:
        return own
    return _SENT.get(re.sub(r"<\w+>", "<>", route)) or {}


def _session(server: Server) -> str:
    """The id of a new session of the platform admin's."""
    with httpx.Client(base_url=server.url, headers={"Accept": wire.JSON}, trust_env=False) as client:
        begun = wire.attributes(client.get("/api/v2/auth/authorize", params={"provider": "local"}))
        sent = {"state": begun["state"], "email": server.email, "password": server.password}
        ident: str = wire.data(client.post("/api/v2/auth/callback", json=sent))["id"]
    return ident


def _make_role(server: Server, name: str, permission: str, labels: dict[str, str]) -> None:
    sent = document("roles", name=name, workspace_permission=permission, allow_labels=labels)
    wire.data(server.api.post("roles", json=sent), 201)


def make_people(server: Server, closing: ExitStack) -> dict[Who, Person]:
    """One of each who has a user of their own, with what they hold on what carries the walk's label."""
    people: dict[Who, Person] = {}
    for who in (Who.NONE, Who.READ, Who.PLAN, Who.WRITE, Who.ADMIN):
        people[who] = make_person(server, f"walker-{who}")
        closing.callback(people[who].api.close)
        if LEVELS[who]:
            name = wire.fresh(f"walk-{who}")
            _make_role(server, name, who, LABEL)
            sent = document("role-assignments", provider_name="local", email=people[who].email, roles=[name])
            wire.data(server.api.put("role-assignments", json=sent))
    people[Who.AUDIT] = make_person(server, "walker-audit", "audit")
    closing.callback(people[Who.AUDIT].api.close)
    return people


def is_sent_to_sign_in(answer: httpx.Response) -> bool:
    """Whether a page asks to sign in first."""
    return answer.status_code == 303 and urlsplit(answer.headers["location"])[:3] == ("", "", "/app/sign-in")


@dataclass
class Window:
    """One person's browser, signed in by the sign-in page; redirects are not followed."""

    server: Server
    email: str
    password: str
    client: httpx.Client = field(init=False)
    form_token: str = ""
    """What this session's forms carry."""

    def __post_init__(self) -> None:
        self.client = httpx.Client(base_url=self.server.url, trust_env=False, timeout=30, headers={"Accept": "text/html,*/*;q=0.8"})

    def sign_in(self) -> None:
        """Begin a session, as a person does."""
        self.client.cookies.clear()
        page = self.client.get("/app/sign-in", params={"provider": "local", "return_to": "/app"})
        fields = {"state": _hidden(page, "state"), "return_to": "/app", "provider": "local"}
        answer = self.send("/app/sign-in", fields | {"email": self.email, "password": self.password}, signed=False)
        assert answer.status_code == 303, answer.text
        self.form_token = _hidden(self.client.get("/app/settings/tokens"), "form-token")

    def open(self, path: str, query: Mapping[str, str] | None = None) -> httpx.Response:
        """Look at a page."""
        return asked(self.client, "GET", path, params=dict(query or {}) or None)

    def send(self, path: str, fields: Mapping[str, str], *, signed: bool = True, origin: str | None = None) -> httpx.Response:
        """Send a form, with the session's token unless `signed` is false, from this server's own pages or those of `origin`."""
        sent = {"form-token": self.form_token, **fields} if signed else dict(fields)
        headers = {"Origin": origin or self.server.url, "Content-Type": "application/x-www-form-urlencoded"}
        return self.client.post(path, content=urlencode(sent), headers=headers)


def asked(client: httpx.Client, method: str, path: str, **more: Any) -> httpx.Response:
    """The answer; of one that goes on for ever only the head, which says that one is let in."""
    with client.stream(method, path, **more) as answer:
        if answer.headers.get("content-type") == "text/event-stream":
            return httpx.Response(answer.status_code, headers=answer.headers)
        answer.read()
    return answer


def _hidden(page: httpx.Response, name: str) -> str:
    """What a page's form sends by itself."""
    found = re.search(rf'name="{name}" value="([^"]+)"', page.text)
    assert found is not None, f"no {name} in {page.status_code}: {page.text}"
    return found[1]
