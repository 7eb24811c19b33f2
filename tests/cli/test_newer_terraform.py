"""The main path with a newer terraform, here and as the engine of the server's runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.cli.conftest import NewWorkspace
from tests.support.server import Server
from tests.support.tf import Terraform, cloud, resources
from tests.support.wire import fresh
from tests.support.workspace import Workspace

CONFIGURATION = """
variable "who" {
  default = "you"
}
resource "terraform_data" "greeting" {
  input = "hello ${var.who}"
}
output "greeting" {
  value = terraform_data.greeting.output
}
"""


def test_the_main_path_with_a_newer_terraform(terraform_115: Path, new_server: Callable[..., Server], tmp_path: Path) -> None:
    server = new_server(settings={"RUNNER__ENGINES_DIR": str(terraform_115.parent)}).start()
    name = fresh()
    tf = Terraform(terraform_115, tmp_path / "work", server)
    tf.write(cloud(server, f'name = "{name}"') + CONFIGURATION)
    tf.run("init", "-input=false")
    workspace = Workspace(tf, name)
    assert workspace.attributes["terraform-version"].startswith("1.15.")
    assert tf.run("plan", "-detailed-exitcode", check=False).code == 2
    applied = tf.run("apply", "-auto-approve", "-var=who=everybody")
    assert "Apply complete! Resources: 1 added" in applied.text
    run = workspace.run_of(applied)
    assert run["attributes"]["terraform-version"] == workspace.attributes["terraform-version"]
    assert workspace.log(run, "plan").startswith(f"Terraform v{run['attributes']['terraform-version']} on linux_")
    assert tf.run("output", "-raw", "greeting").output == "hello everybody"

    workspace.set_variable("who", "you")
    tf.run("state", "rm", "terraform_data.greeting")
    tf.run("import", "terraform_data.greeting", "known")  # reads all-vars, where older ones read vars
    assert workspace.state()["resources"][0]["instances"][0]["attributes"]["id"] == "known"
    workspace.update(execution_mode="local")
    tf.run("apply", "-auto-approve")
    tf.run("destroy", "-auto-approve")
    assert workspace.state()["resources"] == []


def test_a_version_that_the_server_lacks_is_refused_with_its_name(new_workspace: NewWorkspace) -> None:
    workspace = new_workspace(CONFIGURATION)
    workspace.update(terraform_version="0.1.2")
    done = workspace.tf.run("plan", check=False)
    assert done.code == 1
    assert "0.1.2" in done.text
    workspace.update(terraform_version="latest")
    workspace.tf.run("apply", "-auto-approve")
    assert resources(workspace.state()) == {"greeting": "good"}
