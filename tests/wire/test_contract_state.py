"""The contract's state versions, and the clients' paths beside them."""

from __future__ import annotations

import json

import httpx
import pytest

from tests.support import wire
from tests.support.server import Server
from tests.support.wire import b64, data, put, ref, refused, state, state_version


@pytest.fixture
def mine(api: httpx.Client) -> str:
    """A workspace of the test's own, locked by its admin."""
    ident: str = wire.make_workspace(api)["id"]
    wire.lock(api, ident)
    return ident


def test_create_upload_and_read_as_the_contract_says(api: httpx.Client, server: Server, mine: str) -> None:
    content = state(1)
    made = data(api.post(f"workspaces/{mine}/state-versions", json=state_version(content)), 201)
    assert (made["type"], made["id"][:3], made["attributes"]["status"]) == ("state-versions", "sv-", "pending")
    for name in ("hosted-state-upload-url", "hosted-json-state-upload-url"):
        assert made["attributes"][name].startswith(server.url + "/")
    assert put(f"{server.url}/api/v2/state-versions/{made['id']}/content", content).status_code == 200
    assert put(f"{server.url}/api/v2/state-versions/{made['id']}/json-content", b"{}").status_code in (200, 404)
    shown = data(api.get(f"state-versions/{made['id']}"))
    assert (shown["attributes"]["status"], shown["attributes"]["serial"], shown["attributes"]["size"]) == ("finalized", 1, len(content))
    assert shown["relationships"]["workspace"]["data"] == ref("workspaces", mine)
    assert data(api.get(f"workspaces/{mine}/current-state-version"))["id"] == made["id"]
    assert [one["id"] for one in data(api.get(f"workspaces/{mine}/state-versions"))] == [made["id"]]


def test_the_download_is_a_redirect_to_a_link_and_the_link_needs_no_token(api: httpx.Client, mine: str) -> None:
    content = state(1)
    made = wire.put_state(api, mine, content)
    answer = api.get(f"state-versions/{made['id']}/download")
    assert answer.status_code == 302
    direct = httpx.get(answer.headers["location"], trust_env=False)
    assert (direct.status_code, direct.content) == (200, content)
    assert direct.headers["cache-control"] == "no-store"
    assert direct.headers["x-content-type-options"] == "nosniff"
    hosted = api.get(made["attributes"]["hosted-state-download-url"], headers={"Accept": "application/json"}, follow_redirects=True)
    assert hosted.content == content


def test_the_parsed_view_comes_beside_the_state_in_either_order(api: httpx.Client, mine: str) -> None:
    for serial, order in ((1, ("state", "json-state")), (2, ("json-state", "state"))):
        content, parsed = state(serial), json.dumps({"format_version": "1.0", "serial": serial}).encode()
        made = data(api.post(f"workspaces/{mine}/state-versions", json=state_version(content)), 201)["attributes"]
        sent = {"state": content, "json-state": parsed}
        for kind in order:
            assert put(made[f"hosted-{kind}-upload-url"], sent[kind]).status_code == 200
        shown = data(api.get(f"workspaces/{mine}/current-state-version"))["attributes"]
        assert shown["serial"] == serial
        assert api.get(shown["hosted-json-state-download-url"], follow_redirects=True).content == parsed


def test_a_state_may_come_in_the_document(api: httpx.Client, mine: str) -> None:
    content = state(1, outputs={"said": "inline"})
    made = data(api.post(f"workspaces/{mine}/state-versions", json=state_version(content, state=b64(content))), 201)
    assert made["attributes"]["status"] == "finalized"
    assert api.get(made["attributes"]["hosted-state-download-url"], follow_redirects=True).content == content


