"""What terraform takes for granted and says nothing about when it is missing: the pitfalls of the wire, one by one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.support.server import Server
from tests.support.tf import Terraform, cloud
from tests.support.wire import fresh
from tests.support.workspace import Workspace, data

CONFIGURATION = 'resource "terraform_data" "one" {\n  input = 1\n}\noutput "one" {\n  value = terraform_data.one.output\n}\n'
UTC = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


@pytest.fixture(scope="module")
def applied(terraform: Path, server: Server, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace with one applied run."""
    name = fresh("checked")
    tf = Terraform(terraform, tmp_path_factory.mktemp("checked") / "work", server)
    tf.write(cloud(server, f'name = "{name}"') + CONFIGURATION)
    tf.run("init", "-input=false")
    tf.run("apply", "-auto-approve")
    return Workspace(tf, name)


@pytest.fixture
def run(applied: Workspace) -> dict[str, Any]:
    """Its run."""
    run = applied.newest_run()
    assert run is not None
    return run


@pytest.fixture
def anybody(server: Server) -> Iterator[httpx.Client]:
    """Somebody without a token."""
    with server.client(None) as client:
        yield client


@pytest.mark.parametrize("token", [None, "of-nobody-" * 5])
def test_discovery_names_every_service_as_plain_json_to_anybody(server: Server, token: str | None) -> None:
    with server.client(token) as client:
        answer = client.get(f"{server.url}/.well-known/terraform.json")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].partition(";")[0] == "application/json"
    services = answer.json()
    for name in ("tfe.v2", "tfe.v2.1", "tfe.v2.2", "state.v2"):
        assert services[name].endswith("/api/v2/")
    assert services["login.v1"]["client"] == "terraform-cli"
    first, last = services["login.v1"]["ports"]
    assert 1024 <= first < last


@pytest.mark.parametrize("token", [None, "of-nobody-" * 5])
def test_ping_tells_the_version_of_the_protocol_to_anybody(server: Server, token: str | None) -> None:
    with server.client(token) as client:
        headers = client.get("ping").headers
    major, minor = headers["TFP-API-Version"].split(".")
    assert (int(major), int(minor)) >= (2, 5)
    assert float(headers.get("X-RateLimit-Limit", 30)) >= 30


def test_structured_output_is_off_while_the_server_calls_itself_no_enterprise_release(applied: Workspace) -> None:
    answer = applied.server.api.get(f"workspaces/{applied.id}")
    assert answer.headers.get("X-TFE-Version", "v0.1.0") == "v0.1.0"
    attributes = answer.json()["data"]["attributes"]
    assert attributes["structured-run-output-enabled"] is False
    assert attributes["vcs-repo"] is None
    assert attributes["terraform-version"]


def test_every_time_is_utc_and_says_so_with_a_z(applied: Workspace, run: dict[str, Any]) -> None:
    api = applied.server.api
    state = data(api.get(f"workspaces/{applied.id}/current-state-version"))
    configuration = data(api.get(f"configuration-versions/{run['relationships']['configuration-version']['data']['id']}"))
    times = {
        f"{document['type']}.{name}": value
        for document in (applied.show(), run, state, configuration)
        for name, value in document["attributes"].items()
        if name.endswith("-at") and value is not None
    }
    assert {"workspaces.created-at", "workspaces.updated-at", "runs.created-at", "state-versions.created-at"} <= times.keys()
    assert [name for name, value in times.items() if not UTC.fullmatch(value)] == []


def test_permissions_and_the_parts_of_a_run_are_always_there(applied: Workspace, run: dict[str, Any]) -> None:
    permissions = applied.attributes["permissions"]
    for name in ("can-update", "can-queue-run", "can-queue-apply", "can-lock", "can-force-unlock"):
        assert permissions[name] is True
    assert isinstance(run["attributes"]["has-changes"], bool)
    assert {"is-cancelable", "is-confirmable", "is-discardable", "is-force-cancelable"} <= run["attributes"]["actions"].keys()
    for name, kind in (("plan", "plans"), ("apply", "applies"), ("workspace", "workspaces")):
        assert run["relationships"][name]["data"]["type"] == kind


def test_the_lists_that_a_waiting_terraform_reads_are_there(applied: Workspace, run: dict[str, Any]) -> None:
    api = applied.server.api
    for path in (f"runs/{run['id']}/run-events", f"workspaces/{applied.id}/runs", "organizations/default/runs/queue"):
        assert isinstance(api.get(path).json()["data"], list)
    capacity = data(api.get("organizations/default/capacity"))
    assert capacity["type"] == "organization-capacity"
    assert data(api.get("organizations/default/entitlement-set"))["attributes"]["operations"] is True


