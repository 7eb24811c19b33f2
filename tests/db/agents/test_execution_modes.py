"""Where workspaces have their runs carried out: as they say, or as their project says."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import Engine, event

from terrapod_core.jsonapi import PageRequest
from terrapod_core.roles.documents import CreateRole, SetRoles
from terrapod_core.ui.workspace_doors import WorkspacePageDoor
from terrapod_core.ui.workspace_views import Paging
from tests.db.agents.conftest import Answer, Site
from tests.support.wire import document, ref

WORKSPACES = "organizations/default/workspaces"
PROJECTS = "organizations/default/projects"
OWN = {"execution-mode": True, "agent-pool": True}
INHERITED = {"execution-mode": False, "agent-pool": False}


async def make(site: Site, who: str = "root", relationships: Any = None, **sent: Any) -> Answer:
    return await site.ask(who, "POST", WORKSPACES, document("workspaces", relationships, **({"name": "net"} | sent)))


async def made(site: Site, who: str = "root", relationships: Any = None, **sent: Any) -> str:
    answer = await make(site, who, relationships, **sent)
    assert answer.status == 201, answer
    return answer.id


async def change(site: Site, workspace: str, who: str = "root", relationships: Any = None, **sent: Any) -> Answer:
    site.clock.advance(seconds=1)  # so that the audit has an order
    return await site.ask(who, "PATCH", f"workspaces/{workspace}", document("workspaces", relationships, **sent))


async def project(site: Site, who: str = "root", relationships: Any = None, **sent: Any) -> str:
    answer = await site.ask(who, "POST", PROJECTS, document("projects", relationships, **({"name": "network"} | sent)))
    assert answer.status == 201, answer
    return answer.id


async def change_project(site: Site, project_id: str, who: str = "root", relationships: Any = None, **sent: Any) -> Answer:
    return await site.ask(who, "PATCH", f"projects/{project_id}", document("projects", relationships, **sent))


def execution(answer: Answer) -> tuple[str, str | None, bool]:
    """Mode, pool and whether it is the workspace's own, the same wherever they stand."""
    assert answer.status in (200, 201), answer
    shown, pool = answer.attributes, answer.body["data"]["relationships"]["agent-pool"]["data"]
    assert shown["agent-pool-id"] == (pool and pool["id"])
    assert shown["setting-overwrites"] in (OWN, INHERITED)
    assert shown["operations"] is (shown["execution-mode"] != "local")
    return shown["execution-mode"], shown["agent-pool-id"], shown["setting-overwrites"] == OWN


async def now(site: Site, workspace: str) -> tuple[str, str | None, bool]:
    return execution(await site.ask("root", "GET", f"workspaces/{workspace}"))


def refused(answer: Answer, pointer: str, says: str = "") -> None:
    assert answer.status == 422, answer
    (error,) = answer.body["errors"]
    assert error["source"]["pointer"] == f"/data/{pointer}"
    assert says in error["detail"]


async def role(site: Site, permission: str, *, name: str = "net", who: str = "bob") -> None:
    """Let somebody have this level on pools of the label team=net."""
    root = await site.terrapod.tokens.authenticate(site.tokens["root"])
    assert root is not None
    sent = CreateRole(name=name, workspace_permission="read", pool_permission=permission, allow_labels={"team": "net"})
    await site.terrapod.roles.create(root, sent)
    await site.terrapod.assignments.set(root, SetRoles(provider_name="local", email=f"{who}@example.com", roles=[name]))


