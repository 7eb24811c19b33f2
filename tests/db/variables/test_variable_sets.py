from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import func, select

from terrapod_core.audit import AuditEntry
from terrapod_core.authz import Actor
from terrapod_core.errors import Forbidden, Invalid, NotFound
from terrapod_core.jsonapi import Query, Ref
from terrapod_core.organizations import DEFAULT_PROJECT_ID
from terrapod_core.plugin.events import WorkspaceDeleted
from terrapod_core.projects import Project
from terrapod_core.projects.documents import CreateProject
from terrapod_core.variables import RunValue, effective
from terrapod_core.variables.assignments import PROJECTS, WORKSPACES
from terrapod_core.variables.documents import CreateVariable, UpdateVariable
from terrapod_core.variables.models import AssignedProject, AssignedWorkspace, Variable, VariableSet
from terrapod_core.variables.set_documents import CreateVariableSet, UpdateVariableSet
from terrapod_core.variables.set_queries import ShownSet
from terrapod_core.workspaces import Workspace
from terrapod_core.workspaces.documents import UpdateWorkspace
from tests.support.rooms import ALICE, AUDITOR, BOB, ROOT, House, user

ALL = Query()


def of(*things: Workspace | Project) -> list[Ref]:
    return [Ref("workspaces" if isinstance(one, Workspace) else "projects", one.id) for one in things]


async def make(house: House, name: str, *values: tuple[str, str], **sent: object) -> ShownSet:
    """A set of these terraform variables."""
    inline = [Ref("vars", None, {"key": key, "value": value, "category": "terraform"}) for key, value in values]
    return await house.variable_sets.create(ROOT, CreateVariableSet(name=name, vars=inline, **sent))  # type: ignore[arg-type]


async def make_project(house: House, actor: Actor, name: str) -> Project:
    return await house.projects.create(actor, CreateProject(name=name))


async def in_force(house: House, workspace: Workspace, run: Sequence[RunValue] = ()) -> dict[str, tuple[str, str]]:
    """Value and origin's name of every variable that a run gets."""
    found = await house.db.read(lambda session: house.variables.effective(session, workspace, run))
    return {one.key: (one.value, one.origin.name) for one in found}


async def admit(house: House, workspace: Workspace) -> Workspace:
    return await house.workspaces.update(ROOT, workspace.id, UpdateWorkspace(admitted=True))


async def names(house: House, actor: Actor) -> list[str]:
    return [one.name for one in (await house.variable_sets.list(actor, ALL)).items]


async def count(house: House, table: type) -> int:
    return await house.db.read(lambda session: session.execute(select(func.count()).select_from(table)).scalar_one())


async def test_every_way_a_set_reaches_a_workspace_stands_where_the_rule_says(house: House) -> None:
    project = await make_project(house, ALICE, "networks")
    workspace = await admit(house, await house.workspace(ALICE, project=Ref("projects", project.id)))
    steps: list[tuple[str, dict[str, Any] | None, Sequence[RunValue] | None]] = [
        ("z global", {"is_global": True}, ()),
        ("y project", {"projects": of(project)}, ()),
        ("b own", {"workspaces": of(workspace)}, ()),
        ("c own", {"workspaces": of(workspace)}, ()),
        ("net", None, ()),
        ("", None, (RunValue("x", '"run"'),)),
        ("b hard own", {"workspaces": of(workspace), "priority": True}, None),
        ("a hard project", {"projects": of(project), "priority": True}, None),
    ]
    for name, sent, run in steps:
        if sent is not None:
            await make(house, name, ("x", name), **sent)
        elif name:
            await house.variables.create(ALICE, workspace.id, CreateVariable(key="x", value=name, category="terraform"))
        given = run if run is not None else (RunValue("x", '"run"'),)
        assert await in_force(house, workspace, given) == {"x": (name or '"run"', name)}
    beaten = await make(house, "0 hard global", is_global=True, priority=True)
    await house.variable_sets.variables.create(ROOT, beaten.id, CreateVariable(key="y", value="1", category="terraform"))
    await house.variables.create(ALICE, workspace.id, CreateVariable(key="y", value="2", category="terraform"))
    assert (await in_force(house, workspace, (RunValue("y", "3"),)))["y"] == ("1", "0 hard global")


