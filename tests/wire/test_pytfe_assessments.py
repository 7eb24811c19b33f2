"""HashiCorp's Python client on what assessments found; terraform is real."""

from __future__ import annotations

from pathlib import Path

from pytfe import TFEClient
from pytfe.models import Run, RunApplyOptions, RunCreateOptions, RunStatus, Workspace

from tests.support import wire
from tests.support.server import Server
from tests.support.waiting import until
from tests.wire.test_pytfe_runs import at, configured


def test_a_result_and_the_documents_of_its_plan(tfe: TFEClient, server: Server, tmp_path: Path) -> None:
    workspace, version = configured(tfe, tmp_path)
    run = tfe.runs.create(RunCreateOptions(workspace=workspace, configuration_version=version))
    at(tfe, run, RunStatus.Run_Planned)
    tfe.runs.apply(run.id, RunApplyOptions())
    at(tfe, run, RunStatus.Run_Applied)
    begun = wire.data(server.api.post(f"workspaces/{workspace.id}/actions/assess"))
    at(tfe, Run(id=begun["id"]), RunStatus.Run_Planned_And_Finished)

    def look() -> Workspace | None:
        found = tfe.workspaces.read_by_id(workspace.id)
        return found if found.last_assessment_result_at is not None else None

    current = until(look, "the result").current_assessment_result
    assert current is not None
    result = tfe.assessment_results.read(current.id)
    assert (result.succeeded, result.drifted, result.error_message) == (True, False, None)
    assert (result.resources_drifted, result.resources_undrifted, result.all_checks_succeeded) == (0, 1, True)
    whole = tfe.assessment_results.json_output(current.id)
    assert whole is not None
    assert whole["format_version"].startswith("1.")
    schema = tfe.assessment_results.json_schema(current.id)
    assert schema is not None
    assert "terraform.io/builtin/terraform" in schema["provider_schemas"]
    assert "No changes" in tfe.assessment_results.log_output(current.id)
