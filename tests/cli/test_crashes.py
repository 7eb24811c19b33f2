"""The server is killed in the middle of things: what was true before is true after it came back, and nothing is lost."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest

from tests.cli.conftest import NewWorkspace
from tests.support.gate import Gate
from tests.support.server import Server
from tests.support.tf import resources
from tests.support.waiting import until
from tests.support.workspace import Workspace, data

MiB = 1 << 20


def planned_slowly(gate: Gate) -> str:
    """A configuration whose plan stops at the gate."""
    return f'resource "terraform_data" "one" {{\n  input = {gate.plan}\n}}\n'


def applied_slowly(gate: Gate) -> str:
    """One resource that is done at once, one that stops at the gate, and one after it that has something to say."""
    return f"""
resource "terraform_data" "quick" {{}}
resource "terraform_data" "slow" {{
  depends_on = [terraform_data.quick]
  provisioner "local-exec" {{
    command = "{gate.command}"
  }}
}}
resource "terraform_data" "last" {{
  depends_on = [terraform_data.slow]
  provisioner "local-exec" {{
    command = "echo said while nobody listened"
  }}
}}
"""


def whole(log: bytes) -> bool:
    """Whether a log begins and ends as one, once."""
    return log[:1] == b"\x02" and log[-1:] == b"\x03" and log.count(b"\x02") == log.count(b"\x03") == 1


def usable(workspace: Workspace) -> None:
    """Another change goes through, remotely and by a state command."""
    assert not workspace.attributes["locked"]
    workspace.tf.write('resource "terraform_data" "after" {}\n')
    assert "Apply complete!" in workspace.tf.run("apply", "-auto-approve").text
    assert workspace.tf.run("state", "list").output.split() == ["terraform_data.after"]


def runners(server: Server) -> list[psutil.Process]:
    """The programs that carry out its runs, and their terraforms."""
    found = []
    for process in psutil.process_iter():
        try:
            place = process.cwd()
        except psutil.Error:
            continue
        if place.startswith(str(server.data)) and process.pid != os.getpid():
            found.append(process)
    return found


def arguments(process: psutil.Process) -> list[str]:
    """How a process was started; nothing when it is gone."""
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []


def test_a_plan_goes_on_while_the_server_is_away(new_server: Callable[..., Server], new_workspace: NewWorkspace, gate: Gate) -> None:
    server = new_server().start()
    workspace = new_workspace(planned_slowly(gate), on=server)
    with workspace.tf.background("plan"):
        gate.wait()
        run = workspace.run_that("planning")
        server.kill()
    server.start()
    gate.open()

    assert workspace.end_of(run["id"]) == "planned_and_finished"
    log = workspace.raw_log(run, "plan")
    assert whole(log)
    assert log.count(b"Plan:") == 1
    assert workspace.run(run["id"])["attributes"]["has-changes"] is True
    usable(workspace)


def test_an_apply_goes_on_and_ends_while_the_server_is_away(
    new_server: Callable[..., Server], new_workspace: NewWorkspace, gate: Gate, database_url: str
) -> None:
    server = new_server(database_url=database_url).start()
    workspace = new_workspace(applied_slowly(gate), on=server)
    with workspace.tf.background("apply", "-auto-approve"):
        gate.wait()
        run = workspace.run_that("applying")
        server.kill()
    gate.open()
    until(lambda: not any("apply" in arguments(process) for process in runners(server)), "the server's terraform to end")
    server.start()

    assert workspace.end_of(run["id"]) == "applied"
    assert resources(workspace.state()) == {"quick": "good", "slow": "good", "last": "good"}
    log = workspace.raw_log(run, "apply")
    assert whole(log)
    assert log.count(b"said while nobody listened") == 2  # the command, and what it wrote
    assert log.count(b"Apply complete! Resources: 3 added") == 1
    usable(workspace)


def test_a_machine_that_dies_during_a_plan_makes_it_again(
    new_server: Callable[..., Server], new_workspace: NewWorkspace, gate: Gate
) -> None:
    server = new_server().start()
    workspace = new_workspace(planned_slowly(gate), on=server)
    with workspace.tf.background("plan"):
        gate.wait()
        run = workspace.run_that("planning")
        die(server)
    gate.close()
    server.start()
    gate.open()
    assert workspace.end_of(run["id"]) == "planned_and_finished"
    assert "Trying once more." in workspace.log(run, "plan")
    assert whole(workspace.raw_log(run, "plan"))
    usable(workspace)


def test_a_machine_that_dies_during_an_apply_is_no_success(
    new_server: Callable[..., Server], new_workspace: NewWorkspace, gate: Gate
) -> None:
    server = new_server().start()
    workspace = new_workspace('resource "terraform_data" "before" {}\n', on=server)
    workspace.tf.run("apply", "-auto-approve")
    before = workspace.state()
    workspace.tf.write('resource "terraform_data" "before" {}\n' + applied_slowly(gate))
    with workspace.tf.background("apply", "-auto-approve"):
        gate.wait()
        run = workspace.run_that("applying")
        die(server)
    server.start()
    assert workspace.end_of(run["id"]) == "errored"
    log = workspace.raw_log(run, "apply")
    assert whole(log)
    assert b"the runner of this apply was lost" in log
    assert workspace.state() == before
    usable(workspace)


def die(server: Server) -> None:
    """Kill everything at once, as when the power fails."""
    processes = runners(server)
    server.kill()
    for process in processes:
        with suppress(psutil.NoSuchProcess):  # it may have ended with the server
            process.send_signal(signal.SIGKILL)
    until(lambda: not runners(server), "the processes of the dead machine to be gone")


def test_terraform_here_delivers_its_state_when_the_server_is_back(
    new_server: Callable[..., Server], new_workspace: NewWorkspace, gate: Gate
) -> None:
    server = new_server().start()
    workspace = new_workspace(applied_slowly(gate), mode="local", on=server)
    with workspace.tf.background("apply", "-auto-approve") as command:
        gate.wait()
        server.kill()
        gate.open()
        server.start()
        done = command.end()
    assert done.code == 0, done.text
    assert resources(workspace.state()) == {"quick": "good", "slow": "good", "last": "good"}
    assert not workspace.attributes["locked"]


def test_half_a_state_is_no_state(new_server: Callable[..., Server], new_workspace: NewWorkspace) -> None:
    server = new_server().start()
    workspace = new_workspace('resource "terraform_data" "one" {}\n', mode="local", on=server)
    workspace.tf.run("apply", "-auto-approve")
    before = workspace.state()
    filling = base64.b64encode(os.urandom(2 * MiB)).decode()  # what cannot be compressed reaches the disk before the end is there
    outputs = {"filling": {"type": "string", "value": filling}}
    state = json.dumps(before | {"serial": before["serial"] + 1, "outputs": outputs}).encode()
    url = create_version(workspace, state)
    objects = server.data / "objects"  # not the database: its log comes and goes
    kept = size_of(objects)
    with half_sent(url, state):
        until(lambda: size_of(objects) > kept + MiB // 2, "half of the state to be on disk")
        server.kill()
    server.start()

    assert workspace.state() == before
    assert resources(before) == {"one": "good"}
    with server.client(None) as anybody:
        assert anybody.put(url, content=state, headers={"Content-Type": "application/octet-stream"}).status_code == 200
    workspace.server.api.post(f"workspaces/{workspace.id}/actions/unlock")
    assert workspace.state()["serial"] == before["serial"] + 1
    workspace.update(execution_mode="remote")
    usable(workspace)


def create_version(workspace: Workspace, state: bytes) -> str:
    """Announce a state as terraform does, under the lock; where to send it."""
    workspace.lock()
    known = json.loads(state)
    attributes: dict[str, Any] = {
        "serial": known["serial"],
        "lineage": known["lineage"],
        "md5": hashlib.md5(state, usedforsecurity=False).hexdigest(),
        "json-state-outputs": base64.b64encode(b"{}").decode(),
    }
    body = {"data": {"type": "state-versions", "attributes": attributes}}
    made = data(workspace.server.api.post(f"workspaces/{workspace.id}/state-versions", json=body))
    return str(made["attributes"]["hosted-state-upload-url"])


def half_sent(url: str, body: bytes) -> socket.socket:
    """A connection on which the first three quarters of an upload were sent."""
    parts = urlsplit(url)
    connection = socket.create_connection((parts.hostname or "", parts.port or 80))
    headers = {"Host": parts.netloc, "Content-Type": "application/octet-stream", "Content-Length": str(len(body))}
    head = f"PUT {parts.path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers.items()) + "\r\n"
    connection.sendall(head.encode() + body[: len(body) * 3 // 4])
    return connection


def size_of(directory: Path) -> int:
    """Bytes of all files below a directory; one may vanish meanwhile."""
    total = 0
    for path in directory.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:
            continue
    return total


@pytest.mark.parametrize("phase", ["plan", "apply"])
def test_a_server_that_is_stopped_as_an_operator_would_leaves_its_runs_alone(
    new_server: Callable[..., Server], new_workspace: NewWorkspace, gate: Gate, phase: str
) -> None:
    server = new_server().start()
    workspace = new_workspace(planned_slowly(gate) if phase == "plan" else applied_slowly(gate), on=server)
    with workspace.tf.background("apply", "-auto-approve"):
        gate.wait()
        run = workspace.run_that("planning" if phase == "plan" else "applying")
        server.restart()
        gate.open()
    assert workspace.end_of(run["id"]) == "applied"
    assert whole(workspace.raw_log(run, phase))
