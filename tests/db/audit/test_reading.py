"""Reading the log: filters, pages, totals, CSV, and how the database finds it all."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import event, insert, text

from terrapod_core import ids
from terrapod_core.audit import REQUEST, AuditEntry, AuditLog, Filters, RequestInfo, log as reading, record, refused
from terrapod_core.authz import Authorizer
from terrapod_core.errors import Forbidden
from terrapod_core.jsonapi import PageRequest, Query
from tests.support.record import ALICE, BOB, Record
from tests.support.rooms import AUDITOR, ROOT

EVERYTHING = PageRequest(1, 100)


@pytest.fixture
def audit_log(log: Record) -> AuditLog:
    return AuditLog(log.db, Authorizer())


async def some(log: Record) -> None:
    """Entries of two people, allowed and refused, some sealed."""
    token = REQUEST.set(RequestInfo("req-alice", "192.0.2.1"))
    await log.write(3, ALICE, "workspace.update")
    await log.sealer().run()
    log.clock.advance(minutes=1)
    REQUEST.set(RequestInfo("req-bob", "192.0.2.2"))
    async with log.db.uow() as uow:
        record(uow, BOB, "run.create", "runs", "run-1")
        record(uow, BOB, "runner.create", "runners", "runner-1")
        await uow.commit()
    log.clock.advance(minutes=1)
    await refused(log.db, BOB, "run.confirm", "runs", "run-1")
    REQUEST.reset(token)
    log.clock.advance(minutes=1)


def asked(*pairs: tuple[str, str]) -> Filters:
    return Filters.of(Query.parse([(f"filter[{name}]", value) for name, value in pairs]))


async def seen(audit_log: AuditLog, *pairs: tuple[str, str]) -> list[str]:
    """Actions of what is found, but for readings of the log."""
    page = await audit_log.list(ROOT, asked(*pairs), EVERYTHING)
    assert page.total == len(page.items)
    return [row.action for row in page.items if row.action != "audit-log.read"]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ([], ["run.confirm", "run.create", "runner.create", *["workspace.update"] * 3]),
        ([("actor", ALICE.id)], ["workspace.update"] * 3),
        ([("actor", "bob")], ["run.confirm", "run.create", "runner.create"]),
        ([("actor", "nobody")], []),
        ([("actor", "system")], []),
        ([("action", "run.create")], ["run.create"]),
        ([("action", "run.*")], ["run.confirm", "run.create"]),
        ([("action", "run*")], ["run.confirm", "run.create", "runner.create"]),
        ([("action", "r_n.*")], []),
        ([("action", "RUN.*")], []),
        ([("resource-type", "runners")], ["runner.create"]),
        ([("resource-id", "run-1")], ["run.confirm", "run.create"]),
        ([("resource-type", "workspaces"), ("resource-id", "ws-1")], ["workspace.update"]),
        ([("outcome", "refused")], ["run.confirm"]),
        ([("request-id", "req-alice")], ["workspace.update"] * 3),
        ([("address", "192.0.2.2"), ("outcome", "allowed")], ["run.create", "runner.create"]),
        ([("since", "2026-01-01T12:01:00Z")], ["run.confirm", "run.create", "runner.create"]),
        ([("since", "2026-01-01T13:01:00+01:00"), ("until", "2026-01-01T12:02:00Z")], ["run.create", "runner.create"]),
        ([("until", "2026-01-01t12:00:30z")], ["workspace.update"] * 3),
        ([("since", "2027-01-01T00:00:00Z")], []),
        ([("since", "2026-01-02T00:00:00Z"), ("until", "2026-01-01T00:00:00Z")], []),
    ],
)
async def test_filters_find_what_they_say(log: Record, audit_log: AuditLog, filters: list[tuple[str, str]], expected: list[str]) -> None:
    await some(log)
    assert sorted(await seen(audit_log, *filters)) == sorted(expected)


async def test_the_newest_comes_first_and_pages_have_true_totals(log: Record, audit_log: AuditLog) -> None:
    await log.sealed(25)
    end = log.clock.now() + timedelta(seconds=1)
    log.clock.advance(minutes=5)
    filters = Filters(until=end)
    first = await audit_log.list(ROOT, filters, PageRequest(1, 10))
    last = await audit_log.list(ROOT, filters, PageRequest(3, 10))
    beyond = await audit_log.list(ROOT, filters, PageRequest(9, 10))
    assert [row.resource_id for row in first.items] == [f"ws-{number}" for number in range(24, 14, -1)]
    assert [row.resource_id for row in last.items] == [f"ws-{number}" for number in range(4, -1, -1)]
    assert [page.total for page in (first, last, beyond)] == [25, 25, 25]
    assert list(beyond.items) == []


async def test_a_list_that_is_too_long_to_count_says_no_total(log: Record, audit_log: AuditLog, monkeypatch: pytest.MonkeyPatch) -> None:
    await log.sealed(25)
    monkeypatch.setattr(reading, "COUNTED", 20)
    page = await audit_log.list(ROOT, Filters(actor="alice"), PageRequest(1, 10))
    assert (page.total, page.more, len(page.items)) == (None, True, 10)
    page = await audit_log.list(ROOT, Filters(actor="alice"), PageRequest(3, 10))
    assert (page.total, page.more, len(page.items)) == (None, False, 5)
    assert (await audit_log.list(ROOT, Filters(), PageRequest())).total == 27, "the whole is counted by the chain"


async def test_who_reads_is_written_down(log: Record, audit_log: AuditLog) -> None:
    await audit_log.list(AUDITOR, Filters(actor="bob", since=log.clock.now()), PageRequest(2, 10))
    [row] = (await audit_log.list(ROOT, Filters(action="audit-log.read"), EVERYTHING)).items
    assert (row.actor_name, row.resource_type) == ("audrey", "audit-log")
    assert row.detail == {"filters": {"actor": "bob", "since": log.clock.now().isoformat()}, "page": 2}


async def test_only_admins_and_auditors_read(log: Record, audit_log: AuditLog) -> None:
    for act in (audit_log.list(ALICE, Filters(), PageRequest()), audit_log.csv(ALICE, Filters())):
        with pytest.raises(Forbidden, match="only a platform audit may read the audit log"):
            await act
    assert await log.count() == 0


async def test_pages_go_on_from_what_waits_to_what_is_sealed(log: Record, audit_log: AuditLog) -> None:
    await log.sealed(12)
    await log.write(7)
    filters = Filters(actor="alice")
    pages = [await audit_log.list(ROOT, filters, PageRequest(number, 5)) for number in range(1, 6)]
    assert [page.total for page in pages] == [19] * 5
    rows = [row for page in pages for row in page.items]
    assert len({row.id for row in rows}) == len(rows) == 19
    assert [row.at for row in rows] == sorted((row.at for row in rows), reverse=True)


async def test_what_is_sealed_while_a_csv_flows_is_in_it_once(log: Record, audit_log: AuditLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "CHUNK", 3)
    await log.sealed(8)
    await log.write(7)
    pieces: list[bytes] = []
    async for piece in await audit_log.csv(AUDITOR, Filters(actor="alice")):
        pieces.append(piece)
        if len(pieces) == 2:  # the heading, and three of those that wait
            await log.sealer().run()
    rows = [row["id"] for row in csv.DictReader(io.StringIO(b"".join(pieces).decode()))]
    assert len(set(rows)) == len(rows) == 15


# -- CSV


async def test_csv_holds_everything_that_matches(log: Record, audit_log: AuditLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "CHUNK", 4)
    async with log.db.uow() as uow:  # all at one moment, and some at others
        for number in range(10):
            record(uow, ALICE, "workspace.update", "workspaces", f"ws-{number}", name='a "quoted", name\n')
        await uow.commit()
    await log.sealed(9)
    await log.write(5)
    pieces = [piece async for piece in await audit_log.csv(AUDITOR, Filters(actor="alice"))]
    rows = list(csv.DictReader(io.StringIO(b"".join(pieces).decode())))
    assert len(pieces) == 8, "a header, five that wait in two pieces, nineteen behind them in five"
    assert len({row["id"] for row in rows}) == len(rows) == 24
    assert [row["created-at"] for row in rows] == sorted((row["created-at"] for row in rows), reverse=True)
    assert rows[0]["actor-name"] == "alice"
    assert rows[0]["created-at"].endswith("+00:00")


async def test_csv_runs_nothing_in_a_spreadsheet(log: Record, audit_log: AuditLog) -> None:
    async with log.db.uow() as uow:
        record(uow, ALICE, "workspace.update", "workspaces", '=HYPERLINK("http://evil.example")')
        await uow.commit()
    text = b"".join([piece async for piece in await audit_log.csv(ROOT, Filters(actor="alice"))]).decode()
    [row] = csv.DictReader(io.StringIO(text))
    assert row["resource-id"] == '\'=HYPERLINK("http://evil.example")'


# -- how it is found


async def fill(log: Record, count: int) -> None:
    """Entries of many people about many things, sealed in number alone."""
    now = log.clock.now()

    def row(number: int) -> dict[str, Any]:
        who, at = number % 50, now - timedelta(seconds=number)
        return {
            "id": ids.new("audit"), "at": at, "actor_kind": "user", "actor_id": f"user-{who:016}", "actor_name": f"person-{who}",
            "action": f"thing-{number % 40}.update", "resource_type": f"things-{number % 40}", "resource_id": f"thing-{number % 997}",
            "outcome": "refused" if number % 100 == 0 else "allowed", "detail": {}, "request_id": f"req-{number}",
            "address": f"192.0.2.{number % 200}", "seal_no": count - number, "hash": "",
        }  # fmt: skip

    async with log.db.uow() as uow:
        for start in range(0, count, 2000):
            await uow.session.execute(insert(AuditEntry), [row(number) for number in range(start, min(count, start + 2000))])
        await uow.commit()
    async with log.db.engine.connect() as connection:
        outside = await connection.execution_options(isolation_level="AUTOCOMMIT")
        await outside.execute(text("ANALYZE" if log.db.is_sqlite else "VACUUM ANALYZE audit_entries"))


INDEXES = [
    ([], "ix_audit_entries_at"),
    ([("actor", "person-7")], "ix_audit_entries_actor_name"),
    ([("actor", "user-1111111111111111")], "ix_audit_entries_actor_id"),
    ([("action", "thing-7.update")], "ix_audit_entries_action"),
    ([("action", "thing-7.*")], "ix_audit_entries_action"),
    ([("resource-type", "things-7")], "ix_audit_entries_resource_type"),
    ([("resource-id", "thing-500")], "ix_audit_entries_resource_id"),
    ([("outcome", "refused")], "ix_audit_entries_outcome"),
    ([("request-id", "req-500")], "ix_audit_entries_request_id"),
    ([("address", "192.0.2.7")], "ix_audit_entries_address"),
    ([("since", "2026-01-01T11:59:00Z")], "ix_audit_entries_at"),
]


async def test_every_filter_is_answered_by_an_index(log: Record, audit_log: AuditLog) -> None:
    await fill(log, 20_000)
    for filters, index in INDEXES:
        statements = await statements_of(log, partial(audit_log.list, ROOT, asked(*filters), PageRequest(1, 20)))
        plans = [await plan_of(log, statement, parameters) for statement, parameters in statements if "audit_entries" in statement]
        assert any(index in plan for plan in plans), (filters, plans)
        for plan in plans:
            assert "Seq Scan on audit_entries" not in plan, (filters, plan)
            assert not re.search(r"SCAN audit_entries(?! USING)", plan), (filters, plan)


async def test_a_deep_page_and_its_total_read_no_row_that_is_not_shown(log: Record, audit_log: AuditLog) -> None:
    await fill(log, 20_000)
    statements = await statements_of(log, lambda: audit_log.list(ROOT, Filters(), PageRequest(300, 20)))
    plans = [await plan_of(log, statement, parameters) for statement, parameters in statements if "audit_entries" in statement]
    deep = next(plan for plan in plans if "ix_audit_entries_at" in plan)
    assert "Index Only Scan" in deep or "COVERING INDEX" in deep, deep
    assert not any("Seq Scan" in plan for plan in plans), plans


async def statements_of(log: Record, act: Callable[[], Any]) -> list[tuple[str, Any]]:
    """What a reading asks the database."""
    found: list[tuple[str, Any]] = []
    engine: Any = log.db.engine.sync_engine if not log.db.is_sqlite else log.db._reader._engine  # type: ignore[attr-defined]

    def note(connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:
        if statement.lstrip().startswith("SELECT"):
            found.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", note)
    await act()
    event.remove(engine, "before_cursor_execute", note)
    return found


async def plan_of(log: Record, statement: str, parameters: Any) -> str:
    prefix = "EXPLAIN QUERY PLAN " if log.db.is_sqlite else "EXPLAIN "
    async with log.db.engine.begin() as connection:
        rows = (await connection.exec_driver_sql(prefix + statement, tuple(parameters))).all()
    return str([row[-1] for row in rows])