async def test_a_workspace_has_its_runs_carried_out_by_a_pool_named_by_attribute_or_relationship(site: Site) -> None:
    pool, other = await site.pool(), await site.pool(name="other")
    named = await made(site, execution_mode="agent", agent_pool_id=pool)
    related = await made(site, relationships={"agent-pool": ref("agent-pools", pool)}, name="two", execution_mode="agent")
    both = await make(
        site, relationships={"agent-pool": ref("agent-pools", pool)}, name="three", execution_mode="agent", agent_pool_id=pool
    )
    assert execution(both) == ("agent", pool, True)
    for workspace in (named, related):
        assert await now(site, workspace) == ("agent", pool, True)
    assert execution(await change(site, named, agent_pool_id=other)) == ("agent", other, True)
    assert execution(await change(site, named, relationships={"agent-pool": ref("agent-pools", pool)})) == ("agent", pool, True)
    assert execution(await change(site, named, execution_mode="agent", description="the pool stays")) == ("agent", pool, True)
    assert {each.detail["agent_pool_id"] for each in await site.audited("workspace.create")} == {pool}
    first, second, last = await site.audited("workspace.update")
    assert last.detail["changed"] == ["description"]
    assert (first.detail["changed"], first.detail["agent_pool_id"]) == (["agent_pool_id"], other)
    assert second.detail["agent_pool_id"] == pool


async def test_leaving_the_mode_agent_gives_the_pool_up(site: Site) -> None:
    pool = await site.pool()
    workspace = await made(site, execution_mode="agent", agent_pool_id=pool)
    assert execution(await change(site, workspace, execution_mode="local")) == ("local", None, True)
    (entry,) = await site.audited("workspace.update")
    assert entry.detail["changed"] == ["agent_pool_id", "execution_mode"]
    refused(await change(site, workspace, execution_mode="agent"), "attributes/agent-pool-id", "needs an agent pool")
    assert execution(await change(site, workspace, execution_mode="agent", agent_pool_id=pool)) == ("agent", pool, True)
    sent: dict[str, Any] = {"execution_mode": "remote", "agent_pool_id": "", "setting_overwrites": OWN}
    assert execution(await change(site, workspace, **sent)) == ("remote", None, True), "as terraform's provider sends it"


@pytest.mark.parametrize(
    ("sent", "relationships", "pointer"),
    [
        ({"execution_mode": "agent"}, {}, "attributes/agent-pool-id"),
        ({"execution_mode": "agent"}, {"agent-pool": None}, "attributes/agent-pool-id"),
        ({"execution_mode": "agent", "agent_pool_id": "apool-none"}, {}, "attributes/agent-pool-id"),
        ({"execution_mode": "agent"}, {"agent-pool": ref("agent-pools", "apool-none")}, "relationships/agent-pool"),
        ({"execution_mode": "agent", "agent_pool_id": "apool-1"}, {"agent-pool": ref("x", "apool-2")}, "attributes/agent-pool-id"),
        ({"execution_mode": "local", "agent_pool_id": "POOL"}, {}, "attributes/agent-pool-id"),
        ({"agent_pool_id": "POOL"}, {}, "attributes/agent-pool-id"),
        ({"execution_mode": "local", "setting_overwrites": INHERITED}, {}, "attributes/setting-overwrites"),
    ],
)
async def test_a_pool_that_does_not_go_with_the_mode_is_refused_where_it_stands(
    site: Site, sent: dict[str, Any], relationships: Any, pointer: str
) -> None:
    pool, workspace = await site.pool(), await made(site, name="there")
    sent = {name: pool if value == "POOL" else value for name, value in sent.items()}
    refused(await make(site, relationships=relationships, **sent), pointer)
    refused(await change(site, workspace, relationships=relationships, **sent), pointer)
    assert await now(site, workspace) == ("remote", None, False)


async def test_a_pool_is_for_those_who_may_write_on_it(site: Site) -> None:
    pool = await site.pool(labels={"team": "net"})
    workspace = await made(site, "bob")
    sent = {"execution_mode": "agent", "agent_pool_id": pool}
    absent = await change(site, workspace, "bob", **(sent | {"agent_pool_id": "apool-none"}))
    hidden = await change(site, workspace, "bob", **sent)
    refused(hidden, "attributes/agent-pool-id")
    assert hidden.body == absent.body, "as if it was not there"
    await role(site, "read")
    for answer in (await change(site, workspace, "bob", **sent), await make(site, "bob", name="two", **sent)):
        assert (answer.status, answer.code) == (403, "level_too_low")
        assert "write" in answer.body["errors"][0]["detail"]
    assert await now(site, workspace) == ("remote", None, False)