async def test_what_is_shared_with_all_reaches_admitted_workspaces_only_and_the_others_are_told(house: House) -> None:
    workspace = await house.workspace(ALICE)
    everybody = await make(house, "everybody", ("a", "1"), is_global=True)
    hard = await make(house, "hard", ("b", "2"), is_global=True, priority=True)
    default = await make(house, "of the default project", ("c", "3"), projects=[Ref("projects", DEFAULT_PROJECT_ID)])
    await make(house, "open", ("d", "4"), is_global=True, unadmitted_workspaces=True)
    await make(house, "given", ("e", "5"), workspaces=of(workspace))
    assert await in_force(house, workspace) == {"d": ("4", "open"), "e": ("5", "given")}
    shown, withheld = await house.variables.list_effective(ALICE, workspace.id)
    assert [one.key for one in shown] == ["d", "e"]
    assert [one.id for one in withheld] == [everybody.id, hard.id, default.id]
    assert await names(house, ALICE) == ["given", "open"]
    reaching = await house.variable_sets.list_for_workspace(ALICE, workspace.id, ALL)
    assert [one.name for one in reaching.items] == ["given", "open"]
    await admit(house, workspace)
    workspace = await house.workspaces.read(ALICE, workspace.id)
    assert set(await in_force(house, workspace)) == {"a", "b", "c", "d", "e"}
    assert (await house.variables.list_effective(ALICE, workspace.id))[1] == []
    assert await names(house, ALICE) == ["everybody", "given", "hard", "of the default project", "open"]


async def test_a_project_of_ones_own_gets_its_sets_without_admission(house: House) -> None:
    project = await make_project(house, ALICE, "networks")
    await make(house, "of the project", ("x", "1"), projects=of(project))
    assert await names(house, ALICE) == ["of the project"]
    assert await names(house, BOB) == []
    workspace = await house.workspace(ALICE, project=Ref("projects", project.id))
    assert await in_force(house, workspace) == {"x": ("1", "of the project")}
    found = await house.variable_sets.list_for_project(ALICE, project.id, ALL)
    assert [(one.name, list(one.project_ids)) for one in found.items] == [("of the project", [project.id])]
    with pytest.raises(NotFound):
        await house.variable_sets.list_for_project(BOB, project.id, ALL)


async def test_who_sees_a_workspace_reads_its_sets_and_only_platform_admins_change_them(house: House) -> None:
    mine, other = await house.workspace(ALICE), await house.workspace(BOB, "other")
    varset = await make(house, "shared", ("x", "1"), workspaces=of(mine, other))
    held = await house.variable_sets.variables.list(ALICE, varset.id, ALL)
    assert [(one.key, one.value) for one in held.items] == [("x", "1")]
    seen = await house.variable_sets.read(ALICE, varset.id)
    assert (list(seen.workspace_ids), list((await house.variable_sets.read(AUDITOR, varset.id)).workspace_ids)) == (
        [mine.id],
        [mine.id, other.id],
    )
    sets, one = house.variable_sets, held.items[0].id
    for actor in (ALICE, AUDITOR):
        for refused in (
            sets.create(actor, CreateVariableSet(name="mine")),
            sets.update(actor, varset.id, UpdateVariableSet(name="mine")),
            sets.delete(actor, varset.id),
            sets.assignments.add(actor, varset.id, WORKSPACES, of(mine)),
            sets.variables.create(actor, varset.id, CreateVariable(key="y", category="env")),
            sets.variables.update(actor, varset.id, one, UpdateVariable(value="2")),
            sets.variables.delete(actor, varset.id, one),
        ):
            with pytest.raises(Forbidden):
                await refused
    await sets.assignments.remove(ROOT, varset.id, WORKSPACES, of(mine))
    for hidden in (
        sets.read(ALICE, varset.id),
        sets.variables.list(ALICE, varset.id, ALL),
        sets.variables.read(ALICE, varset.id, one),
        sets.update(ALICE, varset.id, UpdateVariableSet(name="mine")),
        sets.variables.delete(ALICE, varset.id, one),
        sets.assignments.add(ALICE, varset.id, WORKSPACES, of(mine)),
    ):
        with pytest.raises(NotFound):
            await hidden


