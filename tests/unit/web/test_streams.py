"""Streams: who watches is asked for again, heartbeats go out, places are given back, and a stop ends everything."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from quart import Response

from terrapod_core.authz import Actor, ActorKind
from terrapod_core.errors import NotFound, TerrapodError
from terrapod_core.jsonapi import errors_document
from terrapod_core.web import TerrapodQuart, streams as web_streams
from terrapod_core.web.streams import RETRY, Streams, event
from tests.unit.web.test_connection import Client

ALICE = Actor(ActorKind.USER, "user-alice", "alice")


class Words:
    """A source of what a test says."""

    def __init__(self) -> None:
        self.ready: list[bytes] = []
        self.over = self.ended = False
        self.wake: Callable[[], None] = lambda: None

    def begin(self, wake: Callable[[], None]) -> None:
        self.wake = wake

    def say(self, text: str) -> None:
        self.ready.append(event("said", b'"%s"' % text.encode(), 1))
        self.wake()

    async def take(self, actor: Actor) -> bytes | None:
        pieces, self.ready = self.ready, []
        return None if self.over and not pieces else b"".join(pieces)

    def beat(self) -> bytes:
        return b"id: 7\n"

    def end(self) -> None:
        self.ended = True


class Place:
    """An application with one stream."""

    def __init__(self, per_user: int = 2) -> None:
        self.app = TerrapodQuart("test")
        self.streams = Streams(per_user)
        self.words = Words()
        self.still: Actor | None = ALICE
        self.asked = 0

        @self.app.get("/")
        async def flow() -> Response:
            return self.streams.response(ALICE, self._still, [self.words])

        @self.app.errorhandler(TerrapodError)
        async def refuse(error: TerrapodError) -> Response:
            return Response(errors_document(error), status=error.status)

    async def _still(self) -> Actor | None:
        self.asked += 1
        return self.still


class Browser(Client):
    """A client that reads what comes."""

    def __init__(self, place: Place, method: str = "GET") -> None:
        super().__init__(method)
        self._news = asyncio.Event()
        self.task = asyncio.create_task(self.ask(place.app))

    async def send(self, message: Any) -> None:
        await super().send(message)
        self._news.set()

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

    @property
    def text(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent)

    async def reads(self, text: bytes) -> None:
        """Return when it ends with this."""
        async with asyncio.timeout(30):
            while not self.text.endswith(text):
                self._news.clear()
                await self._news.wait()


@pytest.fixture
def place() -> Place:
    return Place()


async def test_what_is_said_goes_out_at_once(place: Place) -> None:
    browser = Browser(place)
    await browser.reads(RETRY)
    headers = dict(browser.sent[0]["headers"])
    assert headers[b"content-type"] == b"text/event-stream"
    assert headers[b"x-accel-buffering"] == b"no"
    place.words.say("one")
    await browser.reads(b'id: 1\nevent: said\ndata: "one"\n\n')
    place.words.say("two")
    await browser.reads(b'data: "two"\n\n')
    place.words.over = True
    place.words.wake()
    await browser.task
    assert browser.sent[-1]["more_body"] is False
    assert place.words.ended


async def test_a_quiet_stream_beats(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_streams, "BEAT_SECONDS", 0.01)
    browser = Browser(place)
    await browser.reads(b": still here\nid: 7\n\n")
    asked = place.asked
    await browser.reads(b": still here\nid: 7\n\n" * 3)
    assert place.asked > asked, "with every heartbeat it is asked again who watches"
    place.still = None
    await browser.task
    assert browser.sent[-1]["more_body"] is False


async def test_a_stream_that_is_woken_for_nothing_beats_all_the_same(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_streams, "BEAT_SECONDS", 0.01)
    browser = Browser(place)
    await browser.reads(RETRY)

    async def noise() -> None:
        while True:
            place.words.wake()
            await asyncio.sleep(0)

    making = asyncio.create_task(noise())
    await browser.reads(b": still here\nid: 7\n\n")
    making.cancel()
    place.streams.close()
    await browser.task


async def test_nothing_is_said_to_who_is_not_let_in_any_more(place: Place) -> None:
    browser = Browser(place)
    await browser.reads(RETRY)
    place.still = None
    place.words.say("secret")
    await browser.task
    assert b"secret" not in browser.text


async def test_one_user_has_so_many_places_and_gets_them_back(place: Place) -> None:
    browsers = [Browser(place) for _ in range(2)]
    for browser in browsers:
        await browser.reads(RETRY)
    refused = Browser(place)
    await refused.task
    assert refused.status == 429
    assert b"too_many_streams" in refused.text
    place.words.over = True
    place.words.wake()
    await asyncio.gather(*(browser.task for browser in browsers), return_exceptions=True)
    place.words.over = False
    again = Browser(place)
    await again.reads(RETRY)
    place.streams.close()
    await again.task
    assert not place.streams._open


async def test_who_leaves_gives_the_place_back(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("terrapod_core.web.app.WATCH_AFTER_SECONDS", 0.0)
    browser = Browser(place)
    await browser.reads(RETRY)
    browser.left.set()
    await browser.task
    assert not place.streams._open
    assert place.words.ended


async def test_a_head_is_answered_and_takes_no_place(place: Place) -> None:
    for _ in range(5):
        browser = Browser(place, "HEAD")
        await browser.task
        assert browser.status == 200
        assert browser.text == b""
    assert not place.streams._open


async def test_a_stop_ends_all_streams_and_those_that_come_after(place: Place) -> None:
    browser = Browser(place)
    await browser.reads(RETRY)
    place.streams.close()
    await browser.task
    late = Browser(place)
    await late.task
    assert late.text == RETRY
    assert late.status == 200


async def test_a_source_that_fails_ends_the_stream_in_order(place: Place) -> None:
    async def fails(actor: Actor) -> bytes | None:
        raise NotFound("it is gone")

    place.words.take = fails  # type: ignore[method-assign]
    browser = Browser(place)
    await browser.task
    assert browser.sent[-1] == {"type": "http.response.body", "body": b"", "more_body": False}


def test_an_event_is_one_line_of_json() -> None:
    assert event("run.status", b"{}", 3) == b"id: 3\nevent: run.status\ndata: {}\n\n"
    assert event("reset", b"{}") == b"event: reset\ndata: {}\n\n"
