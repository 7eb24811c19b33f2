"""The walk: every route, asked by everybody, answers what the table of `tests/support/access.py` says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from terrapod_core.clock import SystemClock
from terrapod_core.secrets import Keyring
from terrapod_core.storage import Holder, PhaseTokens
from tests.support import wire
from tests.support.access import LEVELS, TABLE, Gets, Owned, Page, Row, Who
from tests.support.endpoints import WRITING, World, make_world
from tests.support.gate import Gate
from tests.support.routes import routes
from tests.support.server import Server
from tests.support.wire import Person, document, make_person

LABEL = {"walk": "yes"}
HIDDEN_WORDS = re.compile(r"or you may not see it|no such|for another phase|is gone")
_SENT = {re.sub(r"\{\w+\}", "<>", f"{one.method} /api/v2/{one.path}").replace("/default/", "/<>/"): one.good for one in WRITING}

OWN_BODIES: dict[str, Any] = {
    "PATCH /api/v2/organizations/<org>/workspaces/<name>": document("workspaces", description="text"),
    "PATCH /api/v2/workspaces/<workspace_id>": document("workspaces", description="text"),
    "PATCH /api/v2/workspaces/<workspace_id>/relationships/tag-bindings": {
        "data": [{"type": "tag-bindings", "attributes": {"key": key, "value": value}} for key, value in LABEL.items()]
    },
}
"""Where what `endpoints` sends would change names or the walk's own label, which is for the owner."""


def test_every_route_has_a_row_and_every_row_a_route(tmp_path: Path) -> None:
    found = {f"{method} {path}" for method, path in routes(tmp_path)}
    assert not found - set(TABLE), "say in tests/support/access.py what these need"
    assert not set(TABLE) - found, "these routes are gone"


@dataclass
class Walk:
    """The server, those who ask, and the things they ask for."""

    server: Server
    people: dict[Who, Person]
    tokens: dict[Who, str]
    client: httpx.Client
    """One for everybody, because making one costs more than asking; it carries nothing from one to the other."""
    world: World = field(init=False)
    """For all questions but those that use something up: who passes there gets a world of their own."""

    def __post_init__(self) -> None:
        self.world = self.fresh()

    def fresh(self) -> World:
        """One of each thing, the platform admin's, on which the walk's roles have their levels."""
        world = make_world(self.server.api)
        for ident in (world.workspace, world.other):
            wire.data(self.server.api.patch(f"workspaces/{ident}", json=document("workspaces", labels=LABEL)))
        return world

    def ask(self, who: Who, route: str, row: Row, world: World) -> httpx.Response:
        """The answer to this one's request."""
        method, path = route.split(" ", 1)
        headers = {"Content-Type": wire.JSON_API, "Accept": wire.JSON_API}
        if (token := self.tokens.get(who)) is not None:
            headers["Authorization"] = f"Bearer {token}"
        query = {key: world.fill(value) for key, value in (row.query or {}).items()}
        body = world.filled(_body(route, row)) if method != "GET" else None
        self.client.cookies.clear()
        return self.client.request(method, self._path(route, path, world), params=query or None, json=body, headers=headers)

    def _path(self, route: str, path: str, world: World) -> str:
        """The path with the ids of things that are there."""
        versions = world.state if "/state-versions" in path else world.configuration
        named = {
            "org": "default", "workspace": world.name, "workspace_id": world.workspace, "variable_id": world.variable,
            "project_id": world.project, "run_id": world.run, "plan_id": world.plan, "apply_id": world.apply,
            "event_id": world.event, "phase_id": world.plan, "artifact": "plan-file", "version_id": versions,
            "output_id": world.output, "token_id": world.token, "team_id": "team-1", "action": "cancel", "token": "x" * 40,
        }  # fmt: skip
        if "/admin/users/" in path or "session" in path:
            named |= self._somebody(route)
        elif "/roles/" in path or "/role-assignments/" in path:
            named |= self._role()
        else:
            named |= {"name": world.name, "user_id": world.user}
        return re.sub(r"<(\w+)>", lambda match: str(named[match[1]]), path)

    def _somebody(self, route: str) -> dict[str, str]:
        """A user whom nobody misses, and a session of the platform admin."""
        email = f"{wire.fresh('walked')}@example.com"
        made = wire.data(self.server.api.post("admin/users", json=document("users", email=email)), 201)
        session = ""
        if "session_id" in route:
            session = _session(self.server)
        return {"user_id": made["id"], "session_id": session}

    def _role(self) -> dict[str, str]:
        """A role that somebody has."""
        name, email = wire.fresh("walked"), f"{wire.fresh('walked')}@example.com"
        _make_role(self.server, name, "read", {"walked": name})
        sent = document("role-assignments", provider_name="local", email=email, roles=[name])
        wire.data(self.server.api.put("role-assignments", json=sent))
        return {"name": name, "role": name, "email": email, "provider": "local"}


def _body(route: str, row: Row) -> Any:
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