async def test_assignments_are_added_replaced_and_removed_and_each_change_is_recorded_once(house: House) -> None:
    one, two, three = [await house.workspace(ALICE, name) for name in ("one", "two", "three")]
    project = await make_project(house, ALICE, "networks")
    varset, to = await make(house, "shared"), house.variable_sets.assignments

    async def given() -> tuple[list[str], list[str]]:
        shown = await house.variable_sets.read(ROOT, varset.id)
        return list(shown.workspace_ids), list(shown.project_ids)

    await to.add(ROOT, varset.id, WORKSPACES, of(one, two))
    await to.add(ROOT, varset.id, WORKSPACES, of(two))
    await to.add(ROOT, varset.id, PROJECTS, of(project))
    assert await given() == ([one.id, two.id], [project.id])
    await to.replace(ROOT, varset.id, WORKSPACES, of(two, three))
    assert await given() == ([three.id, two.id], [project.id])
    await to.remove(ROOT, varset.id, WORKSPACES, [*of(one, three), Ref("workspaces", "ws-1111111111111111")])
    await to.remove(ROOT, varset.id, PROJECTS, of(project))
    assert await given() == ([two.id], [])
    changed = await house.variable_sets.update(
        ROOT, varset.id, UpdateVariableSet(is_global=False, workspaces=of(one), projects=of(project))
    )
    assert (list(changed.workspace_ids), list(changed.project_ids)) == ([one.id], [project.id])
    cleared = await house.variable_sets.update(ROOT, varset.id, UpdateVariableSet(workspaces=[], projects=[]))
    assert (cleared.workspace_ids, cleared.project_ids) == ((), ())
    assert [action for action, _ in await house.audited()].count("variable-set.assign") == 9


async def test_what_is_not_there_is_assigned_to_nobody(house: House) -> None:
    there, gone = await house.workspace(ALICE), await house.workspace(ALICE, "gone")
    await house.workspaces.delete(ALICE, gone.id)
    varset = await make(house, "shared")
    for kind, refs in (
        (WORKSPACES, of(there, gone)),
        (WORKSPACES, [Ref("workspaces", "ws-1111111111111111")]),
        (WORKSPACES, [Ref("projects", DEFAULT_PROJECT_ID)]),
        (PROJECTS, of(there)),
    ):
        with pytest.raises(Invalid, match="there is no .*, or you may not see it") as refused:
            await house.variable_sets.assignments.add(ROOT, varset.id, kind, refs)
        assert refused.value.problems[0].pointer == "/data"
    assert await count(house, AssignedWorkspace) == 0


async def test_a_global_set_is_assigned_to_nothing(house: House) -> None:
    workspace = await house.workspace(ALICE)
    varset = await make(house, "shared", workspaces=of(workspace), projects=[Ref("projects", DEFAULT_PROJECT_ID)])
    shown = await house.variable_sets.update(ROOT, varset.id, UpdateVariableSet(is_global=True))
    assert (shown.workspace_ids, shown.project_ids) == ((), ())
    with pytest.raises(Invalid, match="the set is global"):
        await house.variable_sets.assignments.add(ROOT, varset.id, WORKSPACES, of(workspace))
    with pytest.raises(Invalid, match="the set is global"):
        await make(house, "another", is_global=True, workspaces=of(workspace))
    await house.variable_sets.assignments.replace(ROOT, varset.id, WORKSPACES, [])