async def test_write_on_the_pool_and_admin_on_the_workspace_are_both_needed(site: Site) -> None:
    pool = await site.pool(labels={"team": "net"})
    mine, seen = await made(site, "bob"), await made(site, name="seen", labels={"team": "net"})
    await role(site, "write")
    sent = {"execution_mode": "agent", "agent_pool_id": pool}
    assert execution(await change(site, mine, "bob", **sent)) == ("agent", pool, True)
    assert (await change(site, seen, "bob", **sent)).status == 403
    assert execution(await change(site, mine, "bob", execution_mode="remote")) == ("remote", None, True), "leaving needs no right on it"


async def test_a_workspace_that_says_nothing_has_what_its_project_has_and_follows_it(site: Site) -> None:
    pool, other = await site.pool(), await site.pool(name="other")
    where = await project(site, default_execution_mode="agent", default_agent_pool_id=pool)
    inside = {"project": ref("projects", where)}
    follows, own = await made(site, relationships=inside), await made(site, relationships=inside, name="own", execution_mode="local")
    assert (await now(site, follows), await now(site, own)) == (("agent", pool, False), ("local", None, True))
    changed = await change_project(site, where, default_agent_pool_id=other)
    assert changed.attributes["default-agent-pool-id"] == other
    assert await now(site, follows) == ("agent", other, False)
    (entry,) = await site.audited("project.update")
    assert (entry.detail["changed"], entry.detail["workspaces"]) == (["default_agent_pool_id"], 1)
    assert entry.detail["default_agent_pool_id"] == other
    await change_project(site, where, default_execution_mode="local")
    assert (await now(site, follows), await now(site, own)) == (("local", None, False), ("local", None, True))
    assert execution(await change(site, own, setting_overwrites=INHERITED)) == ("local", None, False)
    assert execution(await change(site, follows, setting_overwrites={"execution-mode": True})) == ("local", None, True)
    await change_project(site, where, setting_overwrites={"default-execution-mode": False, "default-agent-pool": False})
    assert (await now(site, follows), await now(site, own)) == (("local", None, True), ("remote", None, False))


async def test_a_pool_that_is_null_says_nothing_where_there_is_none(site: Site) -> None:
    workspace = await made(site, agent_pool_id=None, relationships={"agent-pool": None})
    assert await now(site, workspace) == ("remote", None, False)
    assert execution(await change(site, workspace, agent_pool_id="")) == ("remote", None, False)


async def test_moving_takes_the_mode_of_the_new_project_along_unless_the_workspace_has_its_own(site: Site) -> None:
    pool = await site.pool()
    where = await project(site, default_execution_mode="agent", default_agent_pool_id=pool)
    one, two, own = await made(site, name="one"), await made(site, name="two"), await made(site, name="own", execution_mode="remote")
    assert execution(await change(site, one, relationships={"project": ref("projects", where)})) == ("agent", pool, False)
    moved = {"data": [{"type": "workspaces", "id": each} for each in (two, own)]}
    assert (await site.ask("root", "POST", f"projects/{where}/relationships/workspaces", moved)).status == 204
    assert (await now(site, two), await now(site, own)) == (("agent", pool, False), ("remote", None, True))
    told = [entry.detail.get("agent_pool_id", "kept") for entry in await site.audited("workspace.update")]
    assert sorted(told) == sorted([pool, pool, "kept"])
    assert execution(await change(site, one, relationships={"project": None})) == ("remote", None, False)


async def test_who_takes_over_what_the_project_says_needs_no_right_on_the_pool_and_who_keeps_it_does(site: Site) -> None:
    pool = await site.pool(labels={"team": "net"})
    assert (await change_project(site, await default(site), default_execution_mode="agent", default_agent_pool_id=pool)).status == 200
    workspace = await made(site, "bob")
    assert await now(site, workspace) == ("agent", pool, False)
    refused(await change(site, workspace, "bob", setting_overwrites=OWN), "attributes/agent-pool-id")
    refused(await change(site, workspace, "bob", execution_mode="agent", agent_pool_id=pool), "attributes/agent-pool-id")
    assert execution(await change(site, workspace, "bob", execution_mode="local")) == ("local", None, True)
    assert execution(await change(site, workspace, "bob", setting_overwrites=INHERITED)) == ("agent", pool, False)
    sent = {"execution_mode": "agent", "agent_pool_id": pool, "setting_overwrites": INHERITED}
    assert execution(await change(site, workspace, "bob", **sent)) == ("agent", pool, False), "sent back as it was read"