@pytest.fixture(scope="module")
def walk(open_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walk]:
    """Everybody at the doors of a server on which everybody may start runs."""
    people: dict[Who, Person] = {}
    with ExitStack() as closing:
        for who in (Who.NONE, Who.READ, Who.PLAN, Who.WRITE, Who.ADMIN):
            people[who] = make_person(open_server, f"walker-{who}")
            closing.callback(people[who].api.close)
            if LEVELS[who]:
                name = wire.fresh(f"walk-{who}")
                _make_role(open_server, name, who, LABEL)
                sent = document("role-assignments", provider_name="local", email=people[who].email, roles=[name])
                wire.data(open_server.api.put("role-assignments", json=sent))
        people[Who.AUDIT] = make_person(open_server, "walker-audit", "audit")
        closing.callback(people[Who.AUDIT].api.close)
        tokens = {who: person.token for who, person in people.items()} | {Who.PLATFORM: open_server.token}
        client = closing.enter_context(httpx.Client(base_url=open_server.url, trust_env=False, timeout=30))
        walk = Walk(open_server, people, tokens, client)
        keyring = Keyring.load(None, open_server.data, embedded=True)
        ends = SystemClock().now() + timedelta(hours=1)
        phase_tokens = PhaseTokens(keyring, SystemClock())
        tokens[Who.SUPERVISOR] = phase_tokens.issue(walk.world.run, walk.world.plan, "plan", 1, ends)
        gate = Gate(tmp_path_factory.mktemp("walk") / "gate")
        closing.callback(gate.close)
        run, plan = _begin_plan(open_server, walk.world, gate)
        tokens[Who.ENGINE] = phase_tokens.issue(run, plan, "plan", 1, ends, holder=Holder.ENGINE)
        yield walk
        gate.open()
        wire.run_at(open_server.api, run, "planned_and_finished")


def _begin_plan(server: Server, world: World, gate: Gate) -> tuple[str, str]:
    """A plan of the world's workspace that goes on until the gate is opened; the ids of its run and of itself."""
    files = {"main.tf": f'output "waited" {{\n  value = {gate.plan}\n}}\n'}
    configuration = wire.make_configuration(server.api, world.workspace, files, speculative=True)
    run = wire.make_run(server.api, world.workspace, configuration)
    gate.wait()
    found = wire.data(server.api.get(f"runs/{run}"))
    return run, found["relationships"]["plan"]["data"]["id"]


@pytest.mark.parametrize("route", TABLE)
def test_a_route_answers_everybody_as_the_table_says(walk: Walk, route: str) -> None:
    row = TABLE[route]
    for who in Who:
        gets = row.needs.gets(who)
        world = walk.fresh() if gets is Gets.IN and who in LEVELS and _uses_up(route) else walk.world
        answer = walk.ask(who, route, row, world)
        _judge(route, row, who, gets, answer)


def _uses_up(route: str) -> bool:
    """Whether passing this door takes away what the next who passes it needs."""
    of_the_world = re.search(r"<(workspace|run|variable|project|version|token)_id>|/workspaces/<name>", route)
    spends = route.startswith("DELETE ") or "/actions/" in route or route.endswith("/relationships/workspaces")
    return spends and of_the_world is not None


def _judge(route: str, row: Row, who: Who, gets: Gets, answer: httpx.Response) -> None:
    said = f"{route} as {who}: {answer.status_code} where the table says {gets}: {answer.text[:300]}"
    assert answer.status_code < 500, said
    if isinstance(row.needs, Page):
        leads = answer.headers.get("location", "")
        assert answer.status_code in (400, 401, 403) or (answer.is_redirect and leads.startswith(("/app", "/"))), said
        assert not leads.startswith("//"), said
        return
    if gets is Gets.IN:
        assert answer.status_code != 401 or route.startswith(("POST /api/v2/auth/callback", "POST /app/sign-in")), said
        assert not _forbidden_by_the_gate(answer), said
        assert not (answer.status_code == 404 and "or you may not see it" in answer.text), said
    elif gets is Gets.HIDDEN:
        assert answer.status_code in row.hidden, said
        assert HIDDEN_WORDS.search(answer.text), said
    elif gets is Gets.REFUSED:
        assert answer.status_code in (401, 404), said
    else:
        assert answer.status_code == int(gets.value), said
    if answer.is_error and not isinstance(row.needs, Owned):
        assert _leak(answer) is None, said


def _forbidden_by_the_gate(answer: httpx.Response) -> bool:
    """Whether it is a refusal of this person, not of what they sent."""
    if answer.status_code != 403 or not answer.headers.get("content-type", "").startswith(("application/json", wire.JSON_API)):
        return False
    codes = {error.get("code") for error in answer.json()["errors"]}
    return not codes & {"reauthentication_needed", "own_account"}


def _leak(answer: httpx.Response) -> str | None:
    """The sensitive value, if an error repeats one."""
    found = re.search(r"xyzzy-[\w-]*-value", answer.text)
    return found[0] if found else None
