"""The command line beside a workspace that follows a repository: it plans, and applies nothing."""

from __future__ import annotations

from pathlib import Path

from tests.support.followed import Followed
from tests.support.tf import Terraform, cloud


def test_terraform_plans_local_files_and_leaves_applying_to_the_repository(site: Followed, terraform: Path, tmp_path: Path) -> None:
    workspace = site.workspace(site.repository())
    tf = Terraform(terraform, tmp_path / "work", site.server)
    tf.write(cloud(site.server, f'name = "{workspace.name}"'), "cloud.tf")
    tf.write('resource "terraform_data" "not_pushed" {\n}\n')
    tf.run("init", "-input=false")
    assert "terraform_data.not_pushed will be created" in tf.run("plan", "-input=false").text

    refused = tf.run("apply", "-auto-approve", check=False)
    assert refused.code == 1
    assert "Apply not allowed for workspaces with a VCS connection" in refused.text
    assert [run["attributes"]["plan-only"] for run in workspace.runs()] == [True]