async def default(site: Site) -> str:
    (found,) = (await site.ask("root", "GET", f"{PROJECTS}?filter[names]=Default Project")).body["data"]
    ident: str = found["id"]
    return ident


async def test_a_project_says_where_the_runs_of_its_workspaces_are_carried_out(site: Site) -> None:
    pool = await site.pool()
    where = await project(site)
    shown = (await site.ask("root", "GET", f"projects/{where}")).body["data"]
    assert (shown["attributes"]["default-execution-mode"], shown["attributes"]["default-agent-pool-id"]) == ("remote", None)
    assert shown["relationships"]["default-agent-pool"]["data"] is None
    sent = {"default-agent-pool": ref("agent-pools", pool)}
    changed = (await change_project(site, where, relationships=sent, default_execution_mode="agent")).body["data"]
    assert (changed["attributes"]["default-execution-mode"], changed["attributes"]["default-agent-pool-id"]) == ("agent", pool)
    assert changed["relationships"]["default-agent-pool"]["data"] == {"type": "agent-pools", "id": pool}
    for wrong, pointer in (
        ({"default_agent_pool_id": "apool-none"}, "attributes/default-agent-pool-id"),
        ({"default_agent_pool_id": None}, "attributes/default-agent-pool-id"),
        ({"default_execution_mode": "cloud"}, "attributes/default-execution-mode"),
        ({"default_execution_mode": "local", "default_agent_pool_id": pool}, "attributes/default-agent-pool-id"),
        ({"setting_overwrites": {"default-execution-mode": True, "default-agent-pool": False}}, "attributes/setting-overwrites"),
    ):
        refused(await change_project(site, where, **wrong), pointer)
    assert (await change_project(site, where, name="renamed")).attributes["default-agent-pool-id"] == pool
    assert (await change_project(site, where, default_execution_mode="remote")).attributes["default-agent-pool-id"] is None


async def test_the_owner_of_a_project_needs_write_on_the_pool_too(site: Site) -> None:
    pool, where = await site.pool(labels={"team": "net"}), await project(site, "bob")
    sent = {"default_execution_mode": "agent", "default_agent_pool_id": pool}
    refused(await change_project(site, where, "bob", **sent), "attributes/default-agent-pool-id")
    await role(site, "read")
    assert (await change_project(site, where, "bob", **sent)).status == 403
    await role(site, "write", name="more")
    assert (await change_project(site, where, "bob", **sent)).status == 200


async def test_a_workspace_made_while_the_project_changes_is_not_left_behind(site: Site) -> None:
    where = await project(site)
    inside = {"project": ref("projects", where)}
    names = [f"net-{number}" for number in range(8)]
    answers = await asyncio.gather(
        *(made(site, relationships=inside, name=name) for name in names[:4]),
        change_project(site, where, default_execution_mode="local"),
        *(made(site, relationships=inside, name=name) for name in names[4:]),
    )
    for workspace in [*answers[:4], *answers[5:]]:
        assert await now(site, str(workspace)) == ("local", None, False)


async def test_a_deleted_workspace_lets_its_pool_go(site: Site) -> None:
    pool = await site.pool()
    workspace = await made(site, execution_mode="agent", agent_pool_id=pool)
    assert (await site.ask("root", "DELETE", f"workspaces/{workspace}")).status == 204
    assert (await site.ask("root", "DELETE", f"agent-pools/{pool}")).status == 204