def test_lists_by_id_and_by_name_are_one_newest_first(api: httpx.Client, mine: str) -> None:
    made = [wire.put_state(api, mine, state(serial))["id"] for serial in (1, 2, 3)]
    name = data(api.get(f"workspaces/{mine}"))["attributes"]["name"]
    by_id = data(api.get(f"workspaces/{mine}/state-versions"))
    by_name = data(api.get("state-versions", params={"filter[organization][name]": "default", "filter[workspace][name]": name}))
    assert [one["id"] for one in by_id] == [one["id"] for one in by_name] == made[::-1]
    page = api.get(f"workspaces/{mine}/state-versions", params={"page[size]": 2, "page[number]": 2}).json()
    assert [one["id"] for one in page["data"]] == [made[0]]
    assert page["meta"]["pagination"]["total-count"] == 3


def test_outputs_with_their_types_and_without_secrets(api: httpx.Client, mine: str) -> None:
    made = wire.put_state(api, mine, state(1, outputs={"said": "hello", "hidden": "xyzzy-output"}))
    for path in (f"state-versions/{made['id']}/outputs", f"workspaces/{mine}/current-state-version-outputs"):
        found = {one["attributes"]["name"]: one for one in data(api.get(path))}
        said, hidden = found["said"]["attributes"], found["hidden"]["attributes"]
        assert (said["value"], said["sensitive"], said["type"], said["detailed-type"]) == ("hello", False, "string", "string")
        assert (hidden["value"], hidden["sensitive"]) == (None, True)
        assert found["said"]["type"] == "state-version-outputs"
        assert data(api.get(f"state-version-outputs/{found['hidden']['id']}"))["attributes"]["value"] == "xyzzy-output"


def test_a_rollback_is_a_new_version_of_the_old_bytes(api: httpx.Client, mine: str) -> None:
    first = wire.put_state(api, mine, state(1, outputs={"said": "first"}))
    wire.put_state(api, mine, state(2, outputs={"said": "second"}))
    sent = {"data": {"type": "state-versions", "relationships": {"rollback-state-version": {"data": ref("state-versions", first["id"])}}}}
    made = data(api.patch(f"workspaces/{mine}/state-versions", json=sent), 201)
    assert made["attributes"]["serial"] == 3
    back = json.loads(api.get(made["attributes"]["hosted-state-download-url"], follow_redirects=True).content)
    assert (back["serial"], back["outputs"]["said"]["value"]) == (3, "first")
    assert data(api.get(f"workspaces/{mine}/current-state-version"))["id"] == made["id"]


def test_a_workspace_without_a_state_is_404_and_its_outputs_none(api: httpx.Client, mine: str) -> None:
    refused(api.get(f"workspaces/{mine}/current-state-version"), 404)
    assert data(api.get(f"workspaces/{mine}/state-versions")) == []


def test_the_snapshot_interval_is_told_where_terraform_reads_it(api: httpx.Client, mine: str) -> None:
    """terraform writes intermediate states only when the header comes in an answer of the type JSON:API."""
    made = api.post(f"workspaces/{mine}/state-versions", json=state_version(state(1)))
    assert made.headers["content-type"] == wire.JSON_API
    assert put(data(made, 201)["attributes"]["hosted-state-upload-url"], state(1)).status_code == 200
    current = api.get(f"workspaces/{mine}/current-state-version")
    for response in (made, current):
        interval = response.headers.get("x-terraform-snapshot-interval")
        assert interval is None or 0 <= int(interval) <= 3600


def test_the_resources_of_the_current_state_are_listed(api: httpx.Client, mine: str) -> None:
    assert data(api.get(f"workspaces/{mine}/resources")) == []
    made = wire.put_state(api, mine, state(1))
    answer = api.get(f"workspaces/{mine}/resources")
    [found] = data(answer)
    assert found["type"] == "resources"
    assert found["id"].startswith("wsr-")
    assert found["attributes"] == {
        "address": "terraform_data.one",
        "name": "one",
        "module": "root",
        "provider": "builtin/terraform",
        "provider-type": "terraform_data",
        "name-index": None,
        "created-at": made["attributes"]["created-at"],
        "updated-at": made["attributes"]["created-at"],
        "modified-by-state-version-id": made["id"],
    }
    assert answer.json()["meta"]["pagination"]["total-count"] == 1
    assert data(api.get(f"workspaces/{mine}"))["attributes"]["resource-count"] == 1


