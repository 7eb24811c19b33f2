"""HashiCorp's Python client on configuration versions, runs, plans and applies; terraform is real."""

from __future__ import annotations

import io
import re
from pathlib import Path

import httpx
import pytest
from pytfe import TFEClient
from pytfe.errors import TFEError
from pytfe.models import (
    ConfigurationStatus,
    ConfigurationVersion,
    ConfigurationVersionCreateOptions,
    Run,
    RunApplyOptions,
    RunCancelOptions,
    RunCreateOptions,
    RunDiscardOptions,
    RunIncludeOpt,
    RunListForOrganizationOptions,
    RunListOptions,
    RunReadOptions,
    RunStatus,
    RunVariable,
    Workspace,
    WorkspaceCreateOptions,
)
from pytfe.models.apply import ApplyStatus
from pytfe.models.plan import PlanStatus

from tests.support.waiting import until
from tests.support.wire import QUICK, RUN_SECONDS, fresh

SLOW = """
resource "terraform_data" "first" {
  input = "kept"
}

resource "terraform_data" "slow" {
  depends_on = [terraform_data.first]

  provisioner "local-exec" {
    command = "echo sleeping; exec sleep 300"
  }
}
"""
"""An apply that goes on until it is interrupted."""


def configured(tfe: TFEClient, directory: Path, text: str = QUICK, *, speculative: bool = False) -> tuple[Workspace, ConfigurationVersion]:
    """A workspace with a configuration that pytfe packed and uploaded."""
    workspace = tfe.workspaces.create("default", WorkspaceCreateOptions(name=fresh("pytfe")))
    source = directory / fresh("configuration")
    (source / "modules" / "empty").mkdir(parents=True)
    (source / "main.tf").write_text(text)
    (source / "modules" / "empty" / "main.tf").write_text("# nothing\n")
    version = tfe.configuration_versions.create(
        workspace.id, ConfigurationVersionCreateOptions(auto_queue_runs=False, speculative=speculative)
    )
    assert version.status is ConfigurationStatus.PENDING
    assert version.upload_url is not None
    tfe.configuration_versions.upload(version.upload_url, str(source))
    assert tfe.configuration_versions.read(version.id).status is ConfigurationStatus.UPLOADED
    # By their ids alone: pytfe puts all it is given into a run's attributes, and cannot encode a time.
    return Workspace(id=workspace.id, name=workspace.name), ConfigurationVersion(id=version.id)


def at(tfe: TFEClient, run: Run, *statuses: RunStatus) -> Run:
    """The run once it is there; fails when it ended elsewhere."""
    ends = {
        RunStatus.Run_Applied,
        RunStatus.Run_Errored,
        RunStatus.Run_Canceled,
        RunStatus.Run_Discarded,
        RunStatus.Run_Planned_And_Finished,
    }

    def look() -> Run | None:
        found = tfe.runs.read(run.id)
        if found.status in statuses:
            return found
        assert found.status not in ends, f"{found.status}: {log(tfe.plans.read_for_run(run.id).log_read_url)}"
        return None

    return until(look, f"run {run.id} to be {statuses}", seconds=RUN_SECONDS)


def log(url: str | None) -> str:
    """What a log link gives, without its colours."""
    assert url is not None
    return re.sub(r"\x1b\[[0-9;]*m", "", httpx.get(url, params={"limit": 1 << 20, "offset": 0}, trust_env=False).text)


def test_a_run_from_the_configuration_to_the_state(tfe: TFEClient, tmp_path: Path) -> None:
    workspace, version = configured(tfe, tmp_path)
    variables = [RunVariable(key="greeting", value='"good day"')]
    run = tfe.runs.create(RunCreateOptions(workspace=workspace, configuration_version=version, message="from pytfe", variables=variables))
    assert run.message == "from pytfe"
    planned = at(tfe, run, RunStatus.Run_Planned)
    assert (planned.has_changes, planned.plan_only, planned.is_destroy) == (True, False, False)
    assert planned.actions is not None
    assert planned.actions.is_confirmable
    assert planned.permissions is not None
    assert planned.permissions.can_apply

    plan = tfe.plans.read_for_run(run.id)
    assert (plan.status, plan.has_changes, plan.resource_additions) == (PlanStatus.PLAN_FINISHED, True, 1)
    assert tfe.plans.read(plan.id).id == plan.id
    assert "Plan: 1 to add" in log(plan.log_read_url)
    whole = tfe.plans.read_json_output(plan.id)
    assert whole is not None
    assert [change["address"] for change in whole["resource_changes"]] == ["terraform_data.one"]
    assert tfe.plans.read_json_output_for_run(run.id) == whole

    tfe.runs.apply(run.id, RunApplyOptions(comment="go on"))
    applied = at(tfe, run, RunStatus.Run_Applied)
    assert applied.apply is not None
    apply = tfe.applies.read(applied.apply.id)
    assert (apply.status, apply.resource_additions) == (ApplyStatus.APPLY_FINISHED, 1)
    assert "Apply complete! Resources: 1 added" in log(apply.log_read_url)
    assert {one.name: one.value for one in tfe.state_version_outputs.read_current(workspace.id)} == {"said": "good day", "hidden": None}
    current = tfe.state_versions.read_current(workspace.id)
    assert current.relationships["run"]["data"]["id"] == run.id
    assert {event.action for event in tfe.run_events.list(run.id)} >= {"created", "confirmed"}
    _seen_from_everywhere(tfe, workspace, run)
    _nothing_left_to_do_and_destroyed(tfe, workspace)


