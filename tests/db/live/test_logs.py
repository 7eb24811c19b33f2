"""Logs for many readers: at the end, from memory; anywhere, without what came before; on streams, one read for all."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Any

import pytest

from terrapod_core.authz import Authorizer
from terrapod_core.db import Database
from terrapod_core.errors import NotFound
from terrapod_core.live.following import PIECE_BYTES, Following
from terrapod_core.live.guards import Guards
from terrapod_core.runs import Logs, Phase, Run
from terrapod_core.runs.tails import KEPT_BYTES
from terrapod_core.secrets import Keyring, new_key
from terrapod_core.storage import Objects
from terrapod_core.testing import MemoryStorage
from tests.db.live.conftest import Process, read
from tests.support.rooms import ALICE, BOB

MiB = 1024 * 1024


class CountedStorage(MemoryStorage):
    """Counts the bytes that are read of it."""

    seen = 0

    async def read(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        async for piece in super().read(key, start, end):
            self.seen += len(piece)
            yield piece


class Server:
    """The logs of one server; counts how often it reads what is stored."""

    def __init__(self, db: Database, storage: CountedStorage, keyring: Keyring) -> None:
        self.db = db
        self.logs = Logs(db, Objects(storage, keyring), keyring)
        self.reads = 0
        self.opened = 0
        stored, opened = self.logs._stored, self.logs._opened

        async def counted(*arguments: Any) -> bytes:
            self.reads += 1
            return await stored(*arguments)

        def opening(phase_id: str, start: int, sealed: bytes) -> bytes:
            text = opened(phase_id, start, sealed)
            self.opened += len(text)
            return text

        self.logs._stored = counted  # type: ignore[assignment, method-assign]
        self.logs._opened = opening  # type: ignore[method-assign]

    async def append(self, phase_id: str, *pieces: bytes, close: bool = False) -> None:
        async with self.db.uow() as uow:
            phase = await uow.session.get_one(Phase, phase_id, with_for_update=True)
            for piece in pieces:
                self.logs.append(uow, phase, piece)
            if close:
                self.logs.close(uow, phase)
                phase.finished_at = uow.now()
            await uow.commit()


class Place:
    """A plan whose log is written on one server and read on two."""

    def __init__(self, process: Process, other: Process, workspace_id: str, phase_id: str) -> None:
        self.process = process
        self.workspace_id = workspace_id
        self.phase_id = phase_id
        self.storage = CountedStorage()
        keyring = Keyring(new_key())
        self.here, self.there = Server(process.db, self.storage, keyring), Server(other.db, self.storage, keyring)

    def follow(self, server: Server, offset: int = 0, *, in_words: bool = False) -> Follower:
        guards = Guards(server.db)
        return Follower(Following(server.logs, Authorizer(), guards, self.phase_id, self.workspace_id, offset, in_words=in_words))


class Follower:
    """Somebody at a stream of the log."""

    def __init__(self, source: Following) -> None:
        self.source = source
        self.text = ""
        self.ended = False
        self.woken = asyncio.Event()
        source.begin(self.woken.set)

    async def now(self) -> None:
        while piece := await self.source.take(ALICE):
            for told in read(piece):
                if told.name == "end":
                    self.ended = True
                else:
                    assert told.data["offset"] <= told.id
                    self.text += told.data["text"]

    async def until(self, text: str) -> None:
        """Return when this is all there is so far."""
        async with asyncio.timeout(30):
            while True:
                self.woken.clear()
                await self.now()
                if self.text == text:
                    return
                await self.woken.wait()


@pytest.fixture
async def place(process: Process, other: Process) -> AsyncIterator[Place]:
    workspace = await process.house.workspace()
    async with process.db.uow() as uow:
        uow.add(a_run(workspace.id, process))
        await uow.flush()
        uow.add(Phase(id="plan-1", run_id="run-1", kind="plan", status="running", epoch=1))
        await uow.commit()
    place = Place(process, other, workspace.id, "plan-1")
    yield place
    for server in (place.here, place.there):
        await server.logs.stop_following()


def a_run(workspace_id: str, process: Process) -> Run:
    flags = ("is_destroy", "refresh_only", "plan_only", "save_plan", "auto_apply", "allow_empty_apply", "allow_config_generation")
    return Run(
        id="run-1", workspace_id=workspace_id, configuration_version_id="cv-1", plan_id="plan-1", apply_id="apply-1", status="planning",
        message="", source="tfe-api", trigger_reason="manual", refresh=True, trusted=True, target_addrs=[], replace_addrs=[],
        terraform_version="1.11.4", status_timestamps={}, created_at=process.clock.now(), **dict.fromkeys(flags, False),
    )  # fmt: skip


async def test_two_hundred_followers_of_one_log_cost_no_reading_of_it(place: Place) -> None:
    followers = [place.follow(place.here) for _ in range(200)]
    for follower in followers:
        await follower.now()
    for number in range(3):
        await place.here.append("plan-1", b"line %d\n" % number)
    await place.here.append("plan-1", close=True)
    for follower in followers:
        await follower.until("line 0\nline 1\nline 2\n\x03")
        assert follower.ended
    assert place.here.reads == 0


async def test_what_another_server_appends_is_read_once_for_all_who_follow(place: Place) -> None:
    followers = [place.follow(place.there) for _ in range(50)]
    for follower in followers:
        await follower.now()
    await place.here.append("plan-1", b"first\n")
    for follower in followers:
        await follower.until("first\n")
    await place.here.append("plan-1", b"second\n", close=True)
    for follower in followers:
        await follower.until("first\nsecond\n\x03")
        assert follower.ended
    # One reading for each piece, and one more if a look came between the two halves of the second.
    assert place.there.reads <= 3


async def test_a_follower_who_comes_late_has_the_whole_log_and_one_who_comes_back_the_rest(place: Place) -> None:
    text = "".join(f"line {number}: prüfen ✓\n" for number in range(40_000))
    data = text.encode()
    for at in range(0, len(data), 60_001):  # characters are cut in two
        await place.here.append("plan-1", data[at : at + 60_001])
    assert len(data) > 3 * KEPT_BYTES
    late, back = place.follow(place.there), place.follow(place.here, len(data) - 2 * PIECE_BYTES)
    await late.until(text)
    await back.now()
    assert data[len(data) - 2 * PIECE_BYTES :].decode("utf-8", "replace") == back.text
    await place.here.append("plan-1", close=True)
    await late.until(text + "\x03")


async def test_a_character_that_is_cut_waits_for_its_rest(place: Place) -> None:
    follower = place.follow(place.here)
    await follower.now()
    first, rest = "✓\n".encode()[:2], "✓\n".encode()[2:]
    await place.here.append("plan-1", b"ok " + first)
    await follower.until("ok ")
    await place.here.append("plan-1", rest)
    await follower.until("ok ✓\n")
    await place.here.append("plan-1", b"\xe2\x9c", close=True)
    await follower.until("ok ✓\n\ufffd\x03")
    assert follower.ended


async def test_nothing_is_told_to_who_may_not_read_the_run(place: Place) -> None:
    source = place.follow(place.here).source
    await place.here.append("plan-1", b"secret\n")
    assert await source.take(BOB) is None


async def test_terraforms_own_reader_at_the_end_of_a_log_reads_nothing_that_is_stored(place: Place) -> None:
    offset, text = 0, b""
    for number in range(20):
        await place.here.append("plan-1", b"%d\n" % number * 100)
        piece = await place.here.logs.read("plan-1", offset, 65_536)
        offset, text = offset + len(piece), text + piece
        assert await place.here.logs.read("plan-1", offset, 65_536) == b""
    assert text == b"".join(b"%d\n" % number * 100 for number in range(20))
    assert place.here.reads == 0
    assert await place.there.logs.read("plan-1", 0, 65_536) == text, "a server that did not write it reads it"


@pytest.mark.parametrize(("at", "limit"), [(0, 10), (4096, 100), (3 * MiB + 17, 5000), (5 * MiB - 10, 10_000), (6 * MiB, 100)])
async def test_a_growing_log_is_read_at_an_offset_without_what_came_before(place: Place, at: int, limit: int) -> None:
    log = os.urandom(5 * MiB)
    for first in range(0, len(log), 100 * 8192):
        await place.here.append("plan-1", *(log[start : start + 8192] for start in range(first, min(first + 100 * 8192, len(log)), 8192)))
    assert await place.there.logs.read("plan-1", at, limit) == log[at : at + limit]
    assert place.there.opened <= limit + 2 * 8192, "the pieces that hold it, and no other"


async def test_a_finished_log_is_read_at_an_offset_without_what_came_before(place: Place) -> None:
    log = os.urandom(50 * MiB)  # does not get smaller when it is compressed
    for start in range(0, len(log), MiB):
        await place.here.append("plan-1", log[start : start + MiB])
    await place.here.append("plan-1", close=True)
    await place.here.logs.seal("plan-1")
    for at in (0, 25 * MiB + 1, 50 * MiB - 1000):
        place.storage.seen = 0
        assert await place.there.logs.read("plan-1", at, 1000) == log[at : at + 1000]
        assert place.storage.seen < MiB, f"{place.storage.seen} bytes of the store were read for 1000 at {at}"
    follower = place.follow(place.there, 50 * MiB - 3000)
    await follower.now()
    assert follower.ended
    assert follower.text.endswith("\x03")


async def test_a_structured_line_is_told_in_words_when_it_is_whole_and_text_at_once(place: Place) -> None:
    reader, program = place.follow(place.there, in_words=True), place.follow(place.there)
    await place.here.append("plan-1", b'a prompt: yes\n{"@message":"t')
    await reader.until("a prompt: yes\n")
    await place.here.append("plan-1", b'old"}\nno end')
    await reader.until("a prompt: yes\ntold\nno end")
    await place.here.append("plan-1", b' yet\n{"@mess', close=True)
    await reader.until('a prompt: yes\ntold\nno end yet\n{"@mess\x03')
    await reader.now()
    assert reader.ended
    await program.until('a prompt: yes\n{"@message":"told"}\nno end yet\n{"@mess\x03')


async def test_an_unknown_log_is_none(place: Place) -> None:
    source = Following(place.here.logs, Authorizer(), Guards(place.here.db), "plan-2", place.workspace_id, 0)
    with pytest.raises(NotFound):
        await source.take(ALICE)
