"""Somebody who may write to the database changes the record; `verify` names the first place where it shows."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from terrapod_core.audit import AuditCheckpoint, AuditEntry, AuditSegment, CheckpointKeys, read_anchors, verify
from terrapod_core.audit.chain import COLUMNS, Link, link_hash
from terrapod_core.audit.sealer import find_head
from terrapod_core.secrets import Keyring, new_key
from terrapod_core.testing.keys import key_text
from tests.support.record import Record


async def id_of(log: Record, number: int) -> str:
    return await log.db.read(lambda session: session.execute(select(AuditEntry.id).where(AuditEntry.seal_no == number)).scalar_one())


async def rewrite(log: Record, first: int) -> None:
    """Hash everything from here on anew, as whoever knows the program can."""

    def hashes(session: Session) -> list[tuple[int, str]]:
        found: list[tuple[int, str]] = []
        previous: Any = session.execute(select(AuditEntry.hash).where(AuditEntry.seal_no == first - 1)).scalar_one()
        query = select(*COLUMNS).where(AuditEntry.seal_no >= first).order_by(AuditEntry.seal_no)
        for row in session.execute(query):
            previous = link_hash(Link.of(row), previous, row.seal_no)
            found.append((row.seal_no, previous))
        return found

    for number, made in await log.db.read(hashes):
        await log.tamper(f"UPDATE audit_entries SET hash = '{made}' WHERE seal_no = {number}")


async def test_an_empty_record_is_good(log: Record) -> None:
    found = await log.verify()
    assert (found.broken, found.entries, found.head) == (None, 0, "")


@pytest.mark.parametrize(
    "change",
    [
        "actor_name = 'mallory'",
        "at = '2020-01-01 00:00:00.000000'",
        'detail = \'{"name": "net"}\'',
        "address = ''",
        "request_id = 'req-1'",
        "outcome = 'refused'",
        "hash = 'ab'",
    ],
)
async def test_an_edited_entry_is_named(log: Record, change: str) -> None:
    await log.sealed(9)
    await log.tamper(f"UPDATE audit_entries SET {change} WHERE seal_no = 4")
    assert await log.broken() == (
        f"number 4 ({await id_of(log, 4)}) is not what was sealed: it was changed, moved, or put in another's place"
    )
    assert (await log.verify()).entries == 3


async def test_a_deleted_entry_is_a_gap(log: Record) -> None:
    await log.sealed(9)
    await log.tamper("DELETE FROM audit_entries WHERE seal_no IN (5, 6)")
    assert "number 5 is missing, the next entry is number 7" in await log.broken()


async def test_the_first_of_two_changes_is_named(log: Record) -> None:
    await log.sealed(9)
    await log.tamper("DELETE FROM audit_entries WHERE seal_no = 7", "UPDATE audit_entries SET action = 'x.y' WHERE seal_no = 3")
    assert (await log.broken()).startswith("number 3 ")


async def test_a_gap_that_was_closed_by_renumbering_is_seen(log: Record) -> None:
    await log.sealed(9)
    await log.tamper(
        "DELETE FROM audit_entries WHERE seal_no = 5",
        *(f"UPDATE audit_entries SET seal_no = {number - 1} WHERE seal_no = {number}" for number in range(6, 10)),
    )
    assert (await log.broken()).startswith("number 5 ")


async def test_two_entries_that_changed_places_are_seen(log: Record) -> None:
    await log.sealed(9)
    await log.tamper(
        "UPDATE audit_entries SET seal_no = 100 WHERE seal_no = 4",
        "UPDATE audit_entries SET seal_no = 4 WHERE seal_no = 5",
        "UPDATE audit_entries SET seal_no = 5 WHERE seal_no = 100",
    )
    assert (await log.broken()).startswith("number 4 ")


@pytest.mark.parametrize("number", [4, 1000])
async def test_a_fork_is_named_also_between_two_pages(log: Record, number: int) -> None:
    await log.sealed(1003)
    await log.tamper("DROP INDEX uq_audit_entries_seal_no")
    await log.tamper(f"UPDATE audit_entries SET seal_no = {number} WHERE seal_no = 1003")
    broken = await log.broken()
    # Which of the two comes first is chance: their ids are.
    assert f"number {number} is there twice" in broken or broken.startswith(f"number {number} (")


async def test_entries_planted_below_the_chain_are_seen(log: Record) -> None:
    await log.sealed(3)
    await log.write(1)
    await log.tamper("UPDATE audit_entries SET seal_no = 0, hash = 'x' WHERE seal_no IS NULL")
    assert "never given" in await log.broken()


# -- the end of the chain


async def test_a_cut_end_is_seen_by_the_checkpoint_behind_it(log: Record) -> None:
    await log.sealed(9)
    await log.checkpoint()
    await log.tamper("DELETE FROM audit_entries WHERE seal_no > 6")
    assert await log.broken() == "the chain ends at number 6, and a checkpoint signs number 9: its end was cut off"


async def test_a_record_that_was_emptied_is_seen(log: Record) -> None:
    await log.sealed(9)
    await log.checkpoint()
    await log.tamper("DELETE FROM audit_entries", "DELETE FROM audit_segments")
    assert "the row that names their chain is gone" in await log.broken()


async def test_an_end_cut_off_with_its_checkpoint_is_seen_by_an_anchor_alone(log: Record, tmp_path: Path) -> None:
    anchor = tmp_path / "anchors.jsonl"
    await log.sealed(5)
    await log.checkpoint(anchor)
    await log.sealed(4)
    await log.checkpoint(anchor)
    assert (await log.verify(read_anchors(anchor))).anchors == 2
    await log.tamper("DELETE FROM audit_entries WHERE seal_no > 5", "DELETE FROM audit_checkpoints WHERE seal_no > 5")
    assert (await log.verify()).broken is None
    expected = "the chain ends at number 5, and line 2 of the anchors signs number 9: its end was cut off"
    assert await log.broken(read_anchors(anchor)) == expected


async def test_a_rewritten_chain_is_seen_by_its_checkpoint(log: Record) -> None:
    await log.sealed(9)
    await log.checkpoint()
    await log.tamper("UPDATE audit_entries SET actor_name = 'mallory' WHERE seal_no = 4")
    await rewrite(log, 4)
    assert (await log.broken()).startswith("the checkpoint at number 9 signs another entry")


async def test_a_rewritten_chain_whose_checkpoint_was_rewritten_too_is_seen_by_the_signature(log: Record) -> None:
    await log.sealed(9)
    await log.checkpoint()
    await log.tamper("UPDATE audit_entries SET actor_name = 'mallory' WHERE seal_no = 4")
    await rewrite(log, 4)
    await log.tamper("UPDATE audit_checkpoints SET hash = (SELECT hash FROM audit_entries WHERE audit_entries.seal_no = 9)")
    assert "the checkpoint at number 9 bears a signature that the key" in await log.broken()


async def test_a_checkpoint_signed_with_another_key_under_our_keys_name_is_forged(log: Record) -> None:
    await log.sealed(9)
    await log.checkpoint()
    row = await log.db.read(lambda session: session.execute(select(AuditCheckpoint)).scalar_one())
    name = log.keyring.newest
    CheckpointKeys(Keyring(f"{name}:{new_key().partition(':')[2]}")).sign(row)
    await log.tamper(f"UPDATE audit_checkpoints SET public_key = '{row.public_key}', signature = '{row.signature}'")
    assert f"bears a signature that the key {name} did not make" in await log.broken()


async def test_a_chain_rewritten_without_its_checkpoints_is_seen_by_an_anchor(log: Record, tmp_path: Path) -> None:
    anchor = tmp_path / "anchors.jsonl"
    await log.sealed(9)
    await log.checkpoint(anchor)
    await log.tamper("UPDATE audit_entries SET actor_name = 'mallory' WHERE seal_no = 4", "DELETE FROM audit_checkpoints")
    await rewrite(log, 4)
    assert (await log.verify()).broken is None
    assert (await log.broken(read_anchors(anchor))).startswith("line 1 of the anchors signs another entry as number 9")


async def test_a_record_that_was_begun_anew_is_seen_by_an_anchor(log: Record, tmp_path: Path) -> None:
    anchor = tmp_path / "anchors.jsonl"
    await log.sealed(3)
    await log.checkpoint(anchor)
    await log.tamper(*(f"DELETE FROM audit_{table}" for table in ("entries", "segments", "checkpoints")))
    await log.sealed(5)
    assert (await log.verify()).broken is None
    assert "the record was replaced" in await log.broken(read_anchors(anchor))


async def test_a_deleted_checkpoint_is_missed(log: Record) -> None:
    for _ in range(3):
        await log.sealed(3)
        await log.checkpoint()
    await log.tamper("DELETE FROM audit_checkpoints WHERE seal_no = 6")
    assert await log.broken() == "the checkpoint at number 9 is over 3 entries: the one before it was deleted"


async def test_a_thousand_entries_without_a_checkpoint_are_suspicious(log: Record) -> None:
    await log.sealed(1002)
    await log.tamper("DELETE FROM audit_checkpoints")
    assert await log.broken() == "no checkpoint covers the numbers 1 to 1000: it was deleted"


# -- keys


async def test_a_key_that_was_rotated_still_verifies_while_it_is_given(log: Record) -> None:
    old = new_key()
    log.keyring = Keyring(old)
    await log.sealed(3)
    await log.checkpoint()
    log.keyring = Keyring(f"{new_key()},{old}")
    await log.sealed(3)
    await log.checkpoint()
    found = await log.verify()
    assert (found.broken, found.checkpoints, found.keys_not_given) == (None, 2, set())


async def test_a_key_that_is_not_given_is_said_and_a_newer_checkpoint_vouches_for_the_older(log: Record) -> None:
    gone = log.keyring.newest
    await log.sealed(3)
    await log.checkpoint()
    log.keyring = Keyring(new_key())
    await log.sealed(3)
    await log.checkpoint()
    found = await log.verify()
    assert (found.broken, found.keys_not_given) == (None, {gone})


async def test_a_record_rewritten_and_signed_with_a_key_that_nobody_gave_is_not_good(log: Record) -> None:
    await log.sealed(3)
    await log.checkpoint()
    await log.sealed(3)
    await log.checkpoint()
    await log.tamper("UPDATE audit_entries SET actor_name = 'mallory' WHERE seal_no = 5")
    await rewrite(log, 5)
    row = await log.db.read(lambda session: session.get_one(AuditCheckpoint, 6))
    row.hash = await log.db.read(lambda session: session.execute(select(AuditEntry.hash).where(AuditEntry.seal_no == 6)).scalar_one() or "")
    CheckpointKeys(Keyring(key_text("some-old-key"))).sign(row)
    await log.tamper(
        f"UPDATE audit_checkpoints SET hash = '{row.hash}', key_id = '{row.key_id}', public_key = '{row.public_key}', "
        f"signature = '{row.signature}' WHERE seal_no = 6"
    )
    assert await log.broken() == (
        "the newest checkpoint, at number 6, is signed with a key that is not given: nothing proves the entries from number 4 on. "
        "Add the key some-old-key to the keys, behind the newest"
    )


# -- several segments


async def begin_segment(log: Record) -> None:
    """As a restore from a backup does."""
    head = await log.db.read(find_head)
    assert head is not None
    async with log.db.uow() as uow:
        begun = {"format": 1, "started_at": uow.now(), "previous_hash": head.hash, "first_seal_no": head.seal_no + 1}
        uow.add(AuditSegment(segment=head.segment.segment + 1, chain_id=head.segment.chain_id, **begun))
        await uow.commit()


async def test_a_chain_goes_on_in_another_segment(log: Record) -> None:
    await log.sealed(3)
    await log.checkpoint()
    await begin_segment(log)
    await log.sealed(4)
    await log.checkpoint()
    found = await log.verify()
    assert (found.broken, found.entries, found.checkpoints) == (None, 7, 2)


async def test_a_segment_that_does_not_follow_the_one_before_is_seen(log: Record) -> None:
    await log.sealed(3)
    await begin_segment(log)
    await log.sealed(3)
    await log.tamper("UPDATE audit_segments SET previous_hash = '' WHERE segment = 2")
    assert await log.broken() == "segment 2 of the chain does not begin where segment 1 ended"


# -- while the server goes on


async def test_what_waits_is_said(log: Record) -> None:
    await log.sealed(3)
    await log.write(2)
    log.clock.advance(timedelta(seconds=30))
    found = await log.verify()
    assert (found.broken, found.entries, found.unsealed, found.uncovered) == (None, 3, 2, 3)
    assert found.oldest_unsealed is not None


async def test_an_anchor_that_is_written_during_the_look_breaks_nothing(
    log: Record, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    anchor, read = tmp_path / "anchors", log.db.read
    await log.sealed(3)
    await log.checkpoint(anchor)

    async def then_signed(query: Callable[[Session], Any]) -> Any:
        found = await read(query)
        if query is find_head:
            monkeypatch.undo()
            await log.sealed(3)
            await log.checkpoint(anchor)
        return found

    monkeypatch.setattr(log.db, "read", then_signed)
    found = await log.verify(read_anchors(anchor))
    assert (found.broken, found.anchors) == (None, 1)


async def test_what_is_sealed_and_signed_during_the_walk_breaks_nothing(log: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    await log.sealed(1500)
    read, told, more = log.db.read, [], [True]

    async def slowly(query: Callable[[Session], Any]) -> Any:
        found = await read(query)
        if isinstance(found, list) and found and isinstance(found[0], Link) and more.pop():
            more.append(False)
            await log.checkpoint()
            await log.sealed(700)
        return found

    monkeypatch.setattr(log.db, "read", slowly)
    found = await verify(log.db, log.objects, CheckpointKeys(log.keyring), (), lambda done, of: told.append((done, of)))
    assert (found.broken, told) == (None, [(1000, 1500), (1500, 1500)])
    assert await log.numbers() == list(range(1, 2201))
