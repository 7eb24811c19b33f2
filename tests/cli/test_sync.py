"""The schedule with a real terraform: what is behind or ahead of the configuration, under each policy, from the PUT to the end."""

from __future__ import annotations

import json
import re
from typing import Any

import httpx
import pytest

from tests.support import wire
from tests.support.providers import make_provider, publish_unsigned
from tests.support.real_provider import configuration, release
from tests.support.server import Server
from tests.support.waiting import until

ALLOWED = {
    "full-control": ("create", "update", "replace", "delete"),
    "apply": ("create", "update"),
    "create-only": ("create",),
    "observe": (),
}
ONE = 'resource "terraform_data" "one" {\n  input = "first"\n}\n'
REPLACED = 'resource "terraform_data" "one" {\n  triggers_replace = "VALUE"\n}\n'
CHANGES = {
    "create": (ONE, ONE + 'resource "terraform_data" "two" {}\n'),
    "update": (ONE, ONE.replace("first", "second")),
    "replace": (REPLACED.replace("VALUE", "first"), REPLACED.replace("VALUE", "second")),
    "delete": (ONE + 'resource "terraform_data" "two" {}\n', ONE),
}
SECONDS = 240.0


def ask(server: Server, method: str, path: str, sent: object = None) -> Any:
    """An answer of the Sync API that must be a success."""
    headers = {"Authorization": f"Bearer {server.token}"}
    answer = httpx.request(method, f"{server.url}/v1/terraform/sync{path}", headers=headers, json=sent, trust_env=False, timeout=60)
    assert answer.is_success, answer.text
    return answer.json()


def configure(server: Server, entries: dict[str, Any], conflicts: str = "manual") -> None:
    """The whole configuration: these entries, and no others."""
    ask(server, "PUT", "/config", {"enabled": True, "workspaces": entries, "conflict_resolution": conflicts})


def applied(server: Server, *configurations: str) -> list[dict[str, Any]]:
    """Workspaces in which these were applied, as the API shows them."""
    made = [wire.make_workspace(server.api, **{"auto-apply": True}) for _ in configurations]
    runs = []
    for workspace, text in zip(made, configurations, strict=True):
        wire.make_configuration(server.api, workspace["id"], {"main.tf": text})
        runs.append(wire.make_run(server.api, workspace["id"]))
    for run_id in runs:
        wire.run_at(server.api, run_id, "applied")
    return made


def stands(server: Server, workspace: dict[str, Any], *statuses: str) -> str:
    """Wait for the workspace to stand so, as its attributes say: the Sync API counts requests; the status."""
    name = workspace["attributes"]["name"]

    def look() -> str | None:
        status = str(wire.attributes(server.api.get(f"workspaces/{workspace['id']}"))["sync-status"])
        return status if status in statuses else None

    return until(look, f"{name} to be {' or '.join(statuses)}", seconds=SECONDS)


def addresses(server: Server, workspace: dict[str, Any]) -> dict[str, Any]:
    """What is in the state: the attributes of each resource."""
    version = wire.data(server.api.get(f"workspaces/{workspace['id']}/current-state-version"))
    state = server.api.get(version["attributes"]["hosted-state-download-url"], follow_redirects=True).json()
    return {f"{each['type']}.{each['name']}": each["instances"][0]["attributes"] for each in state["resources"]}


@pytest.mark.parametrize("policy", ALLOWED)
def test_a_configuration_that_is_ahead_is_applied_as_far_as_the_policy_allows(server: Server, policy: str) -> None:
    made = dict(zip(CHANGES, applied(server, *(before for before, _ in CHANGES.values())), strict=True))
    before = {change: addresses(server, workspace) for change, workspace in made.items()}
    for change, workspace in made.items():
        wire.make_configuration(server.api, workspace["id"], {"main.tf": CHANGES[change][1]})
    configure(server, {each["attributes"]["name"]: {"enabled": True, "sync_interval": "1m", "policy": policy} for each in made.values()})
    expected = {
        change: "success" if change in ALLOWED[policy] else "out_of_sync" if policy == "observe" else "conflict" for change in CHANGES
    }
    found = {change: stands(server, workspace, "success", "out_of_sync", "conflict", "error") for change, workspace in made.items()}
    assert found == expected
    configure(server, {})
    after = {change: addresses(server, workspace) for change, workspace in made.items()}
    assert {change for change in CHANGES if after[change] != before[change]} == set(ALLOWED[policy])


