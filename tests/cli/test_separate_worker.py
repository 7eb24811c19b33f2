"""A server that only serves, and a worker that does its work: the runs of the one are carried out by the other."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import NewWorkspace
from tests.support.gate import Gate
from tests.support.server import Server
from tests.support.tf import resources
from tests.support.waiting import until
from tests.support.worker import ServerWithoutJobs, working

NOTES_SIGNALS = """#!{python}
import signal, subprocess, sys, time
child = None
def note(number, frame):
    with open({noted!r}, "a") as file:
        file.write(f"{{time.time()}} {{signal.Signals(number).name}}\\n")
    if child is not None:
        child.send_signal(number)
for each in (signal.SIGINT, signal.SIGTERM):
    signal.signal(each, note)
child = subprocess.Popen([{terraform!r}, *sys.argv[1:]], start_new_session=True)
sys.exit(child.wait())
"""
"""Passes on to terraform what it is told, and writes down when."""


def slow(gate: Gate) -> str:
    """One resource that is done at once, and one whose provisioner stops at the gate."""
    return f"""
resource "terraform_data" "quick" {{}}
resource "terraform_data" "slow" {{
  depends_on = [terraform_data.quick]
  provisioner "local-exec" {{
    command = "{gate.command}"
  }}
}}
"""


@pytest.fixture
def server(postgres_url: str, tmp_path: Path) -> Iterator[Server]:
    server = ServerWithoutJobs(tmp_path / "server", database_url=postgres_url)
    yield server.start()
    server.close()


def test_a_worker_passes_the_cancel_of_an_apply_on_to_its_terraform(
    server: Server, terraform: Path, new_workspace: NewWorkspace, gate: Gate, tmp_path: Path
) -> None:
    noted, engines = tmp_path / "noted", tmp_path / "engines"
    engines.mkdir()
    script = engines / "terraform"
    script.write_text(NOTES_SIGNALS.format(python=sys.executable, noted=str(noted), terraform=str(terraform)))
    script.chmod(0o755)
    workspace = new_workspace(slow(gate), on=server)
    # Nothing but external_url says where the server is.
    with working(server, EXTERNAL_URL=server.url, RUNNER__ENGINES_DIR=str(engines)) as said:
        with workspace.tf.background("apply", "-auto-approve"):
            gate.wait()
        run = workspace.run_that("applying")
        asked = time.time()
        answer = server.api.post(f"runs/{run['id']}/actions/cancel", json={})
        assert answer.status_code == 202, answer.text
        assert workspace.end_of(run["id"]) == "canceled"
        assert "cannot report" not in said.read_text()

    [(at, number)] = [line.split() for line in noted.read_text().splitlines()]
    print(f"from the request of the cancel to SIGINT: {float(at) - asked:.3f} s")
    assert number == "SIGINT"
    assert float(at) >= asked
    log = workspace.log(run, "apply")
    assert log.index("Interrupt received") < log.index("Error: execution halted")
    assert resources(workspace.state()) == {"quick": "good", "slow": "tainted"}
    assert not workspace.attributes["locked"]


def test_a_worker_that_cannot_reach_its_server_says_so_and_goes_on(server: Server) -> None:
    url = f"{server.url}/elsewhere"
    with working(server, EXTERNAL_URL=url) as said:
        line = until(
            lambda: next((each for each in said.read_text().splitlines() if "cannot report" in each), None),
            "the worker to say that no server is there",
        )
    assert url in line
    assert "404" in line
