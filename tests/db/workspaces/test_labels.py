from __future__ import annotations

import pytest

from terrapod_core.errors import Forbidden, Invalid, NotFound
from terrapod_core.jsonapi import Query, Ref
from terrapod_core.workspaces.documents import UpdateWorkspace
from terrapod_core.workspaces.models import Workspace, tag_id
from tests.support.rooms import ALICE, AUDITOR, BOB, ROOT, House


def tag(name: str) -> Ref:
    return Ref("tags", None, {"name": name})


def binding(key: str, value: object = None) -> Ref:
    return Ref("tag-bindings", None, {"key": key, "value": value})


async def labels(house: House, workspace: Workspace) -> dict[str, str | None]:
    """What the rows say; the copy on the workspace's own row must say the same."""
    rows = {row.key: row.value for row in await house.workspaces.tagging.list_bindings(ALICE, workspace.id)}
    assert (await house.workspaces.read(ALICE, workspace.id)).labels == rows
    return rows


async def test_labels_tags_and_tag_bindings_are_one_thing(house: House) -> None:
    workspace = await house.workspace(labels={"env": "dev"}, tags=[tag("app")], tag_bindings=[binding("team", "net"), binding("x", "")])
    assert await labels(house, workspace) == {"app": None, "env": "dev", "team": "net", "x": None}
    assert workspace.tag_names == ["app", "env", "team", "x"]


async def test_bindings_are_added_by_key_and_the_others_stay(house: House) -> None:
    workspace = await house.workspace(labels={"env": "dev", "team": "net"})
    found = await house.workspaces.tagging.add_bindings(ALICE, workspace.id, [binding("env", "prod"), binding("app")])
    assert [(one.key, one.value) for one in found] == [("app", None), ("env", "prod"), ("team", "net")]
    assert await labels(house, workspace) == {"app": None, "env": "prod", "team": "net"}


async def test_a_binding_keeps_its_id_until_its_value_changes(house: House) -> None:
    workspace = await house.workspace(labels={"env": "dev", "team": "net"})
    before = {one.key: one.id for one in await house.workspaces.tagging.list_bindings(ALICE, workspace.id)}
    after = {one.key: one.id for one in await house.workspaces.tagging.add_bindings(ALICE, workspace.id, [binding("env", "prod")])}
    assert after["team"] == before["team"]
    assert after["env"] != before["env"]


async def test_bindings_are_replaced_as_a_whole(house: House) -> None:
    workspace = await house.workspace(labels={"env": "dev", "team": "net"})
    await house.workspaces.tagging.replace_bindings(ALICE, workspace.id, [binding("a", "b")])
    assert await labels(house, workspace) == {"a": "b"}
    await house.workspaces.update(ALICE, workspace.id, UpdateWorkspace(tag_bindings=[]))
    assert await labels(house, workspace) == {}


async def test_an_update_without_labels_keeps_them_and_one_with_labels_replaces_them(house: House) -> None:
    workspace = await house.workspace(labels={"env": "dev"})
    await house.workspaces.update(ALICE, workspace.id, UpdateWorkspace(auto_apply=True))
    assert await labels(house, workspace) == {"env": "dev"}
    await house.workspaces.update(ALICE, workspace.id, UpdateWorkspace(labels={"tier": "1"}))
    assert await labels(house, workspace) == {"tier": "1"}


async def test_a_tag_is_added_by_name_and_does_not_take_a_value_away(house: House) -> None:
    workspace = await house.workspace(labels={"env": "dev"})
    await house.workspaces.tagging.add_tags(ALICE, workspace.id, [tag("env"), tag("net")])
    assert await labels(house, workspace) == {"env": "dev", "net": None}


async def test_a_tag_is_removed_by_name_or_by_id_and_one_that_is_not_there_is_no_matter(house: House) -> None:
    workspace = await house.workspace(tags=[tag("a"), tag("b"), tag("c")])
    listed = await house.workspaces.tagging.list_tags(ALICE, workspace.id, Query())
    assert [(one.id, one.name) for one in listed.items] == [(tag_id(name), name) for name in "abc"]
    await house.workspaces.tagging.remove_tags(ALICE, workspace.id, [tag("a"), Ref("tags", tag_id("b")), tag("never")])
    assert await labels(house, workspace) == {"c": None}


async def test_the_organizations_tags_are_those_of_workspaces_one_may_read(house: House) -> None:
    await house.workspace(ALICE, "one", tags=[tag("app"), tag("net")])
    await house.workspace(ALICE, "two", tags=[tag("app")])
    await house.workspace(BOB, "three", tags=[tag("app"), tag("secret")])
    found = await house.workspaces.tagging.list_all_tags(ALICE, Query())
    assert [(one.name, one.instance_count) for one in found.items] == [("app", 2), ("net", 1)]
    everything = await house.workspaces.tagging.list_all_tags(ROOT, Query.parse([("page[size]", "2")]))
    assert [(one.name, one.instance_count) for one in everything.items] == [("app", 3), ("net", 1)]
    assert everything.total == 3
    searched = await house.workspaces.tagging.list_all_tags(ROOT, Query.parse([("q", "ECR")]))
    assert [one.name for one in searched.items] == ["secret"]


@pytest.mark.parametrize(
    "wrong",
    [binding(""), binding("hc:owner"), binding("a b"), binding("a", "x" * 300), binding("a", 5), binding("é"), Ref("tag-bindings", "tb-1")],
    ids=["empty", "reserved", "space", "long-value", "number", "letter", "no-key"],
)
async def test_one_wrong_binding_changes_nothing(house: House, wrong: Ref) -> None:
    workspace = await house.workspace(labels={"env": "dev"})
    with pytest.raises(Invalid):
        await house.workspaces.tagging.add_bindings(ALICE, workspace.id, [binding("good", "1"), wrong])
    assert await labels(house, workspace) == {"env": "dev"}


async def test_a_workspace_has_no_more_than_fifty_labels(house: House) -> None:
    workspace = await house.workspace(labels={f"k{number}": None for number in range(50)})
    with pytest.raises(Invalid, match="At most 50 labels"):
        await house.workspaces.tagging.add_tags(ALICE, workspace.id, [tag("more")])


async def test_labels_are_changed_by_an_admin_of_the_workspace_and_the_record_has_old_and_new(house: House) -> None:
    workspace = await house.workspace()
    with pytest.raises(Forbidden):
        await house.workspaces.tagging.add_tags(AUDITOR, workspace.id, [tag("a")])
    with pytest.raises(NotFound):
        await house.workspaces.tagging.list_bindings(BOB, workspace.id)
    await house.workspaces.tagging.add_tags(ALICE, workspace.id, [tag("a")])
    assert (await house.audited())[-1] == ("workspace.label", "alice")
