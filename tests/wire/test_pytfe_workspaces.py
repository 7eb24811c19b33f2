"""HashiCorp's Python client on workspaces, tags, locks and remote-state consumers."""

from __future__ import annotations

import pytest
from pytfe import TFEClient
from pytfe.errors import NotFound, TFEError
from pytfe.models import (
    ExecutionMode,
    Project,
    ProjectCreateOptions,
    Tag,
    TagBinding,
    Workspace,
    WorkspaceAddRemoteStateConsumersOptions,
    WorkspaceAddTagBindingsOptions,
    WorkspaceAddTagsOptions,
    WorkspaceCreateOptions,
    WorkspaceIncludeOpt,
    WorkspaceListOptions,
    WorkspaceLockOptions,
    WorkspaceReadOptions,
    WorkspaceRemoveRemoteStateConsumersOptions,
    WorkspaceRemoveTagsOptions,
    WorkspaceUpdateOptions,
    WorkspaceUpdateRemoteStateConsumersOptions,
)

from tests.support.wire import fresh

ORG = "default"


def make(tfe: TFEClient, **settings: object) -> Workspace:
    """A workspace of a name of its own."""
    return tfe.workspaces.create(ORG, WorkspaceCreateOptions(name=str(settings.pop("name", fresh("pytfe"))), **settings))


def test_create_read_update_and_delete(tfe: TFEClient) -> None:
    made = make(
        tfe,
        description="by pytfe",
        auto_apply=True,
        terraform_version="1.11.4",
        working_directory="deep",
        execution_mode=ExecutionMode.LOCAL,
    )
    assert (made.description, made.auto_apply, made.terraform_version, made.working_directory) == ("by pytfe", True, "1.11.4", "deep")
    assert made.execution_mode is ExecutionMode.LOCAL
    assert made.created_at is not None
    assert made.name is not None
    assert made.organization is not None
    assert made.organization.id == ORG
    assert made.permissions is not None
    assert made.permissions.can_queue_apply
    assert tfe.workspaces.read(made.name, organization=ORG).id == made.id
    assert tfe.workspaces.read_by_id(made.id).name == made.name
    by_name = tfe.workspaces.update(made.name, WorkspaceUpdateOptions(description="changed"), organization=ORG)
    by_id = tfe.workspaces.update_by_id(made.id, WorkspaceUpdateOptions(name=f"{made.name}-renamed", execution_mode=ExecutionMode.REMOTE))
    assert (by_name.description, by_id.description, by_id.auto_apply) == ("changed", "changed", True)
    assert (by_id.name, by_id.execution_mode) == (f"{made.name}-renamed", ExecutionMode.REMOTE)
    tfe.workspaces.delete_by_id(made.id)
    with pytest.raises(NotFound):
        tfe.workspaces.read_by_id(made.id)


def test_delete_by_name_and_safely(tfe: TFEClient) -> None:
    first, second, third = make(tfe), make(tfe), make(tfe)
    tfe.workspaces.delete(str(first.name), organization=ORG)
    tfe.workspaces.safe_delete(str(second.name), organization=ORG)
    tfe.workspaces.safe_delete_by_id(third.id)
    for gone in (first, second, third):
        with pytest.raises(NotFound):
            tfe.workspaces.read(str(gone.name), organization=ORG)


def test_lists_walk_all_pages_and_filter(tfe: TFEClient) -> None:
    word = fresh("listed")
    made = [make(tfe, name=f"{word}-{number}", tag_bindings=[TagBinding(key=word, value=str(number % 2))]).id for number in range(5)]
    found = list(tfe.workspaces.list(ORG, WorkspaceListOptions(search=word, page_size=2)))
    assert sorted(one.id for one in found) == sorted(made)
    tagged = list(tfe.workspaces.list(ORG, WorkspaceListOptions(tags=word)))
    assert len(tagged) == 5
    odd = list(tfe.workspaces.list(ORG, WorkspaceListOptions(tag_bindings=[TagBinding(key=word, value="1")])))
    assert len(odd) == 2
    without = list(tfe.workspaces.list(ORG, WorkspaceListOptions(search=word, exclude_tags=word)))
    assert without == []
    wild = list(tfe.workspaces.list(ORG, WorkspaceListOptions(wildcard_name=f"{word}-3*", sort="-name")))
    assert [one.name for one in wild] == [f"{word}-3"]


def test_lock_unlock_and_force_unlock(tfe: TFEClient) -> None:
    made = make(tfe)
    locked = tfe.workspaces.lock(made.id, WorkspaceLockOptions(reason="pytfe has it"))
    assert (locked.locked, locked.locked_reason) == (True, "pytfe has it")
    assert locked.locked_by is not None
    assert locked.locked_by.user == tfe.users.read_current().id
    with pytest.raises(TFEError) as refusal:
        tfe.workspaces.lock(made.id, WorkspaceLockOptions())
    assert refusal.value.status == 409
    assert tfe.workspaces.unlock(made.id).locked is False
    with pytest.raises(TFEError) as refusal:
        tfe.workspaces.unlock(made.id)
    assert refusal.value.status == 409
    tfe.workspaces.lock(made.id, WorkspaceLockOptions())
    assert tfe.workspaces.force_unlock(made.id).locked is False


