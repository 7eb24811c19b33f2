"""Several servers on one PostgreSQL behind a proxy, and listeners that meet now one and now another of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.bench.tools.asking import Asking
from tests.support import wire
from tests.support.balancer import Balancer, balancing
from tests.support.listeners import make_pool, make_token, to_pool
from tests.support.listening import NewListener, Program
from tests.support.server import Server
from tests.support.waiting import until

CHANGES = 'resource "terraform_data" "one" {\n  input = plantimestamp()\n}\n'


@dataclass
class Site:
    """Servers that are one to their clients."""

    servers: list[Server]
    balancer: Balancer
    listeners: list[Program]
    pool: str

    @property
    def api(self) -> Server:
        """One of the servers, asked past the proxy."""
        return self.servers[0]


@pytest.fixture
def site(request: pytest.FixtureRequest, postgres_url: str, tmp_path: Path, engines: dict[str, str]) -> Iterator[Site]:
    with ExitStack() as stack:
        servers = [Server(tmp_path / f"server-{each}", database_url=postgres_url) for each in range(request.param)]
        balancer = stack.enter_context(balancing([server.port for server in servers]))
        for server in servers:
            server.set("EXTERNAL_URL", balancer.url)
            server.set("STORAGE__LOCAL__PATH", str(tmp_path / "objects"))
            stack.callback(server.close)
            server.start()
        make = NewListener(tmp_path, servers[0], engines)
        stack.callback(make.close)
        pool = make_pool(servers[0].api)["id"]
        listeners = []
        for name in ("one", "two"):
            listener = make(name)
            listener.url = balancer.url
            listeners.append(listener.start(make_token(servers[0].api, pool)))
        yield Site(servers, balancer, listeners, pool)


@pytest.mark.parametrize("site", [2, pytest.param(3, marks=pytest.mark.long)], indirect=True)
def test_runs_are_carried_out_while_servers_come_and_go(site: Site) -> None:
    asking = Asking(site.api)
    workspaces = [asking.workspace(wire.fresh("place"), CHANGES) for _ in range(4)]
    for each in workspaces:
        to_pool(site.api.api, each, site.pool)
    runs = [asking.run(each, auto_apply=True) for each in workspaces]
    for server in site.servers[1:]:
        server.kill()
        runs += [asking.run(each, auto_apply=True) for each in workspaces]
        server.start()
    assert asking.ends(runs) == ["applied"] * len(runs)
    until(lambda: not any(listener.in_hand for listener in site.listeners), "everything to be let go of")
    assert all(listener.runs for listener in site.listeners)
    assert all("took a phase" in listener.news for listener in site.listeners)
    # Every run was begun once by one listener, whichever server gave it away.
    taken = [name for listener in site.listeners for name in re.findall(r"took a phase +phase=plan run=(run-\w+)", listener.news)]
    assert sorted(taken) == sorted(runs)
    assert len(site.balancer.taken) == len(site.servers)


@pytest.mark.parametrize("site", [2], indirect=True)
def test_a_cancel_asked_of_one_server_reaches_a_listener_that_waits_at_another(site: Site) -> None:
    asking = Asking(site.api)
    workspace = asking.workspace(
        wire.fresh("place"), 'resource "terraform_data" "slow" {\n  provisioner "local-exec" {\n    command = "sleep 600"\n  }\n}\n'
    )
    to_pool(site.api.api, workspace, site.pool)
    run_id = asking.run(workspace, auto_apply=True)
    until(lambda: wire.data(site.api.api.get(f"runs/{run_id}"))["attributes"]["status"] == "applying", "the apply to begin")
    for server in site.servers:
        answer = server.api.post(f"runs/{run_id}/actions/cancel", json={})
        assert answer.status_code in (202, 409), answer.text
    assert asking.end(run_id) in ("canceled", "errored")
    until(lambda: any("is interrupted" in listener.news for listener in site.listeners), "a listener to hear of the cancel")


def test_servers_carry_out_runs_beside_each_other_on_machines_of_their_own(
    postgres_url: str, tmp_path: Path, engines: dict[str, str]
) -> None:
    with ExitStack() as stack:
        settings = {**engines, "STORAGE__LOCAL__PATH": str(tmp_path / "objects"), "RUNNER__LOCAL__CONCURRENCY": "1"}
        servers = [Server(tmp_path / f"server-{each}", database_url=postgres_url, settings=settings) for each in range(2)]
        for server in servers:
            stack.callback(server.close)
            server.start()
        asking = Asking(servers[0])
        workspaces = [asking.workspace(wire.fresh("place"), CHANGES) for _ in range(6)]
        runs = [asking.run(each, auto_apply=True) for each in workspaces]
        assert asking.ends(runs) == ["applied"] * len(runs)
        for server in servers:
            assert "stumbled" not in server.said()
            assert "without a report" not in server.said()
            # What a run left goes where it ran; in another directory nobody looks for it.
            until(lambda server=server: not list((server.data / "runs").glob("run-*")), "the directories to be removed")  # type: ignore[misc]
        assert [len(re.findall(r"route=\S+/claim ", server.said())) > 0 for server in servers] == [True, True]