def test_a_workspace_names_and_brings_its_outputs_when_asked(api: httpx.Client, mine: str) -> None:
    wire.put_state(api, mine, state(1, outputs={"said": "first"}))
    wire.put_state(api, mine, state(2, outputs={"said": "hello", "hidden": "xyzzy-output"}))
    name = data(api.get(f"workspaces/{mine}"))["attributes"]["name"]
    for path in (f"workspaces/{mine}", f"organizations/default/workspaces/{name}", f"organizations/default/workspaces?search[name]={name}"):
        found = api.get(path, params={"include": "outputs"} if "?" not in path else {"search[name]": name, "include": "outputs"}).json()
        workspace = found["data"][0] if isinstance(found["data"], list) else found["data"]
        values = {one["attributes"]["name"]: one["attributes"]["value"] for one in found["included"]}
        assert values == {"said": "hello", "hidden": None}
        assert {(one["type"], one["attributes"]["output-type"]) for one in found["included"]} == {("workspace-outputs", "string")}
        assert workspace["relationships"]["outputs"]["data"] == [
            ref("workspace-outputs", one["id"]) for one in sorted(found["included"], key=lambda one: one["attributes"]["name"])
        ]
    plain = data(api.get(f"workspaces/{mine}"))["relationships"]["outputs"]
    assert plain == {"links": {"related": f"/api/v2/workspaces/{mine}/current-state-version-outputs"}}


def test_a_workspace_without_a_state_brings_no_outputs(api: httpx.Client, mine: str) -> None:
    found = api.get(f"workspaces/{mine}", params={"include": "outputs"}).json()
    assert found["data"]["relationships"]["outputs"]["data"] == []
    assert not found.get("included")


def test_outputs_come_with_what_includes_them(api: httpx.Client, mine: str) -> None:
    made = wire.put_state(api, mine, state(1, outputs={"said": "hello", "hidden": "xyzzy-output"}))
    for path, include in (
        (f"state-versions/{made['id']}", "outputs"),
        (f"workspaces/{mine}/current-state-version", "outputs"),
        (f"workspaces/{mine}", "current_state_version.outputs"),
    ):
        included = api.get(path, params={"include": include}).json()["included"]
        values = {one["attributes"]["name"]: one["attributes"]["value"] for one in included if one["type"] == "state-version-outputs"}
        assert values == {"said": "hello", "hidden": None}


def test_a_workspace_tells_its_conditions(api: httpx.Client, mine: str) -> None:
    """Whether the runner is isolated depends on the machine; what such a condition says does not."""
    listed = {one["id"]: one["attributes"]["conditions"] for one in data(api.get("organizations/default/workspaces?page[size]=100"))}
    shown = data(api.get(f"workspaces/{mine}"))["attributes"]["conditions"]
    assert listed.get(mine, shown) == shown
    assert {each["code"] for each in shown} <= {"no-isolation"}
    for each in shown:
        assert sorted(each) == ["code", "detail", "remedy", "run-id", "severity", "since"]
    local = {"data": {"type": "workspaces", "attributes": {"execution-mode": "local"}}}
    assert data(api.patch(f"workspaces/{mine}", json=local))["attributes"]["conditions"] == []
    refused(api.post(f"workspaces/{mine}/conditions/state-diverged/actions/acknowledge"), 404)


def test_only_a_rescued_state_is_promoted(api: httpx.Client, mine: str) -> None:
    made = wire.put_state(api, mine, state(1))
    refused(api.post(f"state-versions/{made['id']}/actions/promote"), 409)
