"""From entries that were written to a chain without gaps, whoever writes and seals, and whatever dies on the way."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, select, text
from sqlalchemy.exc import DBAPIError

from terrapod_core.audit import AnchorFile, AuditCheckpoint, AuditEntry, AuditSegment, handlers, read_anchors, record, sealer as sealing
from terrapod_core.audit.checkpoints import Checkpoint
from terrapod_core.audit.sealer import BATCH, CHECKPOINT_ENTRIES
from terrapod_core.db import Database
from terrapod_core.errors import Conflict
from tests.support.record import ALICE, Record


async def test_entries_get_numbers_without_a_gap(log: Record) -> None:
    await log.sealed(3)
    await log.sealed(4)
    assert await log.numbers() == [1, 2, 3, 4, 5, 6, 7]
    found = await log.verify()
    assert (found.broken, found.entries, found.unsealed) == (None, 7, 0)


async def test_more_than_a_batch_is_sealed_in_one_run(log: Record) -> None:
    await log.sealed(2 * BATCH + 7)
    assert await log.numbers() == list(range(1, 2 * BATCH + 8))


async def test_eight_writers_and_two_replicas_make_one_chain(log: Record, migrated_url: str) -> None:
    other = Database(migrated_url)
    try:
        await log.many(writers=8, each=25, sealers=2, databases=[log.db, other])
    finally:
        await other.close()
    assert await log.numbers() == list(range(1, 201))
    assert await log.count(AuditSegment) == 1
    assert (await log.verify()).broken is None


async def test_what_is_committed_late_joins_the_next_batch(log: Record) -> None:
    if log.db.is_sqlite:
        pytest.skip("SQLite has one writer: nobody is late")
    async with log.db.uow() as late:
        record(late, ALICE, "workspace.delete", "workspaces", "ws-late")
        await late.flush()
        await log.sealed(3)
        await late.commit()
    await log.sealer().run()
    assert await log.numbers() == [1, 2, 3, 4]
    last = await log.db.read(lambda session: session.execute(select(AuditEntry).where(AuditEntry.seal_no == 4)).scalar_one())
    assert last.resource_id == "ws-late"
    assert (await log.verify()).broken is None


async def test_a_sealer_that_dies_in_the_middle_of_a_batch_leaves_nothing_half_done(log: Record) -> None:
    await log.sealed(5)
    await log.write(5)

    def die(connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:
        if statement.startswith("UPDATE audit_entries"):
            raise asyncio.CancelledError

    event.listen(log.db.engine.sync_engine, "after_cursor_execute", die)
    with pytest.raises(asyncio.CancelledError):
        await log.sealer().run()
    event.remove(log.db.engine.sync_engine, "after_cursor_execute", die)
    assert await log.numbers() == [1, 2, 3, 4, 5, None, None, None, None, None]
    await log.sealer().run()
    assert await log.numbers() == list(range(1, 11))
    assert (await log.verify()).broken is None


async def test_with_nothing_to_seal_a_run_is_one_small_read(log: Record) -> None:
    sealer = log.sealer()
    await log.write(1)
    await sealer.run()
    await sealer.run()
    written: list[str] = []
    event.listen(log.db.engine.sync_engine, "before_cursor_execute", lambda *said: written.append(said[2]))
    for _ in range(10):
        await sealer.run()
    if log.db.is_sqlite:
        assert written == [], "the one writer was asked"
    else:
        assert len(written) == 10
        assert all(statement.startswith("SELECT") for statement in written)
    plan = await explain(log, "SELECT id FROM audit_entries WHERE seal_no IS NULL ORDER BY at, id LIMIT 1")
    assert "ix_audit_entries_unsealed" in plan


async def explain(log: Record, statement: str) -> str:
    prefix = "EXPLAIN QUERY PLAN" if log.db.is_sqlite else "EXPLAIN"
    async with log.db.engine.begin() as connection:
        if not log.db.is_sqlite:
            await connection.execute(text("SET LOCAL enable_seqscan = off"))
        return str((await connection.execute(text(f"{prefix} {statement}"))).all())


# -- checkpoints


async def checkpoints(log: Record) -> list[tuple[int, int]]:
    """Number and count of each."""
    query = select(AuditCheckpoint.seal_no, AuditCheckpoint.count).order_by(AuditCheckpoint.seal_no)
    return await log.db.read(lambda session: [(number, count) for number, count in session.execute(query)])


async def test_a_thousand_entries_make_a_checkpoint(log: Record) -> None:
    await log.sealed(CHECKPOINT_ENTRIES - 1)
    assert await checkpoints(log) == []
    await log.sealed(CHECKPOINT_ENTRIES + 2)
    assert await checkpoints(log) == [(1000, 1000), (2000, 1000)]
    assert (await log.verify()).uncovered == 1


async def test_ten_minutes_make_a_checkpoint_when_there_is_something_new(log: Record) -> None:
    sealer = log.sealer()
    await log.write(3)
    await sealer.run()
    log.clock.advance(timedelta(minutes=9))
    await sealer.run()
    assert await checkpoints(log) == []
    log.clock.advance(timedelta(minutes=2))
    await sealer.run()
    log.clock.advance(timedelta(hours=1))
    await sealer.run()
    assert await checkpoints(log) == [(3, 3)]
    await log.write(1)
    await sealer.run()
    assert await checkpoints(log) == [(3, 3), (4, 1)]


async def test_a_file_begun_late_gets_every_checkpoint_a_few_at_a_time(
    log: Record, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealing, "ANCHORED_AT_ONCE", 2)
    for _ in range(5):
        await log.sealed(1)
        await log.checkpoint()
    anchor, appended = AnchorFile(tmp_path / "anchors"), list[int]()
    real = AnchorFile.append

    def append(file: AnchorFile, checkpoints: Sequence[Checkpoint]) -> None:
        appended.append(len(checkpoints))
        real(file, checkpoints)

    monkeypatch.setattr(AnchorFile, "append", append)
    await log.sealer(anchor.path).run()
    assert appended == [2, 2, 1]
    assert [each.seal_no for _, each in read_anchors(anchor.path)] == [1, 2, 3, 4, 5]


async def test_a_chain_in_a_newer_format_is_left_alone(log: Record) -> None:
    await log.sealed(1)
    await log.tamper("UPDATE audit_segments SET format = 2")
    await log.write(1)
    with pytest.raises(Conflict, match="format 2; this version knows format 1"):
        await log.sealer().run()
    assert await log.numbers() == [1, None]


# -- what the database itself refuses


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_entries SET actor_name = 'mallory' WHERE seal_no = 1",
        "UPDATE audit_entries SET hash = 'x' WHERE seal_no = 1",
        "UPDATE audit_entries SET seal_no = 9 WHERE seal_no = 1",
        "UPDATE audit_entries SET seal_no = NULL, hash = NULL WHERE seal_no = 1",
        "UPDATE audit_entries SET action = 'nothing' WHERE seal_no IS NULL",
        "UPDATE audit_entries SET detail = '{}', seal_no = 3, hash = 'x' WHERE seal_no IS NULL",
        "UPDATE audit_entries SET seal_no = 3 WHERE seal_no IS NULL",
        "DELETE FROM audit_entries WHERE seal_no = 2",
        "DELETE FROM audit_entries WHERE seal_no IS NULL",
        "DELETE FROM audit_entries",
        "UPDATE audit_segments SET chain_id = 'x'",
        "DELETE FROM audit_segments",
        "UPDATE audit_checkpoints SET hash = 'x'",
        "DELETE FROM audit_checkpoints",
    ],
)
async def test_the_database_refuses_to_change_the_record(log: Record, statement: str) -> None:
    await log.sealed(2)
    await log.checkpoint()
    await log.write(1)
    with pytest.raises(DBAPIError, match="never changed|only after they were archived|only grows"):
        async with log.db.engine.begin() as connection:
            await connection.execute(text(statement))
    assert (await log.verify()).broken is None
    assert await log.numbers() == [1, 2, None]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE OR REPLACE audit_entries SET seal_no = 1, hash = 'x' WHERE seal_no IS NULL",
        "INSERT OR REPLACE INTO audit_segments SELECT segment, 'x', format, first_seal_no, previous_hash, started_at FROM audit_segments",
        "INSERT OR REPLACE INTO audit_checkpoints SELECT seal_no, chain_id, segment, 'x', count, at, key_id, '', '' FROM audit_checkpoints",
    ],
)
async def test_no_replacing_statement_of_sqlite_deletes_behind_the_triggers(log: Record, statement: str) -> None:
    if not log.db.is_sqlite:
        pytest.skip("PostgreSQL has no REPLACE, and ON CONFLICT asks the triggers for updates")
    await log.sealed(2)
    await log.checkpoint()
    await log.write(1)
    with pytest.raises(DBAPIError, match="never changed|only grows"):
        async with log.db.engine.begin() as connection:
            await connection.execute(text(statement))
    assert (await log.verify()).broken is None


async def test_the_database_refuses_to_replace_or_truncate(log: Record) -> None:
    await log.sealed(2)
    columns = "id, at, actor_kind, actor_id, actor_name, action, resource_type, resource_id, outcome, detail, seal_no, hash"
    if log.db.is_sqlite:
        statement = f"INSERT OR REPLACE INTO audit_entries ({columns}) SELECT {columns} FROM audit_entries WHERE seal_no = 1"
    else:
        statement = "TRUNCATE audit_entries"
    with pytest.raises(DBAPIError, match="never changed|only after they were archived"):
        async with log.db.engine.begin() as connection:
            await connection.execute(text(statement))


# -- what readiness says


async def test_readiness_says_when_nobody_seals(log: Record) -> None:
    await log.write(2)
    log.clock.advance(seconds=59)
    assert await handlers.lateness(log.db) is None
    log.clock.advance(seconds=30)
    assert await handlers.lateness(log.db) == "2 entries wait to be sealed, the oldest for 89 s: no process seals"
    await log.sealer().run()
    assert await handlers.lateness(log.db) is None
