"""`terrapod serve --workers 3`: one server, one address, several processes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from tests.bench.tools.asking import Asking
from tests.support import wire
from tests.support.server import Server
from tests.support.waiting import until

PROCESSES = 3
CONFIGURATION = 'resource "terraform_data" "one" {\n  input = plantimestamp()\n}\n'


@pytest.fixture
def server(postgres_url: str, tmp_path: Path, engines: dict[str, str]) -> Iterator[Server]:
    settings = {"SERVER__WORKERS": str(PROCESSES), **engines}
    server = Server(tmp_path / "server", database_url=postgres_url, settings=settings)
    server.start()
    until(lambda: f"listens at {server.url} with {PROCESSES} processes" in server.said(), "all of them to serve")
    yield server
    server.close()


def children(server: Server) -> list[psutil.Process]:
    """The processes that serve; runner programs are children of these."""
    return psutil.Process(server.pid).children()


def test_runs_are_carried_out_and_all_of_it_stops_as_one(server: Server) -> None:
    assert server.said().count("First start: an admin was made") == 0, "its password was given"
    asking = Asking(server)
    workspaces = [asking.workspace(wire.fresh("place"), CONFIGURATION) for _ in range(3)]
    assert asking.ends([asking.run(each, auto_apply=True) for each in workspaces]) == ["applied"] * 3
    served = children(server)
    assert len(served) == PROCESSES
    assert server.stop() == 0, server.said()
    assert not any(process.is_running() for process in served)


def test_a_process_that_dies_is_started_again_while_the_others_serve(server: Server) -> None:
    asking = Asking(server)
    workspace = asking.workspace(wire.fresh("place"), CONFIGURATION)
    for victim in children(server):
        run = asking.run(workspace, auto_apply=True)
        victim.kill()
        # The requests that it was answering are lost with it, and no others.
        until(lambda victim=victim: victim.pid not in [each.pid for each in children(server)], "the dead one to be noticed")  # type: ignore[misc]
        server.api.close()
        assert asking.api.is_closed
        asking.api = server.api
        assert asking.end(run) == "applied"
        until(lambda: len(children(server)) == PROCESSES, "another to be started")
    assert server.said().count("is started again") == PROCESSES


def test_no_process_outlives_its_parent(server: Server) -> None:
    served = children(server)
    server.kill()
    until(lambda: not any(process.is_running() for process in served), "the processes to end")
    server.start()


def test_their_numbers_are_added_up_whichever_of_them_is_asked(server: Server) -> None:
    asked = 40
    for _ in range(asked):
        # A connection each, so that more than one of them answers.
        assert httpx.get(f"{server.url}/health", trust_env=False).status_code == 200
    for _ in range(5):
        told = httpx.get(f"{server.url}/metrics", trust_env=False).text
        assert f'terrapod_http_requests_total{{method="GET",route="/health",status="2xx"}} {asked:.1f}' in told
        assert told.count("\nterrapod_jobs_dead ") == 1
    children(server)[1].kill()
    until(lambda: len(children(server)) == PROCESSES and "is started again" in server.said(), "another to be started")
    assert f'route="/health",status="2xx"}} {asked:.1f}' in httpx.get(f"{server.url}/metrics", trust_env=False).text


def serve(tmp_path: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command, to its end."""
    return subprocess.run(
        [sys.executable, "-m", "terrapod_core", "serve", "--port", "0", "--data-dir", str(tmp_path / "data"), *arguments],
        env={"PATH": "", "HOME": str(tmp_path), **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_on_sqlite_more_than_one_process_is_refused_with_a_sentence(tmp_path: Path) -> None:
    refused = serve(tmp_path, "--workers", "2")
    assert refused.returncode == 2
    assert "server.workers = 2 needs PostgreSQL (setting database.url)" in refused.stderr


def test_a_start_that_fails_says_why_once(tmp_path: Path, postgres_url: str) -> None:
    refused = serve(tmp_path, "--workers", "2", TERRAPOD_DATABASE_URL=postgres_url, TERRAPOD_SECRETS__KEYS="none")
    assert refused.returncode == 2
    assert refused.stderr.count("Entry 1 of TERRAPOD_SECRETS__KEYS is not of the form") == 1
