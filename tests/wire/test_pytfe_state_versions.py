"""HashiCorp's Python client on state versions and their outputs."""

from __future__ import annotations

import json

import pytest
from pytfe import TFEClient
from pytfe.errors import NotFound, TFEError
from pytfe.models import (
    StateVersionCreateOptions,
    StateVersionListOptions,
    WorkspaceCreateOptions,
    WorkspaceLockOptions,
)
from pytfe.models.state_version import StateVersionStatus

from tests.support.wire import LINEAGE, b64, fresh, md5, state


@pytest.fixture
def workspace(tfe: TFEClient) -> str:
    """The id of a workspace of the test's own, locked by its admin."""
    made = str(tfe.workspaces.create("default", WorkspaceCreateOptions(name=fresh("pytfe"))).id)
    tfe.workspaces.lock(made, WorkspaceLockOptions(reason="pytfe writes state"))
    return made


def options(content: bytes, **more: str) -> StateVersionCreateOptions:
    """What announces a state."""
    return StateVersionCreateOptions(serial=json.loads(content)["serial"], md5=md5(content), lineage=LINEAGE, **more)


def test_upload_read_and_download(tfe: TFEClient, workspace: str) -> None:
    first = tfe.state_versions.upload(workspace, raw_state=state(1), raw_json_state=b'{"format_version": "1.0"}', options=options(state(1)))
    assert (first.status, first.serial, first.size) == (StateVersionStatus.FINALIZED, 1, len(state(1)))
    second = tfe.state_versions.upload(workspace, raw_state=state(2), options=options(state(2)))
    current = tfe.state_versions.read_current(workspace)
    assert (current.id, current.serial, current.terraform_version) == (second.id, 2, "1.11.4")
    assert current.resources_processed is True
    assert current.resources is not None
    assert [one["type"] for one in current.resources] == ["terraform_data"]
    assert tfe.state_versions.download(first.id) == state(1)
    assert tfe.state_versions.download_current(workspace) == state(2)
    assert tfe.workspaces.unlock(workspace).locked is False


def test_a_state_in_the_document(tfe: TFEClient, workspace: str) -> None:
    made = tfe.state_versions.create(workspace, options(state(1), state=b64(state(1))))
    assert made.status is StateVersionStatus.FINALIZED
    assert tfe.state_versions.download_current(workspace) == state(1)


def test_an_announced_state_waits_for_its_bytes(tfe: TFEClient, workspace: str) -> None:
    name = tfe.workspaces.read_by_id(workspace).name
    made = tfe.state_versions.create(str(name), options(state(1)), organization="default")
    assert made.status is StateVersionStatus.PENDING
    with pytest.raises(NotFound):
        tfe.state_versions.read_current(workspace)
    with pytest.raises(Exception, match="latest state version is still pending"):
        tfe.workspaces.unlock(workspace)


def test_lists_are_newest_first(tfe: TFEClient, workspace: str) -> None:
    made = [tfe.state_versions.upload(workspace, raw_state=state(serial), options=options(state(serial))).id for serial in (1, 2, 3)]
    name = tfe.workspaces.read_by_id(workspace).name
    listed = tfe.state_versions.list(StateVersionListOptions(organization="default", workspace=name, page_size=2))
    assert [one.id for one in listed] == made[::-1]


def test_outputs(tfe: TFEClient, workspace: str) -> None:
    content = state(1, outputs={"said": "hello", "hidden": "xyzzy"})
    made = tfe.state_versions.upload(workspace, raw_state=content, options=options(content))
    for listed in (tfe.state_versions.list_outputs(made.id), tfe.state_version_outputs.read_current(workspace)):
        found = {one.name: one for one in listed}
        assert (found["said"].value, found["said"].type, found["said"].detailed_type) == ("hello", "string", "string")
        assert (found["hidden"].value, found["hidden"].sensitive) == (None, True)
        assert tfe.state_version_outputs.read(found["hidden"].id).value == "xyzzy"


def test_rollback(tfe: TFEClient, workspace: str) -> None:
    first = tfe.state_versions.upload(workspace, raw_state=state(1), options=options(state(1)))
    tfe.state_versions.upload(workspace, raw_state=state(2), options=options(state(2)))
    back = tfe.state_versions.rollback(workspace, first.id)
    assert (back.serial, tfe.state_versions.read_current(workspace).id) == (3, back.id)


def test_what_is_refused(tfe: TFEClient, workspace: str) -> None:
    tfe.state_versions.upload(workspace, raw_state=state(5), options=options(state(5)))
    with pytest.raises(TFEError, match="serial") as refusal:
        tfe.state_versions.create(workspace, options(state(4)))
    assert refusal.value.status == 409
    with pytest.raises(TFEError, match="md5") as refusal:
        tfe.state_versions.upload(workspace, raw_state=state(6, note="-other"), options=options(state(6)))
    assert refusal.value.status == 422
    assert tfe.state_versions.download_current(workspace) == state(5)


def test_resources_of_the_current_state(tfe: TFEClient, workspace: str) -> None:
    version = tfe.state_versions.upload(workspace, raw_state=state(1), options=options(state(1)))
    [found] = list(tfe.workspace_resources.list(workspace))
    assert (found.address, found.provider_type, found.name_index) == ("terraform_data.one", "terraform_data", None)
    assert found.modified_by_state_version_id == version.id
