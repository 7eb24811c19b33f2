"""Reading and replacing the configuration: whole or not at all, and nobody's entries but one's own."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from terrapod_core.authz import PlatformRole
from terrapod_sync.changes import Seen
from terrapod_sync.storing import Storing
from tests.db.runs.conftest import make_person, make_user
from tests.db.sync.conftest import API, BASE, PRODUCTION, make_sync
from tests.db.sync_engine.conftest import row_of

OFF: dict[str, Any] = {"enabled": False, "workspaces": {}, "conflict_resolution": "manual"}


def document(**workspaces: Any) -> dict[str, Any]:
    return {"enabled": True, "workspaces": workspaces, "conflict_resolution": "manual"}


async def test_before_anybody_set_anything_nothing_is_scheduled(sync: API) -> None:
    assert await sync.get("/config") == OFF


async def test_a_document_comes_back_as_it_was_put(sync: API) -> None:
    for name in ("production", "staging", "lab"):
        await sync.server.workspace(name)
    nightly = {"enabled": False, "schedule": "0 2 * * MON-FRI", "schedule_timezone": "Europe/Berlin", "policy": "create-update-only"}
    sent = document(staging=nightly, production=PRODUCTION, **{"default/lab": {"enabled": True}})
    answer = await sync.ask("PUT", "/config", sent=sent)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")
    read = await sync.ask("GET", "/config")
    assert answer.content == read.content
    assert list(read.json()) == ["enabled", "workspaces", "conflict_resolution"]
    assert read.json() == sent
    assert list(read.json()["workspaces"]) == ["staging", "production", "default/lab"]


async def test_a_new_entry_is_due_at_once_and_a_little_later_than_others(sync: API) -> None:
    found = await sync.server.workspace("production")
    await sync.put(document(production=PRODUCTION))
    row = await sync.row(found.id)
    assert (row.status, row.tick_at, row.edited_by_id) == ("never", sync.clock.now(), sync.server.admin.id)
    assert row.next_at is not None
    assert timedelta() <= row.next_at - sync.clock.now() < timedelta(seconds=30)


async def test_a_disabled_entry_is_never_due(sync: API) -> None:
    found = await sync.server.workspace("production")
    await sync.put(document(production={"enabled": False}))
    row = await sync.row(found.id)
    assert (row.tick_at, row.next_at, row.enabled) == (None, None, False)


async def test_what_is_not_in_a_document_is_gone(sync: API) -> None:
    for name in ("production", "staging"):
        await sync.server.workspace(name)
    await sync.put(document(production=PRODUCTION, staging=PRODUCTION))
    assert await sync.put(document(staging=PRODUCTION)) == document(staging=PRODUCTION)


async def test_of_two_documents_that_are_put_at_once_one_stays_and_not_a_mixture(sync: API) -> None:
    for name in ("production", "staging"):
        await sync.server.workspace(name)
    one, other = document(production=PRODUCTION), document(staging=PRODUCTION)
    answers = await asyncio.gather(*(sync.ask("PUT", "/config", sent=each) for each in (one, other)))
    assert [each.status_code for each in answers] == [200, 200]
    assert await sync.get("/config") in (one, other)


async def test_a_document_is_refused_while_others_never_stop_adding_entries(sync: API, monkeypatch: pytest.MonkeyPatch) -> None:
    await sync.server.workspace("production")
    found = Storing._seen

    async def another(self: Storing, *arguments: Any) -> Seen:
        seen = await found(self, *arguments)
        workspace = await sync.server.workspace(f"new-{len(seen.known)}")
        await sync.add(row_of(workspace, sync.server.admin.id, sync.clock.now(), {"enabled": False}))
        return seen

    monkeypatch.setattr(Storing, "_seen", another)
    answer = await sync.ask("PUT", "/config", sent=document(production=PRODUCTION))
    assert (answer.status_code, answer.json()["error"]) == (409, "config_changed")
    monkeypatch.undo()
    assert "production" not in (await sync.get("/config"))["workspaces"]


async def test_an_unchanged_entry_keeps_who_answers_for_it(sync: API) -> None:
    production, _staging = await sync.server.workspace("production"), await sync.server.workspace("staging")
    person = await make_person(sync.server, production, "admin")
    await sync.put({**OFF, "enabled": True})
    await sync.put(document(production=PRODUCTION), await sync.token_of(person))
    before = await sync.row(production.id)
    sync.clock.advance(minutes=5)
    await sync.put(document(staging=PRODUCTION, production=PRODUCTION))
    after = await sync.row(production.id)
    assert (after.edited_by_id, after.edited_at, after.next_at) == (person.id, before.edited_at, before.next_at)
    assert (before.position, after.position) == (0, 1)
    assert [(who, what) for who, _id, what in await sync.audited() if what] == sorted(
        [(person.id, "added"), (sync.server.admin.id, "added")]
    )


async def test_a_changed_entry_begins_anew_with_who_changed_it(sync: API) -> None:
    found = await sync.server.workspace("production")
    await sync.put(document(production=PRODUCTION))
    ended = sync.clock.now()
    await sync.set(found.id, status="error", problem="it failed", attempts=6, tick_at=None, next_at=None, last_sync_at=ended)
    sync.clock.advance(minutes=4)
    await sync.put(document(production={**PRODUCTION, "sync_interval": "1h"}))
    row = await sync.row(found.id)
    assert (row.attempts, row.tick_at) == (0, ended + timedelta(hours=1))
    sync.clock.advance(hours=3)
    await sync.put(document(production={**PRODUCTION, "sync_interval": "2h"}))
    assert (await sync.row(found.id)).tick_at == sync.clock.now(), "what should have been long ago is made up for at once"


async def test_whoever_puts_an_orphaned_entry_again_answers_for_it(sync: API) -> None:
    found = await sync.server.workspace("production")
    person = await make_person(sync.server, found, "admin")
    await sync.put({**OFF, "enabled": True})
    await sync.put(document(production=PRODUCTION), await sync.token_of(person))
    await sync.set(found.id, status="error", problem="gone", problem_code="editor-gone", problem_since=sync.clock.now(), has_changes=False)
    looker = await sync.token_of(await make_person(sync.server, found, "write"))
    await sync.put(document(production=PRODUCTION), looker)
    assert (await sync.row(found.id)).edited_by_id == person.id, "only who could have put it takes it over"
    await sync.put(document(production=PRODUCTION))
    row = await sync.row(found.id)
    assert (row.edited_by_id, row.problem_code, row.problem, row.status) == (sync.server.admin.id, None, None, "success")


async def test_a_renamed_workspace_keeps_its_entry_under_its_new_name(sync: API) -> None:
    for name in ("production", "lab"):
        await sync.server.workspace(name)
    await sync.put(document(production=PRODUCTION, **{"default/lab": PRODUCTION}))
    for name, new in (("production", "live"), ("lab", "attic")):
        path = f"/api/v2/organizations/default/workspaces/{name}"
        sent = {"data": {"type": "workspaces", "attributes": {"name": new}}}
        headers = {"Authorization": f"Bearer {sync.token}", "Content-Type": "application/vnd.api+json"}
        assert (await sync.http.patch(path, json=sent, headers=headers)).status_code == 200
    renamed = document(live=PRODUCTION, **{"default/attic": PRODUCTION})
    assert await sync.get("/config") == renamed
    before = await sync.stored()
    assert await sync.put(renamed) == renamed
    assert {each["name"]: each["position"] for each in await sync.stored() if "position" in each} == {"live": 0, "default/attic": 1}
    assert len(before) == len(await sync.stored())
    refused = await sync.ask("PUT", "/config", sent=document(production=PRODUCTION))
    assert (refused.status_code, refused.json()["error"]) == (422, "workspace_not_found")


async def test_the_entry_of_a_deleted_workspace_is_not_shown_and_goes_with_the_next_document(sync: API) -> None:
    found, _other = await sync.server.workspace("production"), await sync.server.workspace("lab")
    await sync.put(document(production=PRODUCTION, lab=PRODUCTION))
    await sync.add(make_sync(found.id, "sync-1", sync.clock.now()))
    headers = {"Authorization": f"Bearer {sync.token}"}
    assert (await sync.http.delete(f"/api/v2/workspaces/{found.id}", headers=headers)).status_code in (200, 204)
    assert await sync.put(await sync.get("/config")) == document(lab=PRODUCTION)
    assert not {"production", "sync-1"} & {each for row in await sync.stored() for each in map(str, row.values())}


# -- two admins of different workspaces


async def test_an_admin_of_one_workspace_changes_nothing_of_another(sync: API) -> None:
    mine, theirs = await sync.server.workspace("mine"), await sync.server.workspace("theirs")
    await sync.put({**OFF, "enabled": True})
    me = await sync.token_of(await make_person(sync.server, mine, "admin"))
    them = await make_person(sync.server, theirs, "admin")
    await sync.put(document(theirs=PRODUCTION), await sync.token_of(them))
    before = [each for each in await sync.stored() if each.get("workspace_id") == theirs.id]
    assert await sync.get("/config", me) == document()
    assert await sync.put(document(mine=PRODUCTION), me) == document(mine=PRODUCTION)
    assert await sync.put(document(), me) == document()
    assert [each for each in await sync.stored() if each.get("workspace_id") == theirs.id] == before
    assert await sync.get("/config") == document(theirs=PRODUCTION)
    named = await sync.ask("PUT", "/config", token=me, sent=document(theirs={"enabled": True, "auto_apply": True}))
    absent = await sync.ask("PUT", "/config", token=me, sent=document(nobodys={"enabled": True}))
    assert named.json() == {"error": "workspace_not_found", "message": "Workspace 'theirs' does not exist", "code": 422}
    assert absent.json()["message"] == "Workspace 'nobodys' does not exist"


async def test_entries_one_does_not_see_keep_their_place(sync: API) -> None:
    rooms = {name: await sync.server.workspace(name) for name in ("a", "hidden", "b")}
    await sync.put(document(a=PRODUCTION, hidden=PRODUCTION, b=PRODUCTION))
    person = await make_person(sync.server, rooms["a"], "admin")
    token = await sync.token_of(person)
    await sync.put(document(a={**PRODUCTION, "sync_interval": "20m"}), token)
    assert list((await sync.get("/config"))["workspaces"]) == ["a", "hidden", "b"]


@pytest.mark.parametrize("level", ["read", "plan", "write"])
async def test_who_may_only_look_may_leave_an_entry_as_it_is_and_nothing_else(sync: API, level: str) -> None:
    found = await sync.server.workspace("production")
    await sync.put(document(production=PRODUCTION))
    token = await sync.token_of(await make_person(sync.server, found, level))
    assert await sync.put(document(production=PRODUCTION), token) == document(production=PRODUCTION)
    before = await sync.stored()
    for sent in (document(), document(production={"enabled": False})):
        answer = await sync.ask("PUT", "/config", token=token, sent=sent)
        assert (answer.status_code, answer.json()["error"], answer.json()["code"]) == (403, "forbidden", 403)
        assert "'production' needs the level admin" in answer.json()["message"]
    assert await sync.stored() == before


@pytest.mark.parametrize("sent", [{**OFF, "enabled": True}, {**OFF, "conflict_resolution": "skip"}])
async def test_what_holds_for_all_is_for_platform_admins(sync: API, sent: dict[str, Any]) -> None:
    production = await sync.server.workspace("production")
    for actor in (
        await make_person(sync.server, production, "admin"),
        await make_user(sync.server.terrapod, "auditor@example.com", PlatformRole.AUDIT),
    ):
        answer = await sync.ask("PUT", "/config", token=await sync.token_of(actor), sent=sent)
        assert (answer.status_code, answer.json()["error"]) == (403, "forbidden")
    assert await sync.stored() == []
    assert await sync.put(sent) == sent


# -- bad input

ENTRY: dict[str, Any] = {"enabled": True}
BAD: dict[str, tuple[Any, str]] = {
    "both period and schedule": ({**ENTRY, "sync_interval": "5m", "schedule": "0 2 * * *"}, "exclude each other"),
    "timezone without schedule": ({**ENTRY, "schedule_timezone": "Europe/Berlin"}, "without a schedule"),
    "a policy above the ceiling": ({**ENTRY, "policy": "full-control", "workspace_policy": "observe"}, "may not allow more"),
    "auto_apply above the ceiling": ({**ENTRY, "auto_apply": True, "workspace_policy": "observe"}, "may not allow more"),
    "an interval under the minimum": ({**ENTRY, "sync_interval": "1s"}, "at least 30s"),
    "a cron under the minimum": ({**ENTRY, "schedule": "*/5 * * * * *"}, "at least 30s"),
    "a cron that never fires": ({**ENTRY, "schedule": "0 0 30 2 *"}, "schedule"),
    "a cron that is none": ({**ENTRY, "schedule": "often"}, "schedule"),
    "a timezone that is none": ({**ENTRY, "schedule": "0 2 * * *", "schedule_timezone": "Moon/Sea"}, "time zone"),
    "an unknown policy": ({**ENTRY, "policy": "yolo"}, "policy"),
    "an unknown field": ({**ENTRY, "secret": "hunter2-in-a-field"}, "is no field"),
    "a text for a truth": ({"enabled": "yes"}, "true or false"),
    "nothing": (None, "must be an object"),
}
DOCUMENTS: dict[str, tuple[Any, str]] = {
    **{name: (document(production=entry), says) for name, (entry, says) in BAD.items()},
    "an unknown resolution": ({**document(), "conflict_resolution": "yolo"}, "must be one of manual"),
    "the same workspace twice": (document(production=ENTRY, **{"default/production": ENTRY}), "same workspace"),
    "no document": (b"", "must be JSON"),
    "no JSON": (b"{", "must be JSON"),
    "no UTF-8": (b'{"enabled": "\xff"}', "UTF-8"),
    "brackets without end": (b"[" * 100_000, "JSON"),
    "a list": ([], "must be an object"),
    "a key twice": (b'{"enabled": true, "enabled": false, "workspaces": {}}', "given twice"),
    "no workspaces": ({"enabled": True}, "workspaces must be given"),
    "too large": (b'{"enabled": true, "workspaces": {}}' + b" " * (1 << 20), "more than 1048576 bytes"),
}


@pytest.mark.parametrize("case", DOCUMENTS)
async def test_a_document_that_is_wrong_is_refused_whole(sync: API, case: str) -> None:
    await sync.server.workspace("production")
    await sync.put(document(production=PRODUCTION))
    before, (sent, says) = await sync.stored(), DOCUMENTS[case]
    answer = await sync.ask("PUT", "/config", sent=sent)
    assert answer.status_code == 422, answer.text
    told = answer.json()
    assert (set(told), told["error"], told["code"]) == ({"error", "message", "code"}, "invalid_config", 422)
    assert says in told["message"]
    assert "hunter2" not in answer.text
    assert await sync.stored() == before


@pytest.mark.parametrize("name", ["absent", "default/absent", "elsewhere/production"])
async def test_an_unknown_workspace_refuses_the_whole_document(sync: API, name: str) -> None:
    await sync.server.workspace("production")
    answer = await sync.ask("PUT", "/config", sent=document(production=PRODUCTION, **{name: PRODUCTION}))
    assert answer.json() == {"error": "workspace_not_found", "message": f"Workspace '{name}' does not exist", "code": 422}
    assert await sync.stored() == []


async def test_nothing_is_made_of_the_entries_of_workspaces_that_one_may_not_know(sync: API) -> None:
    """Thousands of cron expressions are worked out for seconds: only for those who could have entries of so many."""
    sent = document(absent={"enabled": True, "schedule": "often"})
    assert (await sync.ask("PUT", "/config", sent=sent)).json()["error"] == "workspace_not_found"


async def test_a_body_without_end_is_read_to_its_limit_alone(sync: API) -> None:
    sent = 0

    async def endless() -> Any:
        nonlocal sent
        while sent < 100 << 20:
            sent += 1 << 16
            yield b" " * (1 << 16)

    headers = {"Authorization": f"Bearer {sync.token}"}
    answer = await sync.http.put(f"{BASE}/config", content=endless(), headers=headers)
    assert (answer.status_code, answer.json()["error"]) == (422, "invalid_config")
    assert await sync.stored() == []