async def test_a_pool_that_is_used_stays_and_says_by_whom(site: Site) -> None:
    pool = await site.pool()
    workspaces = [await made(site, name=f"net-{number}", execution_mode="agent", agent_pool_id=pool) for number in range(6)]
    where = await project(site, default_execution_mode="agent", default_agent_pool_id=pool)
    kept = await site.ask("root", "DELETE", f"agent-pools/{pool}")
    assert (kept.status, kept.code) == (409, "pool_used")
    says = "used by 6 workspaces (net-0, net-1, net-2, net-3, net-4, …) and 1 project (network);"
    assert says in kept.body["errors"][0]["detail"]
    for workspace in workspaces:
        await change(site, workspace, execution_mode="remote")
    kept = await site.ask("root", "DELETE", f"agent-pools/{pool}")
    assert "used by 1 project (network);" in kept.body["errors"][0]["detail"]
    await change_project(site, where, default_execution_mode="remote")
    assert (await site.ask("root", "DELETE", f"agent-pools/{pool}")).status == 204


async def test_a_pool_names_the_workspaces_that_use_it_to_those_who_may_read_them(site: Site) -> None:
    pool, other = await site.pool(labels={"access": "everyone"}), await site.pool(name="other", labels={"access": "everyone"})
    hidden = await made(site, name="a", execution_mode="agent", agent_pool_id=pool)
    shown = await made(site, name="b", labels={"access": "everyone"}, execution_mode="agent", agent_pool_id=pool)

    def named(data: Any) -> list[str]:
        return [each["id"] for each in data["relationships"]["workspaces"]["data"]]

    for who, seen in (("root", [hidden, shown]), ("bob", [shown])):
        assert named((await site.ask(who, "GET", f"agent-pools/{pool}")).body["data"]) == seen
        listed = (await site.ask(who, "GET", "organizations/default/agent-pools")).body["data"]
        assert {each["id"]: named(each) for each in listed} == {pool: seen, other: []}
    (included,) = (await site.ask("bob", "GET", f"agent-pools/{pool}?include=workspaces")).body["included"]
    assert (included["id"], conditions(included)) == (shown, [("no-agent", None)])
    renamed = await site.ask("root", "PATCH", f"agent-pools/{pool}", document("agent-pools", name="renamed"))
    assert named(renamed.body["data"]) == [hidden, shown]


async def test_a_pool_is_given_to_a_workspace_or_deleted_and_never_both(site: Site) -> None:
    pool = await site.pool()
    workspaces = [await made(site, name=f"net-{number}") for number in range(4)]
    answers = await asyncio.gather(
        *(change(site, each, execution_mode="agent", agent_pool_id=pool) for each in workspaces[:2]),
        site.ask("root", "DELETE", f"agent-pools/{pool}"),
        *(change(site, each, execution_mode="agent", agent_pool_id=pool) for each in workspaces[2:]),
    )
    deleted = answers.pop(2)
    assert (deleted.status, {each.status for each in answers}) in ((204, {422}), (409, {200}))


def conditions(data: Any) -> list[tuple[str, str | None]]:
    return [(each["code"], each["since"]) for each in data["attributes"]["conditions"]]


async def test_a_workspace_tells_that_nobody_takes_its_runs_wherever_it_is_shown(site: Site) -> None:
    pool, other = await site.pool(), await site.pool(name="other")
    workspace = await made(site, execution_mode="agent", agent_pool_id=pool)
    served = await made(site, name="served", execution_mode="agent", agent_pool_id=other)
    await made(site, name="remote")
    await site.listener(other)
    path = f"workspaces/{workspace}"
    for each in (
        await site.ask("root", "GET", path),
        await site.ask("root", "GET", f"{WORKSPACES}/net"),
        await change(site, workspace, description="x"),
        await site.ask("root", "POST", f"{path}/actions/lock", {"reason": "x"}),
        await site.ask("root", "POST", f"{path}/actions/unlock"),
    ):
        assert conditions(each.body["data"]) == [("no-agent", None)]
    (condition,) = each.attributes["conditions"]
    assert condition["severity"] == "warning"
    assert "has no listeners" in condition["detail"]
    await change(site, served, global_remote_state=True)
    others: dict[str, Any] = {WORKSPACES: {"served": []}, f"workspaces/{served}/relationships/remote-state-consumers": {}}
    for listed, more in others.items():
        found = (await site.ask("root", "GET", listed)).body["data"]
        assert {each["attributes"]["name"]: conditions(each) for each in found} == {"net": [("no-agent", None)], "remote": [], **more}


