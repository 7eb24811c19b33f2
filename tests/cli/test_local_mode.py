"""Execution mode local: terraform runs here, and the server keeps its state and its lock."""

from __future__ import annotations

import json
import shutil

from tests.cli.conftest import NewWorkspace
from tests.support.tf import remote, resources
from tests.support.workspace import Workspace

TWO = """
resource "terraform_data" "a" {
  input = "first"
}
resource "terraform_data" "b" {
  input = "second"
}
output "a" {
  value = terraform_data.a.output
}
"""


def no_runs(workspace: Workspace) -> bool:
    """Whether the server has carried out nothing."""
    return workspace.newest_run() is None


def test_plan_apply_refresh_output_and_destroy_work_from_here(new_workspace: NewWorkspace) -> None:
    workspace = new_workspace(TWO, mode="local")
    assert workspace.tf.run("plan", "-detailed-exitcode", check=False).code == 2
    assert "Apply complete! Resources: 2 added" in workspace.tf.run("apply", typed="yes\n").text
    assert resources(workspace.state()) == {"a": "good", "b": "good"}
    assert workspace.tf.run("plan", "-detailed-exitcode").code == 0
    serial = workspace.state()["serial"]
    workspace.tf.run("refresh")
    assert workspace.state()["serial"] == serial
    assert workspace.tf.run("output", "-raw", "a").output == "first"
    workspace.tf.run("destroy", "-auto-approve")
    assert workspace.state()["resources"] == []
    assert not workspace.attributes["locked"]
    assert no_runs(workspace)


def test_a_plan_in_a_file_is_applied_from_here(new_workspace: NewWorkspace) -> None:
    workspace = new_workspace(TWO, mode="local")
    workspace.tf.run("plan", "-out=saved.plan")
    assert "2 to add" in workspace.tf.run("show", "saved.plan").text
    workspace.tf.run("apply", "saved.plan")
    assert workspace.tf.run("apply", "saved.plan", check=False).code == 1
    assert resources(workspace.state()) == {"a": "good", "b": "good"}
    assert no_runs(workspace)


def test_an_apply_that_is_answered_with_no_changes_nothing(new_workspace: NewWorkspace) -> None:
    workspace = new_workspace(TWO, mode="local")
    done = workspace.tf.run("apply", typed="no\n", check=False)
    assert (done.code, "Apply cancelled." in done.text) == (1, True)
    assert workspace.state()["resources"] == []
    assert not workspace.attributes["locked"]


def test_a_locked_workspace_is_named_with_its_lock_and_forced_open(new_workspace: NewWorkspace) -> None:
    workspace = new_workspace(TWO, mode="local")
    workspace.lock()
    done = workspace.tf.run("apply", "-auto-approve", check=False)
    assert done.code == 1
    assert "Error acquiring the state lock" in done.text
    assert "workspace already locked" in done.text
    late = workspace.tf.run("plan", "-lock-timeout=1s", check=False)
    assert late.code == 1
    assert "workspace already locked" in late.text

    assert workspace.tf.run("force-unlock", "-force", "default/some-other", check=False).code == 1
    assert "successfully unlocked" in workspace.tf.run("force-unlock", "-force", f"default/{workspace.name}").text
    assert not workspace.attributes["locked"]
    workspace.tf.run("apply", "-auto-approve")


def test_a_lock_that_goes_in_time_is_waited_for(new_workspace: NewWorkspace) -> None:
    workspace = new_workspace(TWO, mode="local")
    workspace.lock()
    with workspace.tf.terminal("apply", "-auto-approve", "-lock-timeout=60s") as terminal:
        terminal.expect("Acquiring state lock")
        workspace.unlock()
        done = terminal.end()
    assert done.code == 0, done.text


def test_import_and_the_state_commands_change_the_servers_state(new_workspace: NewWorkspace) -> None:
    workspace = new_workspace(TWO, mode="local")
    tf = workspace.tf
    tf.run("import", "terraform_data.a", "known")
    assert tf.run("state", "list").output.split() == ["terraform_data.a"]
    assert '"known"' in tf.run("state", "show", "terraform_data.a").text
    tf.run("state", "mv", "terraform_data.a", "terraform_data.moved")
    assert resources(workspace.state()) == {"moved": "good"}
    tf.run("state", "rm", "terraform_data.moved")
    assert workspace.state()["resources"] == []
    assert no_runs(workspace)


def test_a_state_that_is_pulled_and_changed_is_pushed_unless_it_is_older_or_anothers(new_workspace: NewWorkspace) -> None:
    workspace = new_workspace(TWO, mode="local")
    tf = workspace.tf
    tf.run("apply", "-auto-approve")
    pulled = json.loads(tf.run("state", "pull").output)
    assert pulled == workspace.state()

    pulled["serial"] += 1
    pulled["resources"] = pulled["resources"][:1]
    tf.write(json.dumps(pulled), "changed.tfstate")
    tf.run("state", "push", "changed.tfstate")
    assert resources(workspace.state()) == {"a": "good"}

    tf.write(json.dumps(pulled | {"serial": 1}), "older.tfstate")
    assert tf.run("state", "push", "older.tfstate", check=False).code == 1
    tf.write(json.dumps(pulled | {"lineage": "00000000-1111-2222-3333-444444444444", "serial": 99}), "another.tfstate")
    assert tf.run("state", "push", "another.tfstate", check=False).code == 1
    assert workspace.state()["lineage"] == pulled["lineage"]
    assert not workspace.attributes["locked"]


def test_a_forced_push_replaces_even_anothers_state(new_workspace: NewWorkspace) -> None:
    workspace = new_workspace(TWO, mode="local")
    tf = workspace.tf
    tf.run("apply", "-auto-approve")
    pulled = json.loads(tf.run("state", "pull").output)
    tf.write(json.dumps(pulled | {"lineage": "00000000-1111-2222-3333-444444444444", "serial": 1}), "another.tfstate")
    # A `cloud` block of terraform 1.11 does not pass -force on; the server refuses, and says what helps.
    refused = tf.run("state", "push", "-force", "another.tfstate", check=False)
    assert refused.code == 1
    assert "does not match the known one" in refused.text
    tf.run("force-unlock", "-force", f"default/{workspace.name}")  # after a failure terraform keeps its lock on purpose
    shutil.rmtree(tf.directory / ".terraform")
    tf.write(remote(tf.server, f'name = "{workspace.name}"'), "cloud.tf")
    tf.run("init", "-input=false")
    tf.run("state", "push", "-force", "another.tfstate")
    assert workspace.state()["lineage"] == "00000000-1111-2222-3333-444444444444"
    assert not workspace.attributes["locked"]
