"""What terraform does here with the state of a workspace whose runs are remote."""

from __future__ import annotations

import json

from tests.cli.conftest import NewWorkspace
from tests.support.tf import resources
from tests.support.workspace import Workspace, data

OUTPUTS = """
resource "terraform_data" "a" {
  input = { name = "x", list = [1, 2] }
}
output "plain" {
  value = terraform_data.a.output
}
output "secret" {
  value     = sensitive("nobody reads this by accident")
  sensitive = true
}
"""


def applied(workspace: Workspace) -> Workspace:
    """Apply from here, which is quicker than a run, and let runs be remote again."""
    workspace.update(execution_mode="local")
    workspace.tf.run("apply", "-auto-approve")
    workspace.update(execution_mode="remote")
    return workspace


def test_outputs_are_read_with_their_types_and_without_any_there_are_none(new_workspace: NewWorkspace) -> None:
    workspace = new_workspace(OUTPUTS)
    assert "No outputs found" in workspace.tf.run("output").text
    assert workspace.tf.run("output", "-json").output.strip() == "{}"

    workspace.tf.run("apply", "-auto-approve")
    shown = workspace.tf.run("output").text
    assert "secret = <sensitive>" in shown
    assert "nobody reads this" not in shown
    told = json.loads(workspace.tf.run("output", "-json").output)
    assert told["plain"]["value"] == {"name": "x", "list": [1, 2]}
    assert told["plain"]["type"] == ["object", {"list": ["tuple", ["number", "number"]], "name": "string"}]
    assert (told["secret"]["value"], told["secret"]["sensitive"]) == ("nobody reads this by accident", True)
    assert workspace.tf.run("output", "-raw", "secret").output == "nobody reads this by accident"


def test_import_and_the_state_commands_work_beside_remote_runs(new_workspace: NewWorkspace) -> None:
    workspace = new_workspace('variable "text" {}\nresource "terraform_data" "a" {\n  input = var.text\n}\n')
    workspace.set_variable("text", "of the workspace")
    tf = workspace.tf
    tf.run("import", "terraform_data.a", "known")
    assert tf.run("state", "list").output.split() == ["terraform_data.a"]
    tf.run("state", "mv", "terraform_data.a", "terraform_data.moved")
    assert '"known"' in tf.run("state", "show", "terraform_data.moved").text
    pulled = json.loads(tf.run("state", "pull").output)
    assert resources(pulled) == {"moved": "good"}
    tf.write(json.dumps(pulled | {"serial": pulled["serial"] + 1, "resources": []}), "empty.tfstate")
    tf.run("state", "push", "empty.tfstate")
    assert workspace.state()["resources"] == []
    assert not workspace.attributes["locked"]


def test_state_that_was_written_here_is_what_the_next_run_starts_from(new_workspace: NewWorkspace) -> None:
    workspace = applied(new_workspace(OUTPUTS))
    workspace.tf.run("taint", "terraform_data.a")
    assert resources(workspace.state()) == {"a": "tainted"}
    assert "terraform_data.a is tainted, so must be replaced" in workspace.tf.run("plan").text
    workspace.tf.run("untaint", "terraform_data.a")
    workspace.tf.run("state", "rm", "terraform_data.a")
    assert "terraform_data.a will be created" in workspace.tf.run("plan").text


def test_a_lock_is_forced_open_under_the_workspaces_name(new_workspace: NewWorkspace) -> None:
    workspace = applied(new_workspace(OUTPUTS))
    workspace.lock()
    refused = workspace.tf.run("state", "rm", "terraform_data.a", check=False)
    assert refused.code == 1
    assert "workspace already locked" in refused.text
    assert resources(workspace.state()) == {"a": "good"}
    workspace.tf.run("force-unlock", "-force", f"default/{workspace.name}")
    workspace.tf.run("state", "rm", "terraform_data.a")


def test_every_state_of_the_past_stays_and_says_which_run_wrote_it(new_workspace: NewWorkspace) -> None:
    workspace = applied(new_workspace(OUTPUTS))
    workspace.tf.write(OUTPUTS.replace('"x"', '"y"'))
    run = workspace.run_of(workspace.tf.run("apply", "-auto-approve"))
    versions = workspace.server.api.get(f"workspaces/{workspace.id}/state-versions").json()["data"]
    newest, oldest = versions[0], versions[-1]
    assert newest["attributes"]["serial"] > oldest["attributes"]["serial"]
    assert newest["relationships"]["run"]["data"]["id"] == run["id"]
    assert data(workspace.server.api.get(f"workspaces/{workspace.id}/current-state-version"))["id"] == newest["id"]
    old = workspace.server.api.get(oldest["attributes"]["hosted-state-download-url"], follow_redirects=True).json()
    assert old["outputs"]["plain"]["value"]["name"] == "x"