async def test_no_two_global_sets_hold_one_key(house: House) -> None:
    first = await make(house, "first", ("x", "1"), is_global=True)
    with pytest.raises(Invalid, match="taken by the global variable set first"):
        await make(house, "second", ("x", "2"), is_global=True)
    second = await make(house, "second", ("x", "2"))
    with pytest.raises(Invalid, match="taken by the global variable set first") as refused:
        await house.variable_sets.update(ROOT, second.id, UpdateVariableSet(is_global=True))
    assert refused.value.problems[0].pointer == "/data/attributes/global"
    third = await make(house, "third", ("y", "3"), is_global=True)
    with pytest.raises(Invalid, match="taken by the global"):
        await house.variable_sets.variables.create(ROOT, third.id, CreateVariable(key="x", category="terraform"))
    with pytest.raises(Invalid, match="taken by the global"):
        await house.variable_sets.variables.update(ROOT, third.id, third.var_ids[0], UpdateVariable(key="x"))
    await house.variable_sets.variables.create(ROOT, third.id, CreateVariable(key="x", category="env"))
    assert (await house.variable_sets.read(ROOT, first.id)).var_ids == first.var_ids


async def test_a_set_keeps_the_rules_of_variables(house: House) -> None:
    varset, held = await make(house, "shared"), house.variable_sets.variables
    secret = await held.create(ROOT, varset.id, CreateVariable(key="t", value="hunter2-planted", category="env", sensitive=True))
    assert (secret.value, secret.varset_id, secret.workspace_id) == (None, varset.id, None)
    with pytest.raises(Invalid, match="Key has already been taken"):
        await held.create(ROOT, varset.id, CreateVariable(key="t", category="env"))
    with pytest.raises(Invalid, match="stays sensitive"):
        await held.update(ROOT, varset.id, secret.id, UpdateVariable(sensitive=False))
    with pytest.raises(Invalid, match="cannot be set"):
        await held.create(ROOT, varset.id, CreateVariable(key="LD_PRELOAD", category="env"))
    kept = await held.update(ROOT, varset.id, secret.id, UpdateVariable(sensitive=True, description="a token"))
    assert (kept.value, kept.description) == (None, "a token")
    other = await make(house, "other")
    for hidden in (held.read(ROOT, other.id, secret.id), house.variables.read(ROOT, secret.id), held.delete(ROOT, other.id, secret.id)):
        with pytest.raises(NotFound):
            await hidden
    workspace = await house.workspace(ALICE)
    with pytest.raises(NotFound):
        await house.variables.read(ALICE, secret.id, workspace.id)
    stored = await house.db.read(
        lambda session: (
            b"".join(session.execute(select(Variable.value_sealed)).scalars()),
            repr([row.detail for row in session.execute(select(AuditEntry)).scalars()]),
        )
    )
    assert b"planted" not in stored[0]
    assert "planted" not in stored[1]


async def test_a_sensitive_value_reaches_the_run_as_one_and_a_run_value_in_its_place_stays_one(house: House) -> None:
    workspace = await house.workspace(ALICE)
    secret = Ref("vars", None, {"key": "t", "value": "hunter2", "category": "terraform", "sensitive": True})
    await house.variable_sets.create(ROOT, CreateVariableSet(name="shared", vars=[secret], workspaces=of(workspace)))
    for run, value in (((), "hunter2"), ((RunValue("t", '"x"'),), '"x"')):
        (found,) = await house.db.read(lambda session, run=run: house.variables.effective(session, workspace, run))  # type: ignore[misc]
        assert (found.value, found.sensitive) == (value, True)


async def test_a_name_is_new_and_a_document_wrong_in_many_ways_says_all_of_them(house: House) -> None:
    varset = await make(house, "shared")
    other = await make(house, "other")
    for taken in (make(house, "shared"), house.variable_sets.update(ROOT, other.id, UpdateVariableSet(name="shared"))):
        with pytest.raises(Invalid, match="Name has already been taken"):
            await taken
    with pytest.raises(Invalid) as refused:
        await make(house, " x", description="x" * 513, parent=Ref("projects", DEFAULT_PROJECT_ID), stacks=[Ref("stacks", "st-1")])
    assert [problem.pointer for problem in refused.value.problems] == [
        "/data/attributes/name", "/data/attributes/description", "/data/relationships/parent", "/data/relationships/stacks",
    ]  # fmt: skip
    with pytest.raises(Invalid) as wrong:
        await make(house, "third", ("x", "1"), ("a b", "1"))
    assert wrong.value.problems[0].pointer == "/data/relationships/vars/data/1/attributes/key"
    with pytest.raises(Invalid) as twice:
        await make(house, "third", ("x", "1"), ("x", "2"))
    assert twice.value.problems[0].pointer == "/data/relationships/vars/data/1/attributes/key"
    with pytest.raises(Invalid, match="relationships/vars"):
        await house.variable_sets.update(ROOT, varset.id, UpdateVariableSet(vars=[Ref("vars", "var-1")]))
    assert await names(house, ROOT) == ["other", "shared"]


