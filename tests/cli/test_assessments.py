"""Drift as a real terraform sees it: something is changed behind its back, and the workspace says so until it is dealt with."""

from __future__ import annotations

from typing import Any

from tests.cli.conftest import NewWorkspace
from tests.support import wire
from tests.support.providers import make_provider, publish_unsigned
from tests.support.real_provider import configuration, release
from tests.support.server import Server
from tests.support.waiting import until
from tests.support.wire import RUN_SECONDS, fresh
from tests.support.workspace import Workspace

CHECKED = """
check "named" {
  assert {
    condition     = fake_thing.a.id == "thing-one"
    error_message = "somebody else has it"
  }
}
"""


def assessed(workspace: Workspace) -> dict[str, Any]:
    """What an assessment that is made now finds."""
    api, path = workspace.server.api, f"workspaces/{workspace.show()['id']}"
    run = wire.data(api.post(f"{path}/actions/assess"))

    def look() -> dict[str, Any] | None:
        answer = api.get(f"{path}/current-assessment-result")
        if answer.status_code == 404:
            return None
        found = wire.data(answer)
        return found if found["relationships"]["run"]["data"]["id"] == run["id"] else None

    found: dict[str, Any] = until(look, "the result of the assessment", seconds=RUN_SECONDS)
    assert found["attributes"]["succeeded"], found["attributes"]["error-message"]
    return found


def drift(workspace: Workspace) -> list[dict[str, Any]]:
    """The condition, when there is one."""
    return [each for each in workspace.attributes["conditions"] if each["code"] == "drift-found"]


def counts(result: dict[str, Any]) -> tuple[bool, int, int]:
    """Drift or none; how many resources have drifted, and have not."""
    attributes = result["attributes"]
    return attributes["drifted"], attributes["resources-drifted"], attributes["resources-undrifted"]


def test_a_change_behind_terraforms_back_is_seen_and_ends_when_a_run_takes_it_over(new_workspace: NewWorkspace, server: Server) -> None:
    name = fresh("provider")
    make_provider(server.api, name)
    publish_unsigned(server.api, release(name, "1.0.0"))
    workspace = new_workspace()
    more = 'resource "terraform_data" "b" {\n  input = "kept"\n}\n' + CHECKED
    workspace.tf.write(configuration(f"{server.host}/default/{name}") + more)
    workspace.tf.run("init", "-input=false")
    workspace.tf.run("apply", "-auto-approve")

    well = assessed(workspace)
    assert counts(well) == (False, 0, 2)
    assert (well["attributes"]["all-checks-succeeded"], well["attributes"]["checks-passed"]) == (True, 1)
    assert drift(workspace) == []

    workspace.set_variable("FAKE_THING_ID", "thing-two", category="env")
    found = assessed(workspace)
    assert counts(found) == (True, 1, 1)
    assert (found["attributes"]["all-checks-succeeded"], found["attributes"]["checks-failed"]) == (False, 1)
    (condition,) = drift(workspace)
    assert condition["detail"] == "one resource was changed outside of terraform: fake_thing.a"
    assert not workspace.attributes["locked"]
    whole = server.api.get(server.url + found["links"]["json-output"]).json()
    assert [each["address"] for each in whole["resource_drift"]] == ["fake_thing.a"]
    assert "thing-two" in server.api.get(server.url + found["links"]["log-output"]).text

    workspace.tf.run("apply", "-refresh-only", "-auto-approve")
    until(lambda: drift(workspace) == [], "the condition to end")
    assert counts(assessed(workspace)) == (False, 0, 2)