async def test_a_workspace_tells_since_when_its_pool_is_silent_and_no_more_when_it_is_heard(site: Site) -> None:
    pool = await site.pool()
    workspace = await made(site, execution_mode="agent", agent_pool_id=pool)
    joined = await site.listener(pool)
    heard = site.clock.now()

    async def told() -> tuple[list[tuple[str, str | None]], str]:
        shown = (await site.ask("root", "GET", f"workspaces/{workspace}")).body["data"]
        return conditions(shown), " ".join(each["detail"] for each in shown["attributes"]["conditions"])

    assert await told() == ([], "")
    site.clock.advance(seconds=61)
    since = heard.isoformat().replace("+00:00", "Z")
    found, says = await told()
    assert found == [("no-agent", since)]
    assert "no listener that is heard" in says
    await site.say(joined)
    assert await told() == ([], "")
    await site.ask("root", "POST", f"listeners/{joined.id}/actions/drain")
    found, says = await told()
    assert found == [("no-agent", None)]
    assert "takes more runs" in says


async def test_a_list_asks_once_for_all_pools_and_not_at_all_without_any(site: Site) -> None:
    for number in range(3):
        await made(site, name=f"remote-{number}")
    without = await statements(site)
    for number in range(3):
        pool = await site.pool(name=f"pool-{number}")
        await made(site, name=f"agent-{number}", execution_mode="agent", agent_pool_id=pool)
    asked = await statements(site)
    assert (len(asked), len([each for each in asked if "FROM listeners" in each])) == (len(without) + 1, 1)


async def statements(site: Site) -> list[str]:
    """What a list of workspaces asks the database, once the session is known."""
    await site.ask("root", "GET", WORKSPACES)
    said: list[str] = []

    def heard(_connection: object, _cursor: object, statement: str, *_more: object) -> None:
        if statement.startswith("SELECT"):
            said.append(statement)

    event.listen(Engine, "before_cursor_execute", heard)
    try:
        assert (await site.ask("root", "GET", WORKSPACES)).status == 200
    finally:
        event.remove(Engine, "before_cursor_execute", heard)
    return said


async def test_the_page_of_a_workspace_names_its_pool_to_those_who_may_read_it(site: Site) -> None:
    of = site.terrapod
    pool = await site.pool()
    await made(site, labels={"access": "everyone"}, execution_mode="agent", agent_pool_id=pool)
    door = WorkspacePageDoor(of.workspaces, of.runs, of.states, of.variables, of.conditions, of.live, of.authz, of.pools, of.assessments)
    first = PageRequest(1, 20)
    for who, named in (("root", "build"), ("bob", pool)):
        actor = await of.tokens.authenticate(site.tokens[who])
        assert actor is not None
        shown = await door.show(actor, "net", Paging(first, first, first))
        assert (shown.execution_mode, shown.pool, [each["code"] for each in shown.conditions]) == ("agent", named, ["no-agent"])


async def test_projects_and_their_workspaces_change_at_once_without_waiting_for_each_other_for_ever(site: Site) -> None:
    where = await project(site)
    inside = {"project": ref("projects", where)}
    workspaces = [await made(site, relationships=inside, name=f"net-{number}") for number in range(4)]
    moved = {"data": [{"type": "workspaces", "id": each} for each in workspaces]}
    for mode in ("local", "remote", "local"):
        answers = await asyncio.gather(
            *(change(site, each, setting_overwrites=INHERITED) for each in workspaces),
            change_project(site, where, default_execution_mode=mode),
            site.ask("root", "POST", f"projects/{where}/relationships/workspaces", moved),
            *(change(site, each, relationships={"project": ref("projects", where)}) for each in reversed(workspaces)),
        )
        assert {each.status for each in answers} <= {200, 204}
        assert {await now(site, each) for each in workspaces} == {(mode, None, False)}