async def test_sets_are_listed_by_name_in_pages_and_searched(house: House) -> None:
    for name in ("b two", "a one", "C three"):
        await make(house, name, is_global=name.startswith("a"))
    assert await names(house, ROOT) == ["C three", "a one", "b two"]

    async def found(*pairs: tuple[str, str]) -> tuple[list[str], int | None]:
        page = await house.variable_sets.list(ROOT, Query.parse(pairs))
        return [one.name for one in page.items], page.total

    assert await found(("page[size]", "2"), ("page[number]", "2")) == (["b two"], 3)
    assert await found(("q", "TWO")) == (["b two"], 1)
    assert await found(("filter[global]", "true")) == (["a one"], 1)
    assert await found(("filter[global]", "false")) == (["C three", "b two"], 2)


async def test_what_is_deleted_leaves_nothing_behind(house: House) -> None:
    workspace = await house.workspace(ALICE)
    project = await make_project(house, ALICE, "networks")
    varset = await make(house, "shared", ("x", "1"), workspaces=of(workspace), projects=of(project))
    await house.projects.delete(ALICE, project.id)
    assert await count(house, AssignedProject) == 0
    await house.workspaces.delete(ALICE, workspace.id)
    assert (await house.variable_sets.read(ROOT, varset.id)).workspace_ids == ()
    for _ in range(2):
        await house.variables.forget(WorkspaceDeleted(workspace_id=workspace.id))
    assert await count(house, AssignedWorkspace) == 0
    other = await house.workspace(ALICE, "other")
    await house.variable_sets.assignments.add(ROOT, varset.id, WORKSPACES, of(other))
    await house.variable_sets.delete(ROOT, varset.id)
    assert [await count(house, table) for table in (VariableSet, Variable, AssignedWorkspace)] == [0, 0, 0]
    assert await in_force(house, other) == {}
    with pytest.raises(NotFound):
        await house.variable_sets.read(ROOT, varset.id)


async def test_who_reads_one_workspace_reads_the_sets_that_it_gets_and_no_others(house: House) -> None:
    """What is asked of all sets at once agrees with what is asked for one workspace, whatever sets are given to."""
    project = await make_project(house, ROOT, "networks")
    owners = [user(f"owner{number}") for number in range(4)]
    workspaces = []
    for number, owner in enumerate(owners):
        workspace = await house.workspace(owner, f"ws-{number}")
        where = Ref("projects", project.id if number >= 2 else DEFAULT_PROJECT_ID)
        moved = UpdateWorkspace(admitted=number % 2 == 1, project=where)
        workspaces.append(await house.workspaces.update(ROOT, workspace.id, moved))
    given: list[dict[str, Any]] = [{}, {"is_global": True}, {"projects": of(project)}, {"projects": [Ref("projects", DEFAULT_PROJECT_ID)]}]
    given += [{"workspaces": of(one)} for one in workspaces]
    for number, sent in enumerate(given):
        for unadmitted in (False, True):
            await make(house, f"set-{number}-{unadmitted}", unadmitted_workspaces=unadmitted, **sent)
    for owner, workspace in zip(owners, workspaces, strict=True):
        bearing = await house.db.read(lambda session, at=workspace: effective.sets_of(session, at))  # type: ignore[misc]
        assert await names(house, owner) == [each.varset.name for each in bearing if each.origins]
    assert [len(await names(house, owner)) for owner in owners] == [4, 6, 5, 6]