def test_tags_and_tag_bindings(tfe: TFEClient) -> None:
    made = make(tfe, tag_bindings=[TagBinding(key="env", value="dev")])
    flat = fresh("flat")
    tfe.workspaces.add_tags(made.id, WorkspaceAddTagsOptions(tags=[Tag(name=flat), Tag(name="second")]))
    assert {tag.name for tag in tfe.workspaces.list_tags(made.id)} == {"env", flat, "second"}
    tfe.workspaces.remove_tags(made.id, WorkspaceRemoveTagsOptions(tags=[Tag(name="second")]))
    added = tfe.workspaces.add_tag_bindings(made.id, WorkspaceAddTagBindingsOptions(tag_bindings=[TagBinding(key="team", value="red")]))
    assert {binding.key for binding in added} >= {"team"}
    assert {one.key: one.value or "" for one in tfe.workspaces.list_tag_bindings(made.id)} == {"env": "dev", flat: "", "team": "red"}
    assert {one.key for one in tfe.workspaces.list_effective_tag_bindings(made.id)} == {"env", flat, "team"}
    assert flat in {tag.name for tag in tfe.organization_tags.list(ORG)}
    tfe.workspaces.delete_all_tag_bindings(made.id)
    assert list(tfe.workspaces.list_tag_bindings(made.id)) == []


def test_remote_state_consumers(tfe: TFEClient) -> None:
    provider, first, second = make(tfe), make(tfe), make(tfe)
    assert list(tfe.workspaces.list_remote_state_consumers(provider.id)) == []
    tfe.workspaces.add_remote_state_consumers(provider.id, WorkspaceAddRemoteStateConsumersOptions(workspaces=[first, second]))
    assert {one.id for one in tfe.workspaces.list_remote_state_consumers(provider.id)} == {first.id, second.id}
    tfe.workspaces.remove_remote_state_consumers(provider.id, WorkspaceRemoveRemoteStateConsumersOptions(workspaces=[first]))
    assert [one.id for one in tfe.workspaces.list_remote_state_consumers(provider.id)] == [second.id]
    tfe.workspaces.update_remote_state_consumers(provider.id, WorkspaceUpdateRemoteStateConsumersOptions(workspaces=[first]))
    assert [one.id for one in tfe.workspaces.list_remote_state_consumers(provider.id)] == [first.id]


def test_projects_hold_and_give_workspaces(tfe: TFEClient) -> None:
    name = fresh("pytfe")
    project = tfe.projects.create(ORG, ProjectCreateOptions(name=name, description="by pytfe"))
    assert (project.name, project.description) == (name, "by pytfe")
    inside = make(tfe, project=Project(id=project.id))
    moved = make(tfe)
    tfe.projects.move_workspaces(project.id, [moved.id])
    listed = {one.id for one in tfe.workspaces.list(ORG, WorkspaceListOptions(project_id=project.id))}
    assert listed == {inside.id, moved.id}
    read = tfe.workspaces.read_by_id_with_options(
        inside.id, WorkspaceReadOptions(include=[WorkspaceIncludeOpt.PROJECT, WorkspaceIncludeOpt.ORGANIZATION])
    )
    assert read.project is not None
    assert (read.project.id, read.project.name) == (project.id, name)
    assert tfe.projects.read(project.id).workspace_count == 2
    with pytest.raises(TFEError) as refusal:
        tfe.projects.delete(project.id)
    assert refusal.value.status == 409
    for workspace in (inside, moved):
        tfe.workspaces.delete_by_id(workspace.id)
    tfe.projects.delete(project.id)
    with pytest.raises(NotFound):
        tfe.projects.read(project.id)


def test_projects_are_listed_and_changed(tfe: TFEClient) -> None:
    from pytfe.models import ProjectListOptions, ProjectUpdateOptions

    word = fresh("pytfe")
    made = [tfe.projects.create(ORG, ProjectCreateOptions(name=f"{word}-{number}")).id for number in range(3)]
    assert {one.id for one in tfe.projects.list(ORG)} >= set(made)
    assert [one.id for one in tfe.projects.list(ORG, ProjectListOptions(name=f"{word}-1"))] == [made[1]]
    assert {one.id for one in tfe.projects.list(ORG, ProjectListOptions(query=word, page_size=2))} == set(made)
    changed = tfe.projects.update(made[0], ProjectUpdateOptions(name=f"{word}-renamed", description="new"))
    assert (changed.name, changed.description) == (f"{word}-renamed", "new")
    for ident in made:
        tfe.projects.delete(ident)


def test_what_is_refused_has_words(tfe: TFEClient) -> None:
    made = make(tfe)
    with pytest.raises(TFEError, match="taken") as refusal:
        make(tfe, name=made.name)
    assert refusal.value.status == 422
    with pytest.raises(NotFound, match="no such workspace"):
        tfe.workspaces.read("nowhere-to-be-found", organization=ORG)
    with pytest.raises(NotFound, match="organization"):
        next(tfe.workspaces.list("elsewhere"))
