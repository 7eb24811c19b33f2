"""The walk: every route, asked by everybody, answers what the table of `tests/support/access` says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from terrapod_core.clock import SystemClock
from terrapod_core.secrets import Keyring
from terrapod_core.storage import Holder, PhaseTokens
from tests.support import wire
from tests.support.access import LATER, LEVELS, TABLE, Gets, Owned, Page, Row, Who
from tests.support.endpoints import World
from tests.support.gate import Gate
from tests.support.routes import routes
from tests.support.server import Server
from tests.support.walk import Walk, is_sent_to_sign_in, make_people

HIDDEN_WORDS = re.compile(r"or you may not see it|no such|for another phase|is gone|does not exist")


def test_every_route_has_a_row_and_every_row_a_route(tmp_path: Path) -> None:
    found = {f"{method} {path}" for method, path in routes(tmp_path)}
    assert not found - set(TABLE), "say in tests/support/access what these need"
    assert not set(TABLE) - found, "these routes are gone"


@pytest.fixture(scope="module")
def walk(open_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walk]:
    """Everybody at the doors of a server on which everybody may start runs."""
    with ExitStack() as closing:
        people = make_people(open_server, closing)
        tokens = {who: person.token for who, person in people.items()} | {Who.PLATFORM: open_server.token}
        client = closing.enter_context(httpx.Client(base_url=open_server.url, trust_env=False, timeout=30))
        walk = Walk(open_server, tokens, client)
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
    row, let_in = TABLE[route], []
    for who in Who:
        gets = row.needs.gets(who)
        world = walk.fresh() if gets is Gets.IN and who in LEVELS and _uses_up(route) else walk.world
        answer = walk.ask(who, route, row, world)
        _judge(route, row, who, gets, answer)
        if gets is Gets.IN:
            let_in.append(answer)
    refused = [answer for answer in let_in if answer.is_error]
    if route in LATER:
        assert all(re.search(LATER[route], answer.text) for answer in refused), f"{route}: {[answer.text[:300] for answer in refused]}"
    elif let_in:
        assert len(refused) < len(let_in), f"nobody gets anything from {route}, say why in LATER: {refused[-1].text[:300]}"


def _uses_up(route: str) -> bool:
    """Whether passing this door takes away what the next who passes it needs."""
    of_the_world = re.search(
        r"<(workspace|run|variable|varset|project|version|token|pool|listener|connection)_id>"
        r"|/workspaces/<name>|/registry-modules/|/registry-providers/.*/(<name>|<version>)$",
        route,
    )
    spends = route.startswith("DELETE ") or "/actions/" in route or route.endswith("/relationships/workspaces")
    return spends and of_the_world is not None


def _judge(route: str, row: Row, who: Who, gets: Gets, answer: httpx.Response) -> None:
    said = f"{route} as {who}: {answer.status_code} where the table says {gets}: {answer.text[:300]}"
    assert answer.status_code < 500, said
    if isinstance(row.needs, Page):
        assert answer.status_code == 401 or is_sent_to_sign_in(answer), said
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
    # Plugins have documents of their own, which carry no code of the core's.
    codes = {error.get("code") for error in answer.json().get("errors", [{}])}
    return not codes & {"reauthentication_needed", "own_account"}


def _leak(answer: httpx.Response) -> str | None:
    """The sensitive value, if an error repeats one."""
    found = re.search(r"xyzzy-[\w-]*-value", answer.text)
    return found[0] if found else None
