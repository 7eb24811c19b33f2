from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import literal, select

from terrapod_core.authz import Authorizer, PlatformRole, Scope
from terrapod_core.jsonapi import Query, Ref
from terrapod_core.projects.documents import CreateProject
from terrapod_core.workspaces import queries
from tests.support.rooms import ALICE, AUDITOR, BOB, PHASE, ROOT, House


@pytest.fixture
async def full(house: House) -> House:
    """Five workspaces of Alice's and one of Bob's."""
    await house.workspace(ALICE, "net_dev", labels={"env": "dev", "app": None})
    await house.workspace(ALICE, "net_prod", labels={"env": "prod", "app": None})
    await house.workspace(ALICE, "NetXprod", labels={"env": "prod"})
    await house.workspace(ALICE, "db-prod", labels={"app": "web"})
    await house.workspace(ALICE, "zoo")
    await house.workspace(BOB, "bobs")
    return house


async def test_everybody_lists_what_they_may_read(full: House) -> None:
    assert await full.names(BOB) == ["bobs"]
    assert len(await full.names(ALICE)) == 5
    assert len(await full.names(AUDITOR)) == len(await full.names(ROOT)) == 6
    assert await full.names(PHASE) == []


async def test_the_order_is_that_of_bytes_and_can_be_turned(full: House) -> None:
    in_order = ["NetXprod", "db-prod", "net_dev", "net_prod", "zoo"]
    assert await full.names(ALICE) == in_order
    assert await full.names(ALICE, ("sort", "-name")) == in_order[::-1]
    assert await full.names(ALICE, ("sort", "created-at")) == ["net_dev", "net_prod", "NetXprod", "db-prod", "zoo"]
    assert await full.names(ALICE, ("sort", "nonsense")) == in_order


async def test_a_search_by_name_takes_any_part_and_no_character_is_special(full: House) -> None:
    assert await full.names(ALICE, ("search[name]", "PROD")) == ["NetXprod", "db-prod", "net_prod"]
    assert await full.names(ALICE, ("search[name]", "t_p")) == ["net_prod"]
    assert await full.names(ALICE, ("search[name]", "%")) == []


async def test_a_wildcard_is_a_star_and_nothing_else(full: House) -> None:
    assert await full.names(ALICE, ("search[wildcard-name]", "*-prod")) == ["db-prod"]
    assert await full.names(ALICE, ("search[wildcard-name]", "net_*")) == ["net_dev", "net_prod"]
    assert await full.names(ALICE, ("search[wildcard-name]", "net")) == []
    assert await full.names(ALICE, ("search[wildcard-name]", "*o*")) == ["NetXprod", "db-prod", "net_prod", "zoo"]


async def test_all_tags_must_be_there_and_no_excluded_one(full: House) -> None:
    assert await full.names(ALICE, ("search[tags]", "app, env")) == ["net_dev", "net_prod"]
    assert await full.names(ALICE, ("search[exclude-tags]", "app,env")) == ["zoo"]
    assert await full.names(ALICE, ("search[tags]", "env"), ("search[exclude-tags]", "app")) == ["NetXprod"]


async def test_tagged_compares_key_and_value_as_terraform_asks(full: House) -> None:
    asked = (
        ("TagBindings", "{ env prod}"),
        ("filter[tagged][0][key]", "env"),
        ("filter[tagged][0][value]", "prod"),
        ("filter[tagged][1][key]", "app"),
        ("search[tags]", "env,app"),
    )
    assert await full.names(ALICE, *asked) == ["net_prod"]
    assert await full.names(ALICE, ("filter[tagged][0][key]", "env"), ("filter[tagged][0][value]", "")) == [
        "NetXprod",
        "net_dev",
        "net_prod",
    ]


async def test_a_project_filters(full: House) -> None:
    project = await full.projects.create(ALICE, CreateProject(name="nets"))
    await full.workspace(ALICE, "inside", project=Ref("projects", project.id))
    assert await full.names(ALICE, ("filter[project][id]", project.id)) == ["inside"]


async def test_the_current_runs_status_filters_through_what_the_runs_room_knows(full: House) -> None:
    workspace = await full.workspaces.read_by_name(ALICE, "zoo")
    async with full.db.uow() as uow:
        row = await uow.run(lambda session: queries.for_update(session, workspace.id))
        assert row is not None
        full.workspaces.set_current_run(uow, row, "run-planning")
        await uow.commit()
    query = Query.parse([("filter[current-run][status]", "planning,applying")])
    asked: list[object] = []

    def runs(statuses: object) -> object:
        asked.append(statuses)
        return select(literal("run-planning"))

    page = await full.db.read(lambda session: queries.listing(session, Authorizer(), ALICE, query, runs))  # type: ignore[arg-type]
    assert [one.name for one in page.items] == ["zoo"]
    assert asked == [("planning", "applying")]


async def test_pages_have_true_totals_even_past_the_end(full: House) -> None:
    for number, names in (("1", ["NetXprod", "db-prod"]), ("3", ["zoo"]), ("9", [])):
        page = await full.workspaces.list(ALICE, Query.parse([("page[size]", "2"), ("page[number]", number)]))
        assert ([one.name for one in page.items], page.total) == (names, 5)


async def test_a_list_is_two_statements_however_long_it_is(full: House) -> None:
    from sqlalchemy import event

    statements: list[str] = []

    def read(session: object) -> object:
        engine = session.get_bind()  # type: ignore[attr-defined]
        event.listen(engine, "before_cursor_execute", heard)
        try:
            return queries.listing(session, Authorizer(), ALICE, Query.parse([("page[size]", "3")]))  # type: ignore[arg-type]
        finally:
            event.remove(engine, "before_cursor_execute", heard)

    def heard(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        statements.append(statement)

    await full.db.read(read)
    assert len([one for one in statements if one.startswith("SELECT")]) == 2


async def test_includes_load_only_what_the_actor_may_read(full: House) -> None:
    mine = await full.workspaces.read_by_name(ALICE, "zoo")
    theirs = await full.workspaces.read_by_name(BOB, "bobs")
    found = await full.db.read(lambda session: queries.readable(session, Authorizer(), ALICE, [mine.id, theirs.id]))
    assert [one.name for one in found] == ["zoo"]


async def test_who_is_no_auditor_any_more_is_not_shown_what_was_remembered_for_one(full: House) -> None:
    bobs = await full.workspaces.read_by_name(BOB, "bobs")
    narrow = Scope(workspace_ids=frozenset({bobs.id}))
    auditor = replace(ALICE, platform=frozenset({PlatformRole.AUDIT}), scope=narrow)
    assert await full.names(auditor) == ["bobs"]
    assert await full.names(replace(ALICE, scope=narrow)) == []
