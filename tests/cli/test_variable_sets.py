"""Values of variable sets in remote runs: which one terraform really gets, and what of it is shown."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import NewWorkspace
from tests.support import wire
from tests.support.server import Server
from tests.support.tf import Terraform, cloud
from tests.support.workspace import Workspace

LOW_TO_HIGH = ("global", "project", "own_a", "own_b", "workspace", "run", "hard_own", "hard_project", "hard_global")
"""Places a value can come from, as the rule orders them. A variable `from_<place>` has one in that place and in all before it."""

SHOWN = "".join(f'variable "from_{place}" {{}}\noutput "from_{place}" {{\n  value = var.from_{place}\n}}\n' for place in LOW_TO_HIGH)
TOLD = " ".join(f"{place}=$FROM_{place}" for place in LOW_TO_HIGH)


@pytest.fixture
def shared(server: Server) -> Iterator[Callable[..., str]]:
    """Makes variable sets that are gone when the test ends: other tests' workspaces get the global ones too."""
    made: list[str] = []

    def make(values: dict[str, str], **settings: Any) -> str:
        made.append(wire.make_varset(server.api, values, **settings)["id"])
        return made[-1]

    yield make
    for ident in made:
        assert server.api.delete(f"varsets/{ident}").status_code == 204


def reaching(place: str, prefix: str) -> dict[str, str]:
    """The values that this place says: for all variables in which it has a part."""
    return {f"{prefix}{other}": place for other in LOW_TO_HIGH[LOW_TO_HIGH.index(place) :]}


def outputs(workspace: Workspace) -> dict[str, str]:
    """Of the current state."""
    return {name: output["value"] for name, output in workspace.state()["outputs"].items()}


def test_of_all_places_a_value_can_come_from_the_highest_reaches_terraform(
    new_workspace: NewWorkspace, server: Server, shared: Callable[..., str]
) -> None:
    told = f'resource "terraform_data" "told" {{\n  provisioner "local-exec" {{\n    command = "echo it is {TOLD}"\n  }}\n}}\n'
    workspace = new_workspace(SHOWN + told)
    project = wire.data(server.api.post("organizations/default/projects", json=wire.document("projects", name=wire.fresh("p"))), 201)["id"]
    moved = {"data": [wire.ref("workspaces", workspace.id)]}
    assert server.api.post(f"projects/{project}/relationships/workspaces", json=moved).status_code == 204
    where: dict[str, dict[str, Any]] = {
        "global": {"is_global": True},
        "project": {"projects": [project]},
        "own_a": {"workspaces": [workspace.id]},
        "own_b": {"workspaces": [workspace.id]},
        "hard_own": {"workspaces": [workspace.id], "priority": True},
        "hard_project": {"projects": [project], "priority": True},
        "hard_global": {"is_global": True, "priority": True},
    }
    for place in reversed(LOW_TO_HIGH):
        for prefix, category in (("from_", "terraform"), ("FROM_", "env")):
            values = reaching(place, prefix)
            if place == "global":  # two global sets hold no key twice
                values = {key: value for key, value in values.items() if not key.endswith("hard_global")}
            if place in where:
                shared(values, name=wire.fresh(place), category=category, **where[place])
            elif place == "workspace":
                for key, value in values.items():
                    workspace.set_variable(key, value, category=category)
    arguments = [f"-var={key}={value}" for key, value in reaching("run", "from_").items()]
    done = workspace.tf.run("apply", "-auto-approve", *arguments)
    assert outputs(workspace) == {f"from_{place}": place for place in LOW_TO_HIGH}
    exported = {place: place for place in LOW_TO_HIGH} | {"run": "workspace"}  # a command line says nothing of the environment
    assert "it is " + " ".join(f"{place}={value}" for place, value in exported.items()) in done.text


def test_a_set_that_is_shared_with_all_reaches_a_workspace_that_was_admitted_and_no_other(
    new_workspace: NewWorkspace, shared: Callable[..., str]
) -> None:
    workspace = new_workspace('variable "x" {\n  default = "of the configuration"\n}\noutput "x" {\n  value = var.x\n}\n')
    workspace.update(admitted=False)
    hard = shared({"x": "of the set"}, is_global=True, priority=True)
    workspace.tf.run("apply", "-auto-approve")
    assert outputs(workspace) == {"x": "of the configuration"}
    told = workspace.server.api.get(f"workspaces/{workspace.id}/all-vars").json()
    assert (told["data"], [each["id"] for each in told["meta"]["withheld"]]) == ([], [hard])
    workspace.update(admitted=True)
    workspace.tf.run("apply", "-auto-approve", "-var=x=of the run")
    assert outputs(workspace) == {"x": "of the set"}


def test_a_sensitive_value_of_a_set_is_used_and_never_shown(new_workspace: NewWorkspace, shared: Callable[..., str]) -> None:
    workspace = new_workspace("""
variable "password" {}
resource "terraform_data" "user" {
  input = sha256(var.password)
  provisioner "local-exec" {
    command = "echo the token is $TOKEN, the password ${var.password}."
  }
}
""")
    shared({"password": "hunter2hunter2"}, sensitive=True, workspaces=[workspace.id])
    shared({"TOKEN": "abracadabra-abracadabra"}, sensitive=True, category="env", workspaces=[workspace.id])
    done = workspace.tf.run("apply", "-auto-approve")
    assert "the token is ***, the password ***." in done.text
    run = workspace.run_of(done)
    for text in (done.text, workspace.log(run, "plan"), workspace.log(run, "apply")):
        assert "hunter2hunter2" not in text
        assert "abracadabra-abracadabra" not in text


def test_a_newer_terraform_reads_the_values_of_sets_for_what_it_runs_itself(
    terraform_115: Path, server: Server, shared: Callable[..., str], tmp_path: Path
) -> None:
    name = wire.fresh()
    tf = Terraform(terraform_115, tmp_path / "work", server)
    tf.write(cloud(server, f'name = "{name}"') + 'variable "who" {}\nresource "terraform_data" "it" {\n  input = var.who\n}\n')
    tf.run("init", "-input=false")
    workspace = Workspace(tf, name)
    shared({"who": "of the set"}, workspaces=[workspace.id])
    done = tf.run("console", typed="var.who\n")
    assert '"of the set"' in done.output
