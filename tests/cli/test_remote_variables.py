"""Values that reach a remote run: from the command line, from the workspace, as expressions, in secret."""

from __future__ import annotations

import json

from tests.cli.conftest import NewWorkspace

SHOWN = """
variable "text" {
  type    = string
  default = "of the configuration"
}
variable "list" {
  type    = list(string)
  default = []
}
resource "terraform_data" "shown" {
  input = "${var.text} / ${jsonencode(var.list)}"
}
"""


def test_values_of_the_command_line_reach_the_run_with_their_types(new_workspace: NewWorkspace) -> None:
    workspace = new_workspace(SHOWN)
    arguments = ('-var=text=a "quote", ${not.this}', '-var=list=["x", "y"]')
    workspace.tf.run("apply", "-auto-approve", *arguments)
    (resource,) = workspace.state()["resources"]
    assert resource["instances"][0]["attributes"]["input"]["value"] == 'a "quote", ${not.this} / ["x","y"]'


def test_variables_of_the_workspace_are_texts_expressions_or_environment(new_workspace: NewWorkspace) -> None:
    workspace = new_workspace(
        SHOWN
        + """
resource "terraform_data" "told" {
  provisioner "local-exec" {
    command = "echo greeting is $GREETING"
  }
}
"""
    )
    workspace.set_variable("text", "of the ${workspace}")
    workspace.set_variable("list", '["x", "y"]', hcl=True)
    workspace.set_variable("GREETING", "a good day", category="env")
    done = workspace.tf.run("apply", "-auto-approve")
    assert "greeting is a good day" in done.text
    shown = next(item for item in workspace.state()["resources"] if item["name"] == "shown")
    assert shown["instances"][0]["attributes"]["input"]["value"] == 'of the ${workspace} / ["x","y"]'
    beaten = workspace.tf.run("plan", "-var=text=of the run")
    assert "of the run" in beaten.text


def test_a_sensitive_variable_is_used_and_never_shown(new_workspace: NewWorkspace) -> None:
    workspace = new_workspace("""
variable "password" {
  sensitive = true
}
resource "terraform_data" "user" {
  input = sha256(var.password)
  provisioner "local-exec" {
    command = "echo the token is $TOKEN."
  }
}
""")
    workspace.set_variable("password", "hunter2hunter2", sensitive=True)
    workspace.set_variable("TOKEN", "abracadabra-abracadabra", category="env", sensitive=True)
    done = workspace.tf.run("apply", "-auto-approve")
    assert "the token is ***." in done.text
    run = workspace.run_of(done)
    for text in (done.text, workspace.log(run, "plan"), workspace.log(run, "apply")):
        assert "hunter2hunter2" not in text
        assert "abracadabra-abracadabra" not in text
    listed = workspace.server.api.get(f"workspaces/{workspace.id}/vars")
    assert [item["attributes"]["value"] for item in listed.json()["data"]] == [None, None]
    assert "hunter2hunter2" not in json.dumps(listed.json())


def test_a_variable_without_a_value_fails_the_plan_with_its_name(new_workspace: NewWorkspace) -> None:
    workspace = new_workspace('variable "missing" {}\noutput "it" {\n  value = var.missing\n}\n')
    done = workspace.tf.run("plan", check=False)
    assert done.code == 1
    assert "No value for required variable" in done.text
    assert 'variable "missing"' in done.text
