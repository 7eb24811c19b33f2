"""Old entries move to the object store: nothing is lost, nothing is there twice, and the chain goes on."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from importlib import import_module
from typing import Any

import pytest
from sqlalchemy import event, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from terrapod_core.audit import Archiver, AuditArchive, AuditEntry, AuditLog, Filters, archive as archiving, lines_of, walk
from terrapod_core.authz import Authorizer
from terrapod_core.jsonapi import PageRequest
from tests.support.record import Record
from tests.support.rooms import ROOT

KEEP = timedelta(days=30)
WALKING: Any = import_module("terrapod_core.audit.walk")
"""The module: the package shows the function of that name."""


def archiver(log: Record) -> Archiver:
    return Archiver(log.db, log.objects, KEEP)


async def old(log: Record, count: int) -> None:
    """Entries with a checkpoint, a month and a day ago."""
    await log.sealed(count)
    await log.checkpoint()
    log.clock.advance(days=31)


async def whole(log: Record) -> bytes:
    """Every sealed entry, from wherever it is."""
    return b"".join([lines_of(page) async for page in walk(log.db, log.objects)])


async def good(log: Record, entries: int) -> None:
    """Nothing is broken and nothing is missing."""
    found = await log.verify()
    assert (found.broken, found.entries) == (None, entries)


async def test_old_entries_move_and_the_chain_goes_on(log: Record) -> None:
    await old(log, 7)
    before = await whole(log)
    await log.sealed(3)
    await archiver(log).run()
    assert await log.numbers() == [8, 9, 10, None], "the entry about the archive waits"
    assert (await whole(log)).startswith(before)
    await log.sealed(2)
    await good(log, 13)
    archive = await log.db.read(lambda session: session.execute(select(AuditArchive)).scalar_one())
    assert (archive.first_seal_no, archive.last_seal_no, archive.count) == (1, 7, 7)
    assert list(log.storage.objects) == [archive.object_key]
    assert b"workspace.update" not in log.storage.objects[archive.object_key], "it is not encrypted"


async def test_the_chain_goes_on_when_everything_was_archived(log: Record) -> None:
    await old(log, 5)
    await archiver(log).run()
    await log.sealed(1)
    assert await log.numbers() == [6, 7]
    await good(log, 7)


async def test_everything_may_be_archived_between_two_looks_of_a_walk(log: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    await old(log, 5)
    look = WALKING._archive_with
    looked = []

    def then_archived(session: Session, seal_no: int) -> AuditArchive | None:
        looked.append(seal_no)
        return None if len(looked) == 1 else look(session, seal_no)

    await archiver(log).run()
    monkeypatch.setattr(WALKING, "_archive_with", then_archived)
    await good(log, 5)


async def test_nothing_moves_without_the_setting_or_before_its_time(log: Record) -> None:
    await old(log, 5)
    await Archiver(log.db, log.objects, None).run()
    await Archiver(log.db, log.objects, timedelta(days=60)).run()
    assert await log.numbers() == [1, 2, 3, 4, 5]
    assert log.storage.objects == {}


async def test_only_what_a_checkpoint_signs_moves(log: Record) -> None:
    await old(log, 5)
    await log.sealed(3)
    assert (await log.verify()).uncovered == 0, "the checkpoint was due"
    await log.sealed(4)
    log.clock.advance(days=31)
    await archiver(log).run()
    assert await log.numbers() == [9, 10, 11, 12, None]


async def test_many_entries_move_in_ranges(log: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archiving, "RANGE", 10)
    for _ in range(5):
        await log.sealed(4)
        await log.checkpoint()
    log.clock.advance(days=31)
    await archiver(log).run()
    ranges = await log.db.read(
        lambda session: session.execute(
            select(AuditArchive.first_seal_no, AuditArchive.last_seal_no).order_by(AuditArchive.first_seal_no)
        ).all()
    )
    assert [tuple(row) for row in ranges] == [(1, 8), (9, 16), (17, 20)]
    await log.sealer().run()
    await good(log, 23)


@pytest.mark.parametrize("at", ["INSERT INTO audit_archives", "DELETE FROM audit_entries"])
async def test_a_crash_while_an_archive_takes_over_loses_and_doubles_nothing(log: Record, at: str) -> None:
    await old(log, 6)
    before = await whole(log)

    def die(connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:
        if statement.startswith(at):
            raise asyncio.CancelledError

    event.listen(log.db.engine.sync_engine, "after_cursor_execute", die)
    with pytest.raises(asyncio.CancelledError):
        await archiver(log).run()
    event.remove(log.db.engine.sync_engine, "after_cursor_execute", die)
    assert await log.numbers() == [1, 2, 3, 4, 5, 6]
    await good(log, 6)
    await archiver(log).run()
    assert await whole(log) == before
    assert await log.count(AuditArchive) == 1


async def test_a_crash_after_the_object_was_stored_leaves_an_object_that_nobody_names(log: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    await old(log, 6)
    before = await whole(log)

    async def die(*_: Any) -> bool:
        raise asyncio.CancelledError

    with monkeypatch.context() as patch:
        # As a process that is killed: nothing is tidied up.
        patch.setattr("terrapod_core.storage.claims.Claims.settle", die)
        with pytest.raises(asyncio.CancelledError):
            await archiver(log).run()
    assert len(log.storage.objects) == 1
    await archiver(log).run()
    assert await whole(log) == before
    await log.sealer().run()
    await good(log, 7)


async def test_two_processes_that_archive_at_once_archive_once(log: Record) -> None:
    await old(log, 6)
    before = await whole(log)
    await asyncio.gather(*(archiver(log).run() for _ in range(3)))
    assert await log.count(AuditArchive) == 1
    assert len(log.storage.objects) == 1, "the slower ones left theirs behind"
    assert await whole(log) == before


async def test_a_broken_range_stays_as_evidence(log: Record) -> None:
    await old(log, 6)
    await log.tamper("UPDATE audit_entries SET actor_name = 'mallory' WHERE seal_no = 3")
    await archiver(log).run()
    assert await log.numbers() == [1, 2, 3, 4, 5, 6]
    assert log.storage.objects == {}


async def test_an_object_that_does_not_read_back_deletes_nothing(log: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    await old(log, 6)
    write = log.storage.write

    async def torn(key: str, chunks: Any) -> Any:
        found = await write(key, chunks)
        log.storage.objects[key] = log.storage.objects[key][:-1]
        return found

    monkeypatch.setattr(log.storage, "write", torn)
    await archiver(log).run()
    assert await log.numbers() == [1, 2, 3, 4, 5, 6]


# -- what verify sees in archives


async def archived(log: Record) -> str:
    """Six archived entries, three behind them; the key of the object."""
    await old(log, 6)
    await archiver(log).run()
    await log.sealed(2)
    return next(iter(log.storage.objects))


async def test_a_missing_archive_is_named(log: Record) -> None:
    await log.storage.delete(await archived(log))
    assert "the archive of the numbers 1 to 6 cannot be read" in await log.broken()


async def test_a_damaged_archive_is_named(log: Record) -> None:
    key = await archived(log)
    content = log.storage.objects[key]
    log.storage.objects[key] = content[: len(content) // 2] + bytes([content[len(content) // 2] ^ 1]) + content[len(content) // 2 + 1 :]
    assert "the archive of the numbers 1 to 6" in await log.broken()


@pytest.mark.parametrize("change", ["sha256 = 'ab'", "last_hash = 'ab'", "last_seal_no = 5"])
async def test_another_archive_than_the_stored_one_is_seen(log: Record, change: str) -> None:
    await archived(log)
    await log.tamper(f"UPDATE audit_archives SET {change}")
    assert "the archive of the numbers 1 to" in await log.broken()


async def test_entries_put_back_beside_their_archive_are_seen(log: Record) -> None:
    await archived(log)
    await log.write(1)
    await log.tamper("UPDATE audit_entries SET seal_no = 4, hash = 'x' WHERE seal_no IS NULL")
    assert "number is archived" in await log.broken()


async def test_the_database_lets_go_of_archived_entries_alone(log: Record) -> None:
    await archived(log)
    for statement in (
        "DELETE FROM audit_entries WHERE seal_no = 7",
        "UPDATE audit_archives SET last_seal_no = 9",
        "DELETE FROM audit_archives",
    ):
        with pytest.raises(DBAPIError, match="only after they were archived|only grows"):
            async with log.db.engine.begin() as connection:
                await connection.execute(text(statement))


async def test_totals_count_what_is_in_the_table(log: Record) -> None:
    await archived(log)
    page = await AuditLog(log.db, Authorizer()).list(ROOT, Filters(), PageRequest())
    assert page.total == len(page.items) == 3
    assert await log.count(AuditEntry) == 4, "the reading was written down behind it"
