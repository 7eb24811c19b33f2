"""What a plugin adds to a workspace stands on its page: here what is in the way of its schedule."""

from __future__ import annotations

import httpx
from playwright.sync_api import expect

from tests.browser.conftest import Person
from tests.support import wire
from tests.support.server import Server
from tests.support.waiting import until

TWO = 'resource "terraform_data" "one" {}\nresource "terraform_data" "two" {}\n'


def test_a_conflict_of_the_schedule_stands_on_the_workspaces_page_with_what_to_do(
    person: Person, server: Server, api: httpx.Client
) -> None:
    workspace = wire.make_workspace(api, **{"auto-apply": True})
    name, path = workspace["attributes"]["name"], f"workspaces/{workspace['id']}"
    wire.make_configuration(api, workspace["id"], {"main.tf": TWO})
    wire.run_at(api, wire.make_run(api, workspace["id"]), "applied")
    wire.make_configuration(api, workspace["id"], {"main.tf": TWO.splitlines()[0]})
    config = f"{server.url}/v1/terraform/sync/config"
    entry = {"enabled": True, "sync_interval": "10m", "policy": "apply"}
    sent = {"enabled": True, "workspaces": {name: entry}, "conflict_resolution": "manual"}
    assert api.put(config, json=sent).status_code == 200
    until(lambda: wire.attributes(api.get(path))["sync-status"] == "conflict", "the plan to be in the way", seconds=120)
    person.sign_in(f"/app/default/workspaces/{name}")
    condition = person.page.get_by_role("region", name="warning sync-conflict")
    expect(condition).to_contain_text("terraform_data.two")
    expect(condition).to_contain_text("terrapod sync resolve conflict-")
    assert api.put(config, json={**sent, "workspaces": {}}).status_code == 200
    person.page.reload()
    expect(condition).to_have_count(0)
