"""Applies that break off, with real terraform: the newest state is kept, the workspace says what happened, and people get on."""

from __future__ import annotations

import hashlib
import json
import signal
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest

from terrapod_core.clock import SystemClock
from terrapod_core.storage import PhaseTokens
from tests.cli.conftest import NewWorkspace
from tests.cli.test_crashes import arguments, runners
from tests.support.gate import Gate
from tests.support.server import Server
from tests.support.tf import resources
from tests.support.waiting import until
from tests.support.workspace import Workspace, data

RESOURCES = 'resource "terraform_data" "quick" {}\nresource "terraform_data" "slow" {\n  depends_on = [terraform_data.quick]\n'


def slow(gate: Gate) -> str:
    """One resource that is done at once, and one that stops at the gate."""
    return f'{RESOURCES}  provisioner "local-exec" {{\n    command = "{gate.command}"\n  }}\n}}\n'


@pytest.fixture
def careful(new_server: Callable[..., Server], engines: dict[str, str]) -> Server:
    """A server whose runner hands in the state after each resource."""
    return new_server(settings={**engines, "RUNNER__LOCAL__STATE_TRANSPORT": "file"}).start()


def conditions(workspace: Workspace) -> list[dict[str, Any]]:
    """Those about its state; whether the runner is isolated depends on the machine."""
    return [each for each in workspace.attributes["conditions"] if each["code"] == "state-diverged"]


def phase(workspace: Workspace, run: dict[str, Any], kind: str) -> dict[str, Any]:
    return data(workspace.server.api.get(f"runs/{run['id']}/{kind}"))


def version(workspace: Workspace) -> dict[str, Any]:
    return data(workspace.server.api.get(f"workspaces/{workspace.id}/current-state-version"))


def killed(workspace: Workspace, gate: Gate) -> dict[str, Any]:
    """Apply, and kill the runner when its first resource is recorded; the run as it ended."""
    with workspace.tf.background("apply", "-auto-approve"):
        gate.wait()
        run = workspace.run_that("applying")
        until(lambda: resources(workspace.state()) == {"quick": "good"}, "the first resource to be recorded")
        for process in runners(workspace.server):
            if any("terrapod_core.runner" in argument for argument in arguments(process)):
                process.send_signal(signal.SIGKILL)
    assert workspace.end_of(run["id"]) == "errored"
    return workspace.run(run["id"])


def test_a_killed_runner_leaves_its_newest_state_and_a_condition_that_the_next_apply_ends(
    careful: Server, new_workspace: NewWorkspace, gate: Gate
) -> None:
    workspace = new_workspace(slow(gate), on=careful)
    run = killed(workspace, gate)
    assert resources(workspace.state()) == {"quick": "good"}
    assert version(workspace)["attributes"]["intermediate"] is True
    assert not workspace.attributes["locked"]
    [condition] = conditions(workspace)
    assert (condition["code"], condition["run-id"]) == ("state-diverged", run["id"])
    assert "was lost" in condition["detail"]
    assert "start a new run" in condition["remedy"]

    left = careful.api.get(f"applies/{phase(workspace, run, 'apply')['id']}/errored-state", follow_redirects=False)
    assert left.status_code == 307
    assert careful.api.get(left.headers["Location"]).json() == workspace.state()
    assert careful.api.get(f"applies/{phase(workspace, run, 'plan')['id']}/errored-state").status_code == 404

    workspace.tf.write(RESOURCES + "}\n")
    assert "Resources: 1 added" in workspace.tf.run("apply", "-auto-approve").text
    assert conditions(workspace) == []
    assert version(workspace)["attributes"]["intermediate"] is False


def test_a_late_runners_state_is_rescued_promoted_and_the_next_plan_is_clean(
    careful: Server, new_workspace: NewWorkspace, gate: Gate
) -> None:
    workspace = new_workspace(slow(gate), on=careful)
    run = killed(workspace, gate)
    before = workspace.state()
    late = with_slow(before)
    answer = deposit(workspace, run, late)
    assert answer["rescued"] is True
    assert workspace.state() == before
    [condition] = conditions(workspace)
    assert answer["state-version"] in condition["remedy"]
    kept = data(careful.api.get(f"state-versions/{answer['state-version']}"))
    assert (kept["attributes"]["rescued"], kept["attributes"]["serial"]) == (True, late["serial"])

    workspace.tf.write(RESOURCES + "}\n")
    assert workspace.tf.run("plan", "-detailed-exitcode", check=False).code == 2
    promoted = data(careful.api.post(f"state-versions/{kept['id']}/actions/promote"))
    assert promoted["attributes"]["serial"] == late["serial"] + 1
    assert workspace.state() == late | {"serial": late["serial"] + 1}
    assert conditions(workspace) == []
    assert workspace.tf.run("plan", "-detailed-exitcode", check=False).code == 0
    assert "No changes." in workspace.tf.run("apply", "-auto-approve").text


