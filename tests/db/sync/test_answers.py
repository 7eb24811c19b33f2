"""What the Sync API shows of workspaces, syncs and conflicts, to whom, and what it asks of its engine."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.db.runs.conftest import make_person
from tests.db.sync.conftest import API, BASE, PRODUCTION, make_conflict, make_sync

FIELDS = ["name", "sync_enabled", "last_sync", "status", "next_sync"]
DIGEST = "ab" * 32


def document(**workspaces: Any) -> dict[str, Any]:
    return {"enabled": True, "workspaces": workspaces, "conflict_resolution": "manual"}


async def refused(sync: API, method: str, path: str, code: int, error: str, **asked: Any) -> str:
    """The message of a refusal that must have this shape."""
    answer = await sync.ask(method, path, **asked)
    found = answer.json()
    assert answer.headers["Content-Type"] == "application/json"
    assert (answer.status_code, list(found), found["error"], found["code"]) == (code, ["error", "message", "code"], error, code), (
        answer.text
    )
    return str(found["message"])


# -- the list


async def test_the_list_has_the_contracts_fields_and_no_others(sync: API) -> None:
    found = await sync.server.workspace("production")
    await sync.put(document(production=PRODUCTION))
    now = sync.clock.now()
    told = {"tick_at": now + timedelta(minutes=10), "next_at": now + timedelta(minutes=10, seconds=7)}
    await sync.set(found.id, status="success", last_sync_at=now + timedelta(seconds=0.9), **told, last_run_id="run-1", drifted=True)
    (row,) = (await sync.get("/workspaces"))["workspaces"]
    assert list(row) == FIELDS
    assert row == {
        "name": "production",
        "sync_enabled": True,
        "last_sync": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "status": "success",
        "next_sync": (now + timedelta(minutes=10)).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


async def test_a_workspace_without_an_entry_is_disabled(sync: API) -> None:
    await sync.server.workspace("lab")
    off = {"name": "lab", "sync_enabled": False, "last_sync": None, "status": "disabled", "next_sync": None}
    assert await sync.get("/workspaces") == {"workspaces": [off]}
    assert await sync.get("/workspaces/lab") == off


@pytest.mark.parametrize("sent", [{**document(), "enabled": False}, document()], ids=["all", "one"])
async def test_what_is_switched_off_is_not_due(sync: API, sent: dict[str, Any]) -> None:
    found = await sync.server.workspace("production")
    await sync.put({**sent, "workspaces": {"production": {**PRODUCTION, "enabled": not sent["enabled"]}}})
    ended = sync.clock.now()
    await sync.set(found.id, status="success", last_sync_at=ended)
    row = (await sync.get("/workspaces"))["workspaces"][0]
    assert (row["sync_enabled"], row["status"], row["next_sync"], row["last_sync"] is None) == (False, "disabled", None, False)


async def test_the_list_shows_readable_workspaces_alone_by_name(sync: API) -> None:
    for name in ("b", "c", "a"):
        await sync.server.workspace(name)
    await sync.put(document(b=PRODUCTION, c=PRODUCTION))
    token = await sync.token_of(await make_person(sync.server, await sync.server.workspace("mine"), "read"))
    assert [each["name"] for each in (await sync.get("/workspaces"))["workspaces"]] == ["a", "b", "c", "mine"]
    assert [each["name"] for each in (await sync.get("/workspaces", token))["workspaces"]] == ["mine"]


async def test_a_retry_and_a_rest_are_what_comes_next(sync: API) -> None:
    found = await sync.server.workspace("production")
    await sync.put(document(production=PRODUCTION))
    now = sync.clock.now()
    await sync.set(found.id, status="error", attempts=2, tick_at=now, next_at=now + timedelta(minutes=20), problem="it failed")
    shown = await sync.get("/workspaces/production")
    assert (shown["next_sync"], shown["attempts"], shown["problem"]) == (
        (now + timedelta(minutes=20)).isoformat()[:19] + "Z",
        2,
        "it failed",
    )
    await sync.set(found.id, rests_until=now + timedelta(days=2))
    shown = await sync.get("/workspaces/production")
    assert shown["next_sync"] == shown["ignored_until"] == (now + timedelta(days=2)).isoformat()[:19] + "Z"


async def test_one_workspace_is_the_lists_row_and_what_else_is_set(sync: API) -> None:
    found = await sync.server.workspace("production")
    await sync.put(document(production=PRODUCTION))
    listed = (await sync.get("/workspaces"))["workspaces"][0]
    assert await sync.get("/workspaces/production") == listed
    await sync.add(
        make_conflict(found.id, "conflict-1", sync.clock.now()), make_conflict(found.id, "conflict-2", sync.clock.now(), status="passed")
    )
    await sync.set(found.id, last_run_id="run-1", has_changes=False)
    assert await sync.get("/workspaces/default/production") == {
        **listed,
        "run_id": "run-1",
        "has_changes": False,
        "conflicts": ["conflict-1"],
    }


@pytest.mark.parametrize("name", ["invalid-name", "default/invalid-name", "elsewhere/production", "hidden"])
async def test_a_workspace_that_one_may_not_know_does_not_exist(sync: API, name: str) -> None:
    production = await sync.server.workspace("production")
    await sync.server.workspace("hidden")
    token = await sync.token_of(await make_person(sync.server, production, "admin"))
    for method, path in (("GET", ""), ("GET", "/history"), ("POST", "/sync")):
        message = await refused(sync, method, f"/workspaces/{name}{path}", 404, "workspace_not_found", token=token)
        assert message == f"Workspace '{name}' does not exist"


# -- history


async def test_the_history_is_paged_from_the_newest(sync: API) -> None:
    found = await sync.server.workspace("production")
    await sync.put(document(production=PRODUCTION))
    start = sync.clock.now()
    # Two at one moment: their ids say which comes first.
    moments = [start, start, *(start + timedelta(minutes=number) for number in range(1, 6))]
    await sync.add(*(make_sync(found.id, f"sync-{number}", at) for number, at in enumerate(moments)))
    seen, query = [], "?limit=2"
    while query:
        page = await sync.get(f"/workspaces/production/history{query}")
        assert list(page) == ["syncs", "next"]
        seen += [each["id"] for each in page["syncs"]]
        query = f"?limit=2&before={page['next']}" if page["next"] else ""
    assert seen == [f"sync-{number}" for number in range(6, -1, -1)]
    assert (await sync.get("/workspaces/production/history?before=sync-nowhere"))["syncs"] == []


async def test_a_line_of_the_history_says_what_is_set(sync: API) -> None:
    found = await sync.server.workspace("production")
    await sync.put(document(production=PRODUCTION))
    now = sync.clock.now()
    step = {"address": "terraform_data.a", "does": "delete", "needs": "full-control"}
    full = make_sync(found.id, "sync-1", now, run_id="run-1", ended_at=now, plan_digest=DIGEST, has_changes=True, reason="it deletes")
    full.forbidden = [step]
    await sync.add(full)
    shown = now.isoformat()[:19] + "Z"
    assert (await sync.get("/workspaces/production/history"))["syncs"] == [
        {
            "id": "sync-1",
            "cause": "schedule",
            "status": "success",
            "mode": "save",
            "created_at": shown,
            "ended_at": shown,
            "run_id": "run-1",
            "plan": DIGEST,
            "has_changes": True,
            "forbidden": [step],
            "reason": "it deletes",
        }
    ]


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=-1", "limit=many", "limit=", "limit=%C2%B2", "limit=1e2"])
async def test_a_limit_that_is_none_is_refused(sync: API, query: str) -> None:
    await sync.server.workspace("production")
    for path in ("/workspaces/production/history", "/conflicts"):
        assert "from 1 to 100" in await refused(sync, "GET", f"{path}?{query}", 422, "invalid_request")


@pytest.mark.parametrize("before", ["%00", "sync-%00", "%0A", "%ED%A0%80%00"])
async def test_what_no_id_can_be_is_refused_before_any_database_is_asked(sync: API, before: str) -> None:
    found = await sync.server.workspace("production")
    await sync.put(document(production=PRODUCTION))
    await sync.add(make_conflict(found.id, "conflict-1", sync.clock.now()))
    for path in ("/workspaces/production/history", "/conflicts"):
        assert "gives as next" in await refused(sync, "GET", f"{path}?before={before}", 422, "invalid_request")


# -- trigger


async def test_a_sync_that_is_begun_is_told_with_its_run(sync: API) -> None:
    await sync.server.workspace("production")
    await sync.put(document(production=PRODUCTION))
    answer = await sync.ask("POST", "/workspaces/production/sync")
    told = answer.json()
    assert (answer.status_code, list(told)[:5], told["name"], told["status"]) == (202, FIELDS, "production", "pending")
    assert (told["run_id"], told["sync_id"], sync.engine.triggered) == ("run-paper", "sync-paper", ["production"])


@pytest.mark.parametrize("code", ["sync_disabled", "sync_in_progress", "workspace_locked"])
async def test_what_the_engine_refuses_is_a_409_with_its_word(sync: API, code: str) -> None:
    await sync.server.workspace("production")
    await sync.put(document(production=PRODUCTION))
    sync.engine.refuses = code
    assert await refused(sync, "POST", "/workspaces/production/sync", 409, code) == "it cannot be done now"


async def test_a_workspace_without_an_entry_cannot_be_synced(sync: API) -> None:
    await sync.server.workspace("production")
    assert "has no entry" in await refused(sync, "POST", "/workspaces/production/sync", 409, "sync_disabled")
    assert sync.engine.triggered == []


@pytest.mark.parametrize(
    ("level", "policy", "allowed"),
    [("read", "observe", False), ("plan", "observe", True), ("plan", "apply", False), ("write", "apply", True)],
)
async def test_who_may_sync_follows_from_what_the_sync_may_do(sync: API, level: str, policy: str, allowed: bool) -> None:
    found = await sync.server.workspace("production")
    await sync.put(document(production={"enabled": True, "policy": policy}))
    token = await sync.token_of(await make_person(sync.server, found, level))
    if allowed:
        assert (await sync.ask("POST", "/workspaces/production/sync", token=token)).status_code == 202
    else:
        assert f"you have {level}" in await refused(sync, "POST", "/workspaces/production/sync", 403, "forbidden", token=token)
    assert bool(sync.engine.triggered) is allowed


# -- conflicts


async def test_conflicts_are_listed_by_status_for_those_who_may_read_their_workspace(sync: API) -> None:
    mine, theirs = await sync.server.workspace("mine"), await sync.server.workspace("theirs")
    await sync.put(document(mine=PRODUCTION, theirs=PRODUCTION))
    now, token = sync.clock.now(), await sync.token_of(await make_person(sync.server, mine, "read"))
    await sync.add(
        make_conflict(mine.id, "conflict-1", now, kind="lock", status="passed"),
        make_conflict(mine.id, "conflict-2", now + timedelta(seconds=1), kind="state"),
        make_conflict(theirs.id, "conflict-3", now + timedelta(seconds=2), kind="state"),
        make_conflict(theirs.id, "conflict-4", now + timedelta(seconds=3), status="resolved", resolution="discard"),
    )

    async def listed(query: str, token: str | None = None) -> list[str]:
        return [each["id"] for each in (await sync.get(f"/conflicts{query}", token))["conflicts"]]

    assert await listed("") == await listed("?status=open") == ["conflict-3", "conflict-2"]
    assert (await listed("?status=resolved"), await listed("?status=passed")) == (["conflict-4"], ["conflict-1"])
    assert await listed("?status=all") == ["conflict-4", "conflict-3", "conflict-2", "conflict-1"]
    assert await listed("?status=all", token) == ["conflict-2", "conflict-1"]
    page = await sync.get("/conflicts?status=all&limit=3")
    assert (len(page["conflicts"]), page["next"], await listed("?status=all&before=conflict-2")) == (3, "conflict-2", ["conflict-1"])
    assert "open, resolved, passed, all" in await refused(sync, "GET", "/conflicts?status=yolo", 422, "invalid_request")
    assert (await sync.get("/conflicts/conflict-2", token))["workspace"] == "mine"
    for ident in ("conflict-3", "conflict-none"):
        for method, path in (("GET", ""), ("POST", "/resolve")):
            message = await refused(sync, method, f"/conflicts/{ident}{path}", 404, "conflict_not_found", token=token)
            assert message == f"Conflict '{ident}' does not exist"


async def test_a_decision_reaches_the_engine_and_the_conflict_says_so(sync: API) -> None:
    found = await sync.server.workspace("production")
    await sync.put(document(production=PRODUCTION))
    await sync.add(make_conflict(found.id, "conflict-1", sync.clock.now(), kind="destructive_plan", run_id="run-1", plan_digest=DIGEST))
    until = (sync.clock.now() + timedelta(days=1)).isoformat()[:19]
    answer = await sync.ask("POST", "/conflicts/conflict-1/resolve", sent={"resolution": "ignore", "until": f"{until}Z", "plan": DIGEST})
    assert answer.status_code == 200
    shown = answer.json()
    assert shown == await sync.get("/conflicts/conflict-1")
    assert (shown["status"], shown["resolution"], shown["ignored_until"]) == ("resolved", "ignore", f"{until}Z")
    assert (shown["workspace"], shown["plan"], shown["resolved_by"]) == ("production", DIGEST, sync.server.admin.id)
    assert [(each.resolution, each.plan) for each in sync.engine.decided] == [("ignore", DIGEST)]


RESOLUTIONS: list[tuple[Any, str]] = [
    ({"resolution": "yolo"}, "must be one of accept, prefer_remote, ignore, discard"),
    ({"resolution": "manual"}, "must be one of accept"),
    ({}, "resolution must be given"),
    ({"resolution": "accept", "until": "2099-01-01T00:00:00Z"}, "ignore alone"),
    ({"resolution": "ignore"}, "until must be given"),
    ({"resolution": "ignore", "until": "2001-01-01T00:00:00Z"}, "in the future"),
    ({"resolution": "ignore", "until": "tomorrow"}, "must be a moment"),
    ({"resolution": "ignore", "until": "2099-02-30T00:00:00Z"}, "must be a moment"),
    ({"resolution": "ignore", "until": "9999-12-31T23:59:59-10:00"}, "must be a moment"),
    ({"resolution": "ignore", "until": "2099-01-01T00:00:00"}, "must be a moment"),
    ({"resolution": "accept", "plan": "the one I saw"}, "64 digits"),
    ({"resolution": "accept", "force": True}, "is no field"),
    (b"{", "must be JSON"),
    (b"", "must be JSON"),
    (b" " * 20_000, "more than 16384 bytes"),
]


@pytest.mark.parametrize(("sent", "says"), RESOLUTIONS)
async def test_a_decision_that_is_none_is_refused(sync: API, sent: Any, says: str) -> None:
    found = await sync.server.workspace("production")
    await sync.put(document(production=PRODUCTION))
    await sync.add(make_conflict(found.id, "conflict-1", sync.clock.now()))
    before = await sync.stored()
    assert says in await refused(sync, "POST", "/conflicts/conflict-1/resolve", 422, "invalid_request", sent=sent)
    assert (await sync.stored(), sync.engine.decided) == (before, [])


@pytest.mark.parametrize("code", ["conflict_resolved", "conflict_changed"])
async def test_a_decision_that_comes_too_late_is_a_409(sync: API, code: str) -> None:
    found = await sync.server.workspace("production")
    await sync.put(document(production=PRODUCTION))
    await sync.add(make_conflict(found.id, "conflict-1", sync.clock.now()))
    sync.engine.refuses = code
    await refused(sync, "POST", "/conflicts/conflict-1/resolve", 409, code, sent={"resolution": "accept"})


@pytest.mark.parametrize("level", ["read", "plan"])
async def test_who_may_not_write_decides_nothing(sync: API, level: str) -> None:
    found = await sync.server.workspace("production")
    await sync.put(document(production=PRODUCTION))
    await sync.add(make_conflict(found.id, "conflict-1", sync.clock.now()))
    token = await sync.token_of(await make_person(sync.server, found, level))
    await refused(sync, "POST", "/conflicts/conflict-1/resolve", 403, "forbidden", sent={"resolution": "discard"}, token=token)
    assert sync.engine.decided == []


# -- refusals of the server around it


async def test_refusals_of_the_server_have_the_contracts_shape(sync: API) -> None:
    await refused(sync, "GET", "/workspaces", 401, "unauthorized", token="no-such-token")
    bare = await sync.http.get(f"{BASE}/workspaces")
    assert (bare.status_code, bare.json()["error"], bare.headers["WWW-Authenticate"]) == (401, "unauthorized", "Bearer")
    await refused(sync, "GET", "/nothing", 404, "not_found")
    await refused(sync, "GET", "", 404, "not_found")
    for method, path in (("DELETE", "/config"), ("POST", "/workspaces"), ("GET", "/conflicts/conflict-1/resolve")):
        answer = await sync.ask(method, path)
        assert (answer.status_code, answer.json()["error"], answer.json()["code"]) == (405, "method_not_allowed", 405)
        assert answer.headers["Allow"]


async def test_a_crash_is_told_in_the_contracts_shape_without_its_reason(sync: API, monkeypatch: pytest.MonkeyPatch) -> None:
    async def crash(*_given: Any, **_more: Any) -> None:
        raise RuntimeError("hunter2")

    await sync.server.workspace("production")
    await sync.put(document(production=PRODUCTION))
    monkeypatch.setattr(sync.engine, "trigger", crash)
    assert "hunter2" not in await refused(sync, "POST", "/workspaces/production/sync", 500, "internal_error")


class TestLimits:
    @pytest.fixture
    def sync_settings(self) -> dict[str, Any]:
        return {"requests_per_minute": 3, "document_bytes": 1024}

    async def test_a_key_has_so_many_requests_a_minute(self, sync: API) -> None:
        other = await sync.token_of(sync.server.admin)
        for path in ("/workspaces", "/nothing", "/config"):
            await sync.ask("GET", path)
        answer = await sync.ask("GET", "/workspaces")
        assert (answer.status_code, answer.json()["error"], answer.json()["code"]) == (429, "rate_limited", 429)
        assert 0 < int(answer.headers["Retry-After"]) <= 60
        assert (await sync.ask("GET", "/workspaces", token=other)).status_code == 200

    async def test_the_largest_document_is_the_operators_choice(self, sync: API) -> None:
        sent = b'{"enabled": true, "workspaces": {}}'
        assert (await sync.ask("PUT", "/config", sent=sent + b" " * (1024 - len(sent)))).status_code == 200
        answer = await sync.ask("PUT", "/config", sent=sent + b" " * (1025 - len(sent)))
        assert (answer.status_code, answer.json()["error"]) == (422, "invalid_config")