def test_links_are_absolute_and_carry_their_secret_in_the_path(applied: Workspace, run: dict[str, Any], anybody: httpx.Client) -> None:
    plan = data(applied.server.api.get(f"plans/{run['relationships']['plan']['data']['id']}"))
    log = plan["attributes"]["log-read-url"]
    attributes = {"auto-queue-runs": False, "speculative": True}
    body = {"data": {"type": "configuration-versions", "attributes": attributes}}
    upload = data(applied.server.api.post(f"workspaces/{applied.id}/configuration-versions", json=body))["attributes"]["upload-url"]
    for url in (log, upload):
        assert url.startswith(applied.server.url)
        assert urlsplit(url).query == ""
    # As terraform reads it: without a token, and with a query of its own.
    whole = anybody.get(log, params={"limit": 65536, "offset": 0})
    assert whole.status_code == 200
    beyond = anybody.get(log, params={"limit": 65536, "offset": len(whole.content)})
    assert (beyond.status_code, beyond.content) == (200, b"")
    pieces = [anybody.get(log, params={"limit": 37, "offset": start}).content for start in range(0, len(whole.content), 37)]
    assert b"".join(pieces) == whole.content


def test_both_logs_begin_with_the_three_lines_that_terraform_swallows(applied: Workspace, run: dict[str, Any]) -> None:
    for phase in ("plan", "apply"):
        lines = applied.raw_log(run, phase).removeprefix(b"\x02").decode().splitlines()
        assert re.fullmatch(r"Terraform v\d+\.\d+\.\d+", lines[0])
        assert lines[1].startswith("on linux_")
        assert lines[2] == "Initializing plugins and modules..."


def test_what_a_newer_client_asks_for_beyond_is_ignored(applied: Workspace, run: dict[str, Any]) -> None:
    api = applied.server.api
    assert api.get(f"runs/{run['id']}?include=tf_policy_evaluations,plan,workspace").status_code == 200
    junk = "organizations/default/workspaces?TagBindings=%7B+app+web%7D&page[number]=1"
    assert api.get(junk).status_code == 200


def test_terraforms_lock_has_no_type_and_its_answer_is_the_workspace(applied: Workspace) -> None:
    api = applied.server.api
    body = {"data": {"type": "", "attributes": {"reason": "Locked by Terraform"}}}
    locked = data(api.post(f"workspaces/{applied.id}/actions/lock", json=body))
    assert (locked["type"], locked["attributes"]["locked"]) == ("workspaces", True)
    assert api.post(f"workspaces/{applied.id}/actions/lock", json=body).status_code == 409
    assert data(api.post(f"workspaces/{applied.id}/actions/unlock"))["attributes"]["locked"] is False
    assert api.post(f"workspaces/{applied.id}/actions/unlock").status_code == 409


def test_outputs_have_detailed_types_and_an_empty_workspace_has_none_of_them(applied: Workspace) -> None:
    api = applied.server.api
    (output,) = api.get(f"workspaces/{applied.id}/current-state-version-outputs").json()["data"]
    assert (output["attributes"]["value"], output["attributes"]["detailed-type"]) == (1, "number")
    body = {"data": {"type": "workspaces", "attributes": {"name": fresh("empty")}}}
    empty = data(api.post("organizations/default/workspaces", json=body))
    answer = api.get(f"workspaces/{empty['id']}/current-state-version-outputs")
    assert (answer.status_code, answer.json()["data"]) == (200, [])
    assert api.get(f"workspaces/{empty['id']}/current-state-version").status_code == 404


def test_state_answers_have_the_type_without_which_no_snapshot_is_taken(applied: Workspace) -> None:
    answer = applied.server.api.get(f"workspaces/{applied.id}/current-state-version")
    assert "application/vnd.api+json" in answer.headers["Content-Type"]
    assert 0 <= float(answer.headers["X-Terraform-Snapshot-Interval"]) <= 3600


def test_what_will_never_work_is_a_4xx_that_terraform_can_print(applied: Workspace) -> None:
    body = {"data": {"type": "workspaces", "attributes": {"name": "no/name"}}}
    answer = applied.server.api.post("organizations/default/workspaces", json=body)
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert error["status"] == "422"
    assert "may only contain letters" in error["detail"]
