"""HashiCorp's Python client on workspace variables."""

from __future__ import annotations

import pytest
from pytfe import TFEClient
from pytfe.errors import NotFound, TFEError
from pytfe.models import CategoryType, VariableCreateOptions, VariableUpdateOptions, WorkspaceCreateOptions

from tests.support.wire import fresh


@pytest.fixture
def workspace(tfe: TFEClient) -> str:
    """The id of a workspace of the test's own."""
    return str(tfe.workspaces.create("default", WorkspaceCreateOptions(name=fresh("pytfe"))).id)


def test_create_read_update_and_delete(tfe: TFEClient, workspace: str) -> None:
    made = tfe.variables.create(
        workspace, VariableCreateOptions(key="region", value="eu", category=CategoryType.TERRAFORM, description="where")
    )
    assert made.id is not None
    assert (made.key, made.value, made.category, made.hcl, made.sensitive, made.description) == (
        "region",
        "eu",
        CategoryType.TERRAFORM,
        False,
        False,
        "where",
    )
    changed = tfe.variables.update(workspace, made.id, VariableUpdateOptions(value='["eu"]', hcl=True))
    assert (changed.key, changed.value, changed.hcl, changed.description) == ("region", '["eu"]', True, "where")
    assert tfe.variables.read(workspace, made.id).value == '["eu"]'
    tfe.variables.delete(workspace, made.id)
    with pytest.raises(NotFound):
        tfe.variables.read(workspace, made.id)
    assert list(tfe.variables.list(workspace)) == []


def test_both_categories_and_both_lists(tfe: TFEClient, workspace: str) -> None:
    for category in (CategoryType.TERRAFORM, CategoryType.ENV):
        tfe.variables.create(workspace, VariableCreateOptions(key="SAME", value=category.value, category=category))
    for listed in (tfe.variables.list(workspace), tfe.variables.list_all(workspace)):
        assert {(one.key, one.value, one.category) for one in listed} == {
            ("SAME", "terraform", CategoryType.TERRAFORM),
            ("SAME", "env", CategoryType.ENV),
        }
    with pytest.raises(TFEError) as refusal:
        tfe.variables.create(workspace, VariableCreateOptions(key="SAME", value="x", category=CategoryType.ENV))
    assert refusal.value.status == 422


def test_a_sensitive_value_never_comes_back(tfe: TFEClient, workspace: str) -> None:
    made = tfe.variables.create(workspace, VariableCreateOptions(key="secret", value="xyzzy", category=CategoryType.ENV, sensitive=True))
    assert made.id is not None
    changed = tfe.variables.update(workspace, made.id, VariableUpdateOptions(value="xyzzy-2", sensitive=True))
    seen = [made, changed, tfe.variables.read(workspace, made.id), *tfe.variables.list(workspace), *tfe.variables.list_all(workspace)]
    assert [one.value for one in seen] == [None] * 5
    assert all(one.sensitive for one in seen)
    with pytest.raises(TFEError) as refusal:
        tfe.variables.update(workspace, made.id, VariableUpdateOptions(sensitive=False))
    assert refusal.value.status == 422


def test_more_than_a_page_of_variables_is_listed_whole(tfe: TFEClient, workspace: str) -> None:
    for number in range(25):
        tfe.variables.create(workspace, VariableCreateOptions(key=f"v{number}", value="x", category=CategoryType.TERRAFORM))
    assert len(list(tfe.variables.list(workspace))) == 25