def test_what_was_changed_behind_terraforms_back_is_put_right(server: Server) -> None:
    (workspace,) = applied(server, ONE)
    version = wire.data(server.api.get(f"workspaces/{workspace['id']}/current-state-version"))
    state = server.api.get(version["attributes"]["hosted-state-download-url"], follow_redirects=True).json()
    state["serial"] += 1
    state["resources"][0]["instances"][0]["attributes"]["input"] = {"value": "meddled", "type": "string"}
    wire.lock(server.api, workspace["id"])
    wire.put_state(server.api, workspace["id"], json.dumps(state).encode(), lineage=state["lineage"])
    server.api.post(f"workspaces/{workspace['id']}/actions/unlock").raise_for_status()
    configure(server, {workspace["attributes"]["name"]: {"enabled": True, "sync_interval": "1m", "policy": "apply"}})
    assert stands(server, workspace, "success", "conflict", "error") == "success"
    configure(server, {})
    assert addresses(server, workspace)["terraform_data.one"]["input"] == {"value": "first", "type": "string"}


def test_what_the_schedule_finds_changed_is_told_to_clients_of_every_kind(server: Server) -> None:
    name = wire.fresh("provider")
    make_provider(server.api, name)
    publish_unsigned(server.api, release(name, "1.0.0"))
    (workspace,) = applied(server, configuration(f"{server.host}/default/{name}"))
    path, title = f"workspaces/{workspace['id']}", workspace["attributes"]["name"]
    elsewhere = wire.document("vars", key="FAKE_THING_ID", value="thing-two", category="env")
    wire.data(server.api.post(f"{path}/vars", json=elsewhere), 201)
    configure(server, {title: {"enabled": True, "sync_interval": "10m", "policy": "observe"}})
    stands(server, workspace, "out_of_sync")
    shown = ask(server, "GET", f"/workspaces/{title}")
    assert shown["drifted"] is True
    (line,) = ask(server, "GET", f"/workspaces/{title}/history")["syncs"]
    assert (line["run_id"], line["drifted"]) == (shown["run_id"], True)
    attributes = wire.attributes(server.api.get(path))
    assert attributes["sync-drifted"] is True
    assert [each["code"] for each in attributes["conditions"] if each["code"].startswith("sync-")] == ["sync-drift"]
    result = until(lambda: assessed_by(server, path, shown["run_id"]), "the result of the schedule's run")
    assert (result["drifted"], result["succeeded"], result["resources-drifted"]) == (True, True, 1)
    told = httpx.get(f"{server.url}/metrics", trust_env=False).text
    assert re.search(r'^terrapod_sync_syncs_total\{result="out_of_sync"\} [1-9]', told, re.MULTILINE), told
    configure(server, {})


def assessed_by(server: Server, path: str, run_id: str) -> dict[str, Any] | None:
    """The newest assessment's attributes, when it is this run's."""
    answer = server.api.get(f"{path}/current-assessment-result")
    found = wire.data(answer) if answer.status_code == 200 else None
    return found["attributes"] if found is not None and found["relationships"]["run"]["data"]["id"] == run_id else None


def test_a_parked_plan_is_accepted_by_a_person_and_applied(server: Server) -> None:
    (workspace,) = applied(server, CHANGES["delete"][0])
    wire.make_configuration(server.api, workspace["id"], {"main.tf": ONE})
    name = workspace["attributes"]["name"]
    configure(server, {name: {"enabled": True, "sync_interval": "10m", "policy": "apply"}})
    stands(server, workspace, "conflict")
    (conflict,) = [each for each in ask(server, "GET", "/conflicts")["conflicts"] if each["workspace"] == name]
    ask(server, "POST", f"/conflicts/{conflict['id']}/resolve", {"resolution": "accept"})
    assert stands(server, workspace, "success", "error") == "success"
    configure(server, {})
    assert list(addresses(server, workspace)) == ["terraform_data.one"]
