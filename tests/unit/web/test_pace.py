"""A client that sends its body drop by drop, and connections that only wait."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypercorn.asyncio import serve
from hypercorn.config import Config
from quart import Response, g, request

from terrapod_core.audit import Refusals
from terrapod_core.authz import Actor, ActorKind
from terrapod_core.db import Database
from terrapod_core.settings import Limits, Server, Settings
from terrapod_core.web import TerrapodQuart, listener, pace
from terrapod_core.web.dress import dress
from terrapod_core.web.failures import Failures
from terrapod_core.web.listener import HEAD_SECONDS, HURRIED_SECONDS, Crowd, in_a_hurry
from terrapod_core.web.pace import GRACE_SECONDS, Pace
from terrapod_core.web.visitors import Proxies


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_waiting_is_allowed_for_a_grace_and_then_by_the_bytes_that_came() -> None:
    clock = Clock()
    measured = Pace(clock)

    async def piece(seconds: float, size: int) -> None:
        async def come() -> None:
            clock.now += seconds

        await measured.wait(come())
        measured.came(size)

    assert measured.left() == GRACE_SECONDS
    await piece(4.0, 1024)
    assert measured.left() == pytest.approx(GRACE_SECONDS - 3)
    await piece(0.1, 1024 * 1024)
    assert measured.left() > 1000
    clock.now += 100_000  # our own disk was slow: that is not the client's time
    assert measured.left() > 1000
    for _ in range(2000):
        await piece(1.0, 100)
    with pytest.raises(TimeoutError):
        await measured.wait(asyncio.Event().wait())


def test_beyond_its_share_an_address_has_to_hurry() -> None:
    crowd = Crowd(2, Proxies(0))
    names = [crowd.enter("203.0.113.7") for _ in range(3)]
    assert crowd.patience(names[0]) == HURRIED_SECONDS
    assert crowd.patience(crowd.enter("203.0.113.8")) == HEAD_SECONDS
    crowd.leave(names[0])
    assert crowd.patience(names[1]) == HEAD_SECONDS


def test_a_trusted_proxy_is_not_one_visitor() -> None:
    assert Crowd(2, Proxies(1)).enter("10.0.0.1") is None
    assert Crowd(2, Proxies(1, ["10.0.0.0/8"])).enter("203.0.113.7") == "203.0.113.7"
    assert Crowd(0, Proxies(0)).enter("203.0.113.7") is None


@pytest.fixture
async def port(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[int]:
    """A real listener with times that a test can wait for."""
    monkeypatch.setattr(pace, "GRACE_SECONDS", 0.2)
    monkeypatch.setattr(listener, "HEAD_SECONDS", 0.3)
    settings = Settings(limits=Limits(connections_per_address=50))
    app = TerrapodQuart("test")
    app.config["BODY_TIMEOUT"] = None
    db = Database(f"sqlite+aiosqlite:///{tmp_path / 'terrapod.db'}")
    Failures(app, Refusals(db))
    dress(app, settings)

    @app.post("/")
    async def upload() -> Response:
        if request.headers.get("Authorization") == "Bearer good":
            g.actor = Actor(ActorKind.USER, "user-1", "ana", token_id="at-1")
        return Response(str(sum([len(piece) async for piece in request.body])))

    stop, ready, config = asyncio.Event(), asyncio.Event(), Config()
    config.bind, config.errorlog, config.graceful_timeout = ["127.0.0.1:0"], None, 0.1
    config.keep_alive_timeout = 600  # of those who showed something valid
    sockets = config.create_sockets()
    bound = sockets.insecure_sockets[0]
    number = bound.getsockname()[1]
    config.bind = [f"fd://{bound.detach()}"]

    async def log(*_: object) -> None:
        ready.set()  # Hypercorn says that it listens

    monkeypatch.setattr("hypercorn.logging.Logger.info", log)
    with in_a_hurry(settings):
        serving = asyncio.create_task(serve(app, config, shutdown_trigger=stop.wait))
        await asyncio.wait_for(ready.wait(), 30)
        yield number
        stop.set()
        await serving
    await db.close()


async def test_a_body_that_drips_is_refused_with_a_sentence(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")

    async def drip() -> None:
        while True:
            writer.write(b".")
            await asyncio.sleep(0.02)

    dripping = asyncio.create_task(drip())
    answer = await asyncio.wait_for(reader.read(), 30)
    dripping.cancel()
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"1 KiB a second" in answer
    writer.close()


async def test_a_body_at_a_good_pace_arrives_however_long_it_takes(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 81920\r\n\r\n")
    for _ in range(20):
        writer.write(bytes(4096))
        await asyncio.sleep(0.03)
    answer = await asyncio.wait_for(reader.read(), 30)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(b"81920")
    writer.close()


async def test_a_head_that_does_not_come_ends_the_connection(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST / HTTP/1.1\r\nHost: x\r\n")
    assert await asyncio.wait_for(reader.read(), 30) == b""
    writer.close()


async def test_a_connection_that_showed_a_valid_token_may_idle(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(2):
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer good\r\nContent-Length: 0\r\n\r\n")
        assert (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n0"), 30)).startswith(b"HTTP/1.1 200 ")
        await asyncio.sleep(0.6)  # twice the time that others get
    writer.close()


def test_a_proxy_in_front_needs_the_address_that_clients_use() -> None:
    with pytest.raises(ValueError, match="external_url"):
        Settings(server=Server(trusted_proxies=1))
    with pytest.raises(ValueError, match="networks"):
        Server(trusted_proxies=1, trusted_proxy_addresses=("proxy.example.com",))
    with pytest.raises(ValueError, match="trusted_proxies is 0"):
        Server(trusted_proxy_addresses=("10.0.0.1",))
