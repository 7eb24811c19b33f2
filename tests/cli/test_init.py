"""`terraform init`, and which workspaces it finds or makes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.server import Server
from tests.support.tf import Terraform, cloud, remote, resources
from tests.support.wire import fresh
from tests.support.workspace import Workspace, data

ONE = 'resource "terraform_data" "one" {\n  input = 1\n}\n'


def names(server: Server, query: str) -> set[str]:
    """Names of the workspaces that a query of the API finds."""
    return {item["attributes"]["name"] for item in server.api.get(f"organizations/default/workspaces?{query}").json()["data"]}


def test_init_makes_the_workspace_of_the_cloud_block(tf: Terraform) -> None:
    name = fresh()
    tf.write(cloud(tf.server, f'name = "{name}"'))
    done = tf.run("init", "-input=false")
    assert "has been successfully initialized" in done.text
    attributes = Workspace(tf, name).attributes
    version = json.loads(tf.run("version", "-json").output)["terraform_version"]
    assert (attributes["execution-mode"], attributes["terraform-version"], attributes["locked"]) == ("remote", version, False)


def test_init_makes_the_project_of_the_cloud_block(tf: Terraform) -> None:
    name, project = fresh(), fresh("project")
    tf.write(cloud(tf.server, f'name = "{name}"\n      project = "{project}"'))
    tf.run("init", "-input=false")
    related = Workspace(tf, name).show()["relationships"]["project"]["data"]["id"]
    assert data(tf.server.api.get(f"projects/{related}"))["attributes"]["name"] == project


def test_init_says_that_an_organization_is_not_there(tf: Terraform) -> None:
    tf.write(cloud(tf.server, 'name = "demo"').replace('"default"', '"nobody"'))
    done = tf.run("init", "-input=false", check=False)
    assert done.code == 1
    assert 'organization "nobody" at host' in done.text


def test_init_with_a_token_of_nobody_is_refused(terraform: Path, server: Server, tmp_path: Path) -> None:
    stranger = Terraform(terraform, tmp_path / "work", server, token="of-nobody-" * 5)
    stranger.write(cloud(server, 'name = "demo"'))
    done = stranger.run("init", "-input=false", check=False)
    assert done.code == 1
    assert "unauthorized" in done.text.lower() or "required token" in done.text


def test_workspaces_by_a_list_of_tags_are_made_listed_selected_and_deleted(tf: Terraform) -> None:
    first, second, tag = fresh("tagged"), fresh("tagged"), fresh("tag")
    tf.write(cloud(tf.server, f'tags = ["{tag}", "net"]') + ONE)
    tf.run("init", typed=f"{first}\n")
    assert tf.run("workspace", "show").output.strip() == first
    assert set(Workspace(tf, first).attributes["tag-names"]) == {tag, "net"}

    assert f'Created and switched to workspace "{second}"' in tf.run("workspace", "new", second).text
    assert set(tf.run("workspace", "list").output.replace("*", "").split()) == {first, second}
    tf.run("workspace", "select", first)
    assert tf.run("workspace", "show").output.strip() == first
    assert names(tf.server, f"search[tags]={tag},net") == {first, second}

    tf.run("workspace", "delete", second)
    assert names(tf.server, f"search[tags]={tag}") == {first}


def test_a_workspace_that_manages_something_is_only_deleted_by_force(tf: Terraform) -> None:
    first, second, tag = fresh("tagged"), fresh("tagged"), fresh("tag")
    tf.write(cloud(tf.server, f'tags = ["{tag}"]') + ONE)
    tf.run("init", typed=f"{first}\n")
    Workspace(tf, first).update(execution_mode="local")
    tf.run("apply", "-auto-approve")
    tf.run("workspace", "new", second)

    refused = tf.run("workspace", "delete", first, check=False)
    assert refused.code == 1
    assert names(tf.server, f"search[tags]={tag}") == {first, second}
    tf.run("workspace", "delete", "-force", first)
    assert names(tf.server, f"search[tags]={tag}") == {second}


def test_workspaces_by_a_map_of_tags_carry_keys_and_values(tf: Terraform) -> None:
    name, value = fresh("mapped"), fresh("team")
    tf.write(cloud(tf.server, f'tags = {{ team = "{value}", stage = "dev" }}'))
    tf.run("init", typed=f"{name}\n")
    workspace = Workspace(tf, name)
    bindings = tf.server.api.get(f"workspaces/{workspace.id}/tag-bindings").json()["data"]
    assert {(item["attributes"]["key"], item["attributes"]["value"]) for item in bindings} == {("team", value), ("stage", "dev")}
    assert tf.run("workspace", "list").output.replace("*", "").split() == [name]
    assert names(tf.server, f"filter[tagged][0][key]=team&filter[tagged][0][value]={value}") == {name}

    shutil.rmtree(tf.directory / ".terraform")
    tf.write(cloud(tf.server, f'tags = {{ team = "{value}", stage = "prod" }}'))
    tf.run("init", typed=f"{name}-prod\n")
    assert tf.run("workspace", "list").output.replace("*", "").split() == [f"{name}-prod"]


def test_the_remote_backend_works_by_name(tf: Terraform) -> None:
    name = fresh()
    tf.write(remote(tf.server, f'name = "{name}"') + ONE + 'output "one" {\n  value = terraform_data.one.output\n}\n')
    tf.run("init", "-input=false")
    done = tf.run("apply", "-auto-approve", "-input=false")
    assert "Apply complete! Resources: 1 added" in done.text
    workspace = Workspace(tf, name)
    assert workspace.run_of(done)["attributes"]["status"] == "applied"
    assert tf.run("output", "-json", "one").output.strip() == "1"
    assert tf.run("plan", "-detailed-exitcode").code == 0


def test_the_remote_backend_works_by_prefix(tf: Terraform) -> None:
    prefix = fresh("app") + "-"
    tf.write(remote(tf.server, f'prefix = "{prefix}"') + ONE)
    tf.run("init", "-input=false", check=False)  # there is no workspace yet, says older and newer terraform in its own way
    tf.run("workspace", "new", "dev")
    tf.run("workspace", "new", "prod")
    assert set(tf.run("workspace", "list").output.replace("*", "").split()) == {"dev", "prod"}
    Workspace(tf, f"{prefix}prod").update(execution_mode="local")
    tf.run("apply", "-auto-approve")
    assert resources(Workspace(tf, f"{prefix}prod").state()) == {"one": "good"}
    assert names(tf.server, f"search[name]={prefix}") == {f"{prefix}dev", f"{prefix}prod"}


@pytest.mark.parametrize("block", [cloud, remote])
def test_local_state_is_migrated_in(tf: Terraform, block: Callable[[Server, str], str]) -> None:
    tf.write(ONE)
    tf.run("init", "-input=false")
    tf.run("apply", "-auto-approve", "-input=false")
    before = json.loads((tf.directory / "terraform.tfstate").read_text())["resources"]
    name = fresh("migrated")
    tf.write(block(tf.server, f'name = "{name}"'), "cloud.tf")
    tf.run("init", typed="yes\n")
    workspace = Workspace(tf, name)
    assert workspace.state()["resources"] == before
    assert not workspace.attributes["locked"]
    assert tf.run("state", "list").output.split() == ["terraform_data.one"]