def _seen_from_everywhere(tfe: TFEClient, workspace: Workspace, run: Run) -> None:
    assert [one.id for one in tfe.runs.list(workspace.id)] == [run.id]
    assert [one.id for one in tfe.runs.list(workspace.id, RunListOptions(status="applied", operation="plan_and_apply"))] == [run.id]
    assert list(tfe.runs.list(workspace.id, RunListOptions(status="planned"))) == []
    everywhere = tfe.runs.list_for_organization("default", RunListForOrganizationOptions(workspace_names=workspace.name))
    assert [one.id for one in everywhere] == [run.id]
    options = RunReadOptions(
        include=[RunIncludeOpt.RUN_PLAN, RunIncludeOpt.RUN_APPLY, RunIncludeOpt.RUN_WORKSPACE, RunIncludeOpt.RUN_CREATED_BY]
    )
    read = tfe.runs.read_with_options(run.id, options)
    assert read.plan is not None
    assert read.plan.status is PlanStatus.PLAN_FINISHED
    assert read.workspace is not None
    assert read.workspace.name == workspace.name
    assert read.created_by is not None
    assert read.created_by.username


def _nothing_left_to_do_and_destroyed(tfe: TFEClient, workspace: Workspace) -> None:
    variables = [RunVariable(key="greeting", value='"good day"')]
    again = at(tfe, tfe.runs.create(RunCreateOptions(workspace=workspace, variables=variables)), RunStatus.Run_Planned_And_Finished)
    assert again.has_changes is False
    gone = tfe.runs.create(RunCreateOptions(workspace=workspace, is_destroy=True, auto_apply=True))
    at(tfe, gone, RunStatus.Run_Applied)
    assert tfe.plans.read_for_run(gone.id).resource_destructions == 1
    assert list(tfe.state_version_outputs.read_current(workspace.id)) == []
    tfe.workspaces.safe_delete_by_id(workspace.id)


def test_a_planned_run_is_discarded(tfe: TFEClient, tmp_path: Path) -> None:
    workspace, _ = configured(tfe, tmp_path)
    run = tfe.runs.create(RunCreateOptions(workspace=workspace))
    at(tfe, run, RunStatus.Run_Planned)
    tfe.runs.discard(run.id, RunDiscardOptions(comment="not today"))
    assert tfe.runs.read(run.id).status is RunStatus.Run_Discarded
    assert tfe.workspaces.read_by_id(workspace.id).locked is False
    for action in (tfe.runs.apply, tfe.runs.discard, tfe.runs.cancel, tfe.runs.force_cancel):
        with pytest.raises(TFEError) as refusal:
            action(run.id)
        assert refusal.value.status == 409


def test_an_apply_is_cancelled_and_keeps_what_it_made(tfe: TFEClient, tmp_path: Path) -> None:
    workspace, _ = configured(tfe, tmp_path, SLOW)
    run = tfe.runs.create(RunCreateOptions(workspace=workspace, auto_apply=True))
    applying = at(tfe, run, RunStatus.Run_Applying)
    assert applying.apply is not None
    apply_id = applying.apply.id
    until(lambda: "sleeping" in log(tfe.applies.read(apply_id).log_read_url), "the apply to be in its slow resource", seconds=RUN_SECONDS)
    tfe.runs.cancel(run.id, RunCancelOptions(comment="stop"))
    ended = at(tfe, run, RunStatus.Run_Canceled)
    assert ended.canceled_at is not None
    assert "terraform_data.first: Creation complete" in log(tfe.applies.read(apply_id).log_read_url)
    assert tfe.applies.read(apply_id).status in (ApplyStatus.APPLY_CANCELED, ApplyStatus.APPLY_ERRORED)
    assert b'"kept"' in tfe.state_versions.download_current(workspace.id)
    assert tfe.workspaces.read_by_id(workspace.id).locked is False


def test_a_speculative_configuration_only_plans(tfe: TFEClient, tmp_path: Path) -> None:
    workspace, version = configured(tfe, tmp_path, speculative=True)
    run = at(tfe, tfe.runs.create(RunCreateOptions(workspace=workspace, configuration_version=version)), RunStatus.Run_Planned_And_Finished)
    assert run.plan_only is True
    assert list(tfe.runs.list(workspace.id)) == []
    assert [one.id for one in tfe.runs.list(workspace.id, RunListOptions(operation="plan_only"))] == [run.id]


def test_configuration_versions_are_listed_downloaded_and_archived(tfe: TFEClient, tmp_path: Path) -> None:
    workspace, first = configured(tfe, tmp_path)
    second = tfe.configuration_versions.create(workspace.id, ConfigurationVersionCreateOptions(auto_queue_runs=False))
    assert [one.id for one in tfe.configuration_versions.list(workspace.id)] == [second.id, first.id]
    content = tfe.configuration_versions.download(first.id)
    assert content[:2] == b"\x1f\x8b"
    assert tfe.configuration_versions.ingress_attributes(first.id) is None
    for needed in (first, second):  # the one that the next run takes, and the one that waits for its archive
        with pytest.raises(TFEError) as refusal:
            tfe.configuration_versions.archive(needed.id)
        assert refusal.value.status == 409
    assert second.upload_url is not None
    tfe.configuration_versions.upload_tar_gzip(second.upload_url, io.BytesIO(content))
    tfe.configuration_versions.archive(first.id)
    assert tfe.configuration_versions.read(first.id).status is ConfigurationStatus.ARCHIVED
