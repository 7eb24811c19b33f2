"""What a plugin adds to the server beside checks: routes, jobs, tables, what it says of workspaces, and the API in process."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import column, literal_column, select, table, text, update
from sqlalchemy.orm import Session

from terrapod_core.audit.models import AuditEntry
from terrapod_core.extensions import background
from terrapod_core.jobs import Jobs
from terrapod_core.plugin import (
    APIRefused,
    Caller,
    Every,
    Forbidden,
    ForeignTable,
    On,
    PluginCondition,
    Rendered,
    RunCreated,
    ServerContext,
    TerrapodError,
    WorkspaceAddition,
)
from terrapod_core.runs.models import Run
from terrapod_core.workspaces import Workspace
from tests.db.extensions.conftest import Extended, Note
from tests.db.runs.conftest import make_person, make_user
from tests.support.plans import catching


def context_of(extended: Extended) -> ServerContext:
    assert extended.sample.context is not None
    return extended.sample.context


# -- routes


async def test_routes_have_their_prefix_and_know_who_asks(extended: Extended) -> None:
    answer = await extended.get("/v1/sample/me")
    assert (answer.status_code, answer.json()) == (200, {"name": extended.admin.name, "admin": True})


async def test_every_refusal_below_the_prefix_looks_as_the_plugin_says(extended: Extended) -> None:
    answers = {
        401: await extended.http.get("/v1/sample/me"),
        404: await extended.get("/v1/sample/nothing"),
        405: await extended.http.post("/v1/sample/me", headers={"Authorization": f"Bearer {extended.token}"}),
    }
    for status, answer in answers.items():
        assert (answer.status_code, answer.json()["code"]) == (status, status), answer.text
        assert set(answer.json()) == {"error", "message", "code"}
    assert answers[401].headers["WWW-Authenticate"] == "Bearer"
    assert answers[405].headers["Allow"] == "GET, HEAD"
    assert "errors" in (await extended.get("/v1/samples")).json()


async def test_a_refusal_that_the_plugin_cannot_render_looks_like_the_cores(extended: Extended) -> None:
    def fails(error: TerrapodError) -> Rendered:
        raise RuntimeError(error.title)

    extended.sample.renders = fails
    answer = await extended.get("/v1/sample/nothing")
    assert (answer.status_code, answer.json()["errors"][0]["status"]) == (404, "404")


async def test_a_limit_counts_each_token_and_tells_when_to_come_back(extended: Extended) -> None:
    other = await extended.token_of(extended.admin)
    answers = [(await extended.get("/v1/sample/me")).status_code for _ in range(3)]
    refused = await extended.get("/v1/sample/me")
    assert (answers, refused.status_code, refused.json()["code"]) == ([200, 200, 200], 429, 429)
    assert 0 < int(refused.headers["Retry-After"]) <= 60
    assert (await extended.get("/v1/sample/me", other)).status_code == 200


async def test_a_body_is_read_to_its_limit_and_no_further(extended: Extended) -> None:
    read = 0

    async def endless() -> Any:
        nonlocal read
        while read < 100 << 20:
            read += 1 << 16
            yield b"x" * (1 << 16)

    headers = {"Authorization": f"Bearer {extended.token}"}
    assert (await extended.http.put("/v1/sample/body", content=b"x" * 1000, headers=headers)).text == "1000"
    for sent in (b"x" * 1001, endless()):
        refused = await extended.http.put("/v1/sample/body", content=sent, headers=headers)
        assert (refused.status_code, refused.json()["code"]) == (413, 413)


# -- workspaces


async def test_workspaces_show_what_a_plugin_adds_under_its_own_prefix(extended: Extended) -> None:
    await extended.workspace("net")
    extended.sample.attributes = {"sample-color": "red", "name": "stolen"}
    extended.sample.conditions = [
        PluginCondition("sample-late", "it is late", "Hurry."),
        PluginCondition("sample-late", "it is very late", "Run."),
        PluginCondition("runner-not-isolated", "a lie", "Believe it."),
    ]
    for path in ("/api/v2/organizations/default/workspaces/net", "/api/v2/organizations/default/workspaces"):
        found = (await extended.get(path)).json()["data"]
        attributes = (found if isinstance(found, dict) else found[0])["attributes"]
        assert (attributes["name"], attributes["sample-color"]) == ("net", "red")
        added = [each["detail"] for each in attributes["conditions"] if each["code"] == "sample-late" or each["detail"] == "a lie"]
        assert added == ["it is late", "it is very late"]


async def test_a_plugin_in_trouble_adds_nothing_and_hides_nothing(extended: Extended) -> None:
    await extended.workspace("net")
    extended.sample.attributes, extended.sample.fails = {"sample-color": "red"}, True
    attributes = (await extended.get("/api/v2/organizations/default/workspaces/net")).json()["data"]["attributes"]
    assert (attributes["name"], "sample-color" in attributes) == ("net", False)


@pytest.mark.parametrize(
    "added",
    [
        WorkspaceAddition({"sample-color": object()}),
        WorkspaceAddition(conditions=[PluginCondition("sample-late", "it is late", "Hurry.", severity="fatal")]),
        WorkspaceAddition(conditions=[PluginCondition("sample-late", "it is late", "Hurry.", since="yesterday")]),  # type: ignore[arg-type]
        {"sample-color": "red"},
    ],
)
async def test_what_cannot_be_shown_is_not_added(extended: Extended, added: object) -> None:
    await extended.workspace("net")
    extended.sample.added = added
    for path in ("/api/v2/organizations/default/workspaces/net", "/api/v2/organizations/default/workspaces"):
        answer = await extended.get(path)
        assert answer.status_code == 200, answer.text
        assert "sample-" not in answer.text


async def test_a_workspace_that_is_looked_at_twice_has_everything_once(extended: Extended) -> None:
    workspace = await extended.workspace("net")
    extended.sample.conditions = [PluginCondition("sample-late", "it is late", "Hurry.")]
    for _ in range(2):
        await extended.terrapod.conditions.look([workspace])
    assert [each["code"] for each in workspace.added_conditions] == ["sample-late"]


async def test_a_name_that_no_workspace_can_have_is_not_found(extended: Extended) -> None:
    net = await extended.workspace("net")
    assert list(await context_of(extended).workspaces.by_name(["net", "n\0et"])) == [net.name]


async def test_workspaces_are_found_with_the_callers_level(extended: Extended) -> None:
    net, _other = await extended.workspace("net"), await extended.workspace("other")
    person = await make_person(extended.engine, net, "plan")
    caller = await _remembered(extended, person.id)
    lookup = context_of(extended).workspaces
    found = await lookup.by_name(["net", "other", "absent"], as_=caller)
    assert {name: each.level for name, each in found.items()} == {"net": "plan"}
    assert found["net"].may("read")
    assert not found["net"].may("write")
    assert set(await lookup.by_name(["net", "other"])) == {"net", "other"}


async def test_all_workspaces_are_listed_with_one_query_and_the_callers_level(extended: Extended) -> None:
    net, _other = await extended.workspace("net"), await extended.workspace("another")
    person = await make_person(extended.engine, net, "write")
    lookup = context_of(extended).workspaces
    caller = await _remembered(extended, person.id)
    with catching(extended.terrapod.db) as caught:
        found = await lookup.all(as_=caller)
    assert [(each.name, each.level) for each in found] == [("net", "write")]
    assert len(caught.sent) == 1
    assert [each.name for each in await lookup.all()] == ["another", "net"]


# -- acting for somebody


async def _remembered(extended: Extended, user_id: str) -> Caller:
    context = context_of(extended)
    actor = await extended.terrapod.db.read(lambda session: extended.terrapod.actor_of(session, user_id))
    async with context.tables.change() as change:
        await change.remember(context.callers._known(actor))  # type: ignore[attr-defined]
        await change.commit()
    caller = await context.callers.remembered(user_id)
    assert caller is not None
    return caller


async def test_a_plugin_acts_for_nobody_it_was_not_told_to_remember(extended: Extended) -> None:
    assert await context_of(extended).callers.remembered(extended.admin.id) is None


async def test_a_run_made_by_a_plugin_is_the_users_and_names_the_plugin(extended: Extended) -> None:
    workspace = await extended.workspace("net")
    await extended.configuration(workspace)
    caller = await _remembered(extended, extended.admin.id)
    document = {
        "data": {
            "type": "runs",
            "attributes": {"message": "sync", "plan-only": True},
            "relationships": {"workspace": {"data": {"type": "workspaces", "id": workspace.id}}},
        }
    }
    made = (await context_of(extended).api.post("/api/v2/runs", document, as_=caller))["data"]
    assert made["attributes"]["trigger-reason"] == "sample"

    def look(session: Session) -> tuple[Run, AuditEntry]:
        entry = session.execute(select(AuditEntry).where(AuditEntry.action == "run.create")).scalar_one()
        return session.get_one(Run, made["id"]), entry

    run, entry = await extended.terrapod.db.read(look)
    assert run.created_by_id == extended.admin.id
    assert (entry.actor_id, entry.detail["via"], entry.address) == (extended.admin.id, "sample", None)


async def test_within_a_request_the_api_is_asked_by_whom_the_plugin_names(extended: Extended) -> None:
    person = await make_user(extended.terrapod, "other@example.com")
    await _remembered(extended, person.id)
    answer = await extended.get(f"/v1/sample/as/{person.id}")
    assert answer.json() == [extended.admin.id, person.id, extended.admin.id]


async def test_what_a_request_has_done_within_is_audited_under_its_id(extended: Extended) -> None:
    workspace = await extended.workspace("net")
    headers = {"Authorization": f"Bearer {extended.token}", "X-Request-Id": "the-outer-one"}
    assert (await extended.http.post(f"/v1/sample/lock/{workspace.id}", headers=headers)).status_code == 204
    entry = await extended.terrapod.db.read(
        lambda session: (
            session.execute(select(AuditEntry).where(AuditEntry.resource_id == workspace.id, AuditEntry.action.like("%.lock")))
            .scalars()
            .one()
        )
    )
    assert (entry.request_id, entry.detail["via"], entry.address) == ("the-outer-one", "sample", None)


async def test_the_rights_are_those_of_the_moment(extended: Extended) -> None:
    workspace = await extended.workspace("net")
    person = await make_person(extended.engine, workspace, "read")
    caller = await _remembered(extended, person.id)
    api = context_of(extended).api
    assert (await api.get(f"/api/v2/workspaces/{workspace.id}", as_=caller))["data"]["id"] == workspace.id
    with pytest.raises(APIRefused, match="needs the level plan") as refusal:
        await api.post(f"/api/v2/workspaces/{workspace.id}/actions/lock", {}, as_=caller)
    assert refusal.value.http_status == 403
    await extended.terrapod.accounts.disable(extended.admin, person.id)
    assert await context_of(extended).callers.remembered(person.id) is None


async def test_a_deleted_user_is_forgotten(extended: Extended) -> None:
    person = await make_user(extended.terrapod, "gone@example.com")
    await _remembered(extended, person.id)
    await extended.terrapod.accounts.delete(extended.admin, person.id)
    assert await context_of(extended).callers.remembered(person.id) is None


async def test_two_requests_of_a_user_who_is_not_known_yet_are_both_remembered(extended: Extended) -> None:
    context, both = context_of(extended), asyncio.Barrier(2)
    person = await make_user(extended.terrapod, "other@example.com")
    caller = context.callers._known(person)  # type: ignore[attr-defined]

    async def remember() -> None:
        async with context.tables.change() as change:
            if not extended.terrapod.db.is_sqlite:  # which has one writer, and so no two of them
                await change.run(lambda session: session.execute(select(Note.id)).all())
                await both.wait()
            await change.remember(caller)
            await change.commit()

    await asyncio.gather(remember(), remember())
    assert await context.callers.remembered(person.id) is not None


async def test_a_user_who_was_deleted_meanwhile_is_refused(extended: Extended) -> None:
    context = context_of(extended)
    person = await make_user(extended.terrapod, "gone@example.com")
    await extended.terrapod.accounts.delete(extended.admin, person.id)
    async with context.tables.change() as change:
        with pytest.raises(Forbidden, match="was deleted"):
            await change.remember(context.callers._known(person))  # type: ignore[attr-defined]


async def test_a_path_may_have_its_names_quoted(extended: Extended) -> None:
    net = await extended.workspace("net")
    caller = await _remembered(extended, extended.admin.id)
    found = await context_of(extended).api.get("/api/v2/organizations/default/workspaces/n%65t", as_=caller)
    assert found["data"]["id"] == net.id


async def test_only_the_api_is_reached(extended: Extended) -> None:
    caller = await _remembered(extended, extended.admin.id)
    with pytest.raises(ValueError, match="begin with /api/v2/"):
        await context_of(extended).api.get("/app/default/workspaces", as_=caller)


# -- jobs and tables


async def test_a_job_hears_of_an_event(extended: Extended) -> None:
    run = await extended.run(await extended.workspace())
    await extended.look()
    assert [each.run_id for each in extended.sample.events] == [run.id]


async def test_a_job_hears_only_of_workspaces_that_it_says_concern_it(extended: Extended) -> None:
    workspace, other = await extended.workspace("net"), await extended.workspace("other")
    async with context_of(extended).tables.change() as change:
        change.add(Note(id=workspace.id, text="not this one"))
        await change.commit()
    await extended.run(workspace)
    run = await extended.run(other)
    await extended.look()
    assert [each.run_id for each in extended.sample.events] == [run.id]


@pytest.mark.parametrize("answer", ["raises", "asks for a column that there is not", "gives nothing"])
async def test_a_plugin_that_cannot_say_what_concerns_it_gets_all_and_stops_nobody(extended: Extended, answer: str) -> None:
    def concerning(session: Session, workspace_ids: Collection[str]) -> Any:
        if answer == "raises":
            raise RuntimeError("the sample is out of order")
        if answer != "gives nothing":
            session.execute(select(Note.id, column("no_such_column")))

    extended.sample.concerning = concerning
    run = await extended.run(await extended.workspace())
    await extended.look()
    assert [each.run_id for each in extended.sample.events] == [run.id]


async def test_a_job_that_never_ends_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "SECONDS", 0.01)
    jobs, forever = Jobs(), asyncio.Event()

    async def hear(event: RunCreated) -> None:
        await forever.wait()

    async def tick() -> None:
        await forever.wait()

    background.register(jobs, [("sample", On(RunCreated, "hear", hear)), ("sample", Every("tick", timedelta(1), tick))], {})
    with pytest.raises(TimeoutError):
        await jobs.handlers["sample.hear"].run({"run_id": "run-1", "workspace_id": "ws-1"})
    with pytest.raises(TimeoutError):
        await jobs.periodic[0].run()


async def test_a_change_is_kept_with_its_audit_entry_or_not_at_all(extended: Extended) -> None:
    tables = context_of(extended).tables
    async with tables.change() as change:
        change.add(Note(id="one", text="kept"))
        change.audit(None, "sample.note", "notes", "one")
        await change.commit()
    async with tables.change() as change:
        change.add(Note(id="two", text="not kept"))
    assert await tables.read(lambda session: session.execute(select(Note.id)).scalars().all()) == ["one"]
    audited = await extended.terrapod.db.read(
        lambda session: session.execute(select(AuditEntry).where(AuditEntry.action == "sample.note")).scalar_one()
    )
    assert (audited.actor_id, audited.detail) == ("system", {"via": "sample"})


async def test_a_row_of_the_plugins_own_is_found_by_its_key(extended: Extended) -> None:
    tables = context_of(extended).tables
    async with tables.change() as change:
        change.add(Note(id="one", text="kept"))
        await change.commit()
    assert (await tables.read(lambda session: session.get_one(Note, "one"))).text == "kept"
    with catching(extended.terrapod.db) as caught:
        found = await tables.one(Note, "one")
    assert found is not None
    assert (found.text, len(caught.sent)) == ("kept", 1)
    assert await tables.one(Note, "two") is None
    with pytest.raises(ForeignTable, match="Workspace is no table of the plugin sample"):
        await tables.one(Workspace, "ws-1")
    with pytest.raises(ForeignTable, match="the plugin's tables alone"):
        await tables.read(lambda session: session.get(Workspace, "ws-1"))


async def test_the_tables_of_others_are_closed(extended: Extended) -> None:
    tables = context_of(extended).tables
    statements: list[Any] = [
        select(Workspace),
        select(Note.id, Workspace.id),
        update(Workspace).values(name="x"),
        text("SELECT * FROM users"),
        select(Note.id, table("workspaces", column("name")).c.name),
        select(Note.id).where(text("EXISTS (SELECT 1 FROM users)")),
        select(Note.id, literal_column("(SELECT 1 FROM users)")),
    ]
    for statement in statements:
        with pytest.raises(ForeignTable, match="the plugin's tables alone"):
            await tables.read(partial(Session.execute, statement=statement))
        async with tables.change() as change:
            with pytest.raises(ForeignTable):
                await change.run(partial(Session.execute, statement=statement))
    async with tables.change() as change:
        with pytest.raises(ForeignTable, match="no table of the plugin sample"):
            change.add(Workspace(id="ws-x"))


async def test_rows_of_its_own_are_found_by_their_key_and_changed(extended: Extended) -> None:
    tables = context_of(extended).tables
    async with tables.change() as change:
        change.add(Note(id="one", text="first"))
        found = await change.run(lambda session: session.get_one(Note, "one"))
        found.text = "second"
        await change.commit()
    found = await tables.read(lambda session: session.get_one(Note, "one"))
    assert found.text == "second"
    for get in (tables.read, change.run):
        with pytest.raises(ForeignTable, match="not workspaces"):
            await get(lambda session: session.get(Workspace, "ws-x"))


async def test_only_a_user_is_remembered(extended: Extended) -> None:
    context = context_of(extended)
    caller = await _remembered(extended, extended.admin.id)
    nobody = type(caller)(**{**caller.__dict__, "is_user": False})
    async with context.tables.change() as change:
        with pytest.raises(Forbidden, match="only a user"):
            await change.remember(nobody)