def with_slow(state: dict[str, Any]) -> dict[str, Any]:
    """The state that terraform would have written next: the second resource is there too."""
    [quick] = state["resources"]
    [instance] = quick["instances"]
    made = {**instance, "attributes": {**instance["attributes"], "id": "6f8a0a56-0000-4000-8000-000000000001"}}
    made["dependencies"] = ["terraform_data.quick"]
    return {**state, "serial": state["serial"] + 2, "resources": [quick, {**quick, "name": "slow", "instances": [made]}]}


def deposit(workspace: Workspace, run: dict[str, Any], state: dict[str, Any]) -> dict[str, Any]:
    """Hand in a state as the runner would have done whose lease is over."""
    clock = SystemClock()
    apply_id = run["relationships"]["apply"]["data"]["id"]
    tokens = PhaseTokens(workspace.server.keyring, clock)
    token = tokens.issue(run["id"], apply_id, "apply", 1, clock.now() + timedelta(hours=1))
    content = json.dumps(state).encode()
    answer = httpx.put(
        f"{workspace.server.url}/api/runner/v1/phases/{apply_id}/state",
        params={"serial": state["serial"], "lineage": state["lineage"], "md5": hashlib.md5(content, usedforsecurity=False).hexdigest()},
        content=content,
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/octet-stream"},
        trust_env=False,
    )
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def test_a_cancelled_apply_keeps_its_state_and_says_what_it_did(new_workspace: NewWorkspace, gate: Gate) -> None:
    workspace = new_workspace(slow(gate))
    with workspace.tf.background("apply", "-auto-approve"):
        gate.wait()
        run = workspace.run_that("applying")
        assert workspace.server.api.post(f"runs/{run['id']}/actions/cancel").status_code == 202
        assert workspace.end_of(run["id"]) == "canceled"
    assert resources(workspace.state()) == {"quick": "good", "slow": "tainted"}
    assert version(workspace)["attributes"]["intermediate"] is False
    assert conditions(workspace) == []
    assert phase(workspace, run, "plan")["attributes"]["resource-additions"] == 2
    applied = phase(workspace, run, "apply")["attributes"]
    assert (applied["status"], applied["resource-additions"], applied["resource-destructions"]) == ("canceled", 1, 0)


def test_a_failed_apply_says_what_it_did_and_its_state_can_be_fetched(new_workspace: NewWorkspace) -> None:
    workspace = new_workspace(RESOURCES + '  provisioner "local-exec" {\n    command = "exit 7"\n  }\n}\n')
    done = workspace.tf.run("apply", "-auto-approve", check=False)
    assert done.code == 1
    run = workspace.run_of(done)
    applied = phase(workspace, run, "apply")
    assert (applied["attributes"]["status"], applied["attributes"]["resource-additions"]) == ("errored", 1)
    assert conditions(workspace) == []  # terraform ended by itself, and all it did is recorded
    left = workspace.server.api.get(f"applies/{applied['id']}/errored-state", follow_redirects=True)
    assert resources(left.json()) == {"quick": "good", "slow": "tainted"}


def test_after_a_rollback_the_next_plan_starts_from_the_old_state(new_workspace: NewWorkspace) -> None:
    workspace = new_workspace('resource "terraform_data" "one" {}\n')
    workspace.tf.run("apply", "-auto-approve")
    old = version(workspace)
    workspace.tf.write('resource "terraform_data" "one" {}\nresource "terraform_data" "two" {}\n')
    workspace.tf.run("apply", "-auto-approve")
    newer = workspace.state()
    ref = {"rollback-state-version": {"data": {"type": "state-versions", "id": old["id"]}}}
    body = {"data": {"type": "state-versions", "relationships": ref}}
    assert workspace.server.api.patch(f"workspaces/{workspace.id}/state-versions", json=body).status_code == 409  # it is not locked
    workspace.lock()
    back = data(workspace.server.api.patch(f"workspaces/{workspace.id}/state-versions", json=body))
    workspace.unlock()
    assert back["attributes"]["serial"] == newer["serial"] + 1
    assert resources(workspace.state()) == {"one": "good"}
    assert "Plan: 1 to add, 0 to change, 0 to destroy" in workspace.tf.run("plan").text
    assert "Resources: 1 added" in workspace.tf.run("apply", "-auto-approve").text
    assert workspace.tf.run("plan", "-detailed-exitcode", check=False).code == 0
