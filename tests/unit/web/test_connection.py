"""What lies between a request and its answer, played message by message."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from quart import Response, request

from terrapod_core.web import app as web_app
from terrapod_core.web.app import TerrapodQuart


class Client:
    """One request to the application; `left` lets the client go away."""

    def __init__(self, method: str = "GET", path: str = "/", body: bytes = b"", headers: tuple[tuple[bytes, bytes], ...] = ()) -> None:
        self.scope: Any = {
            "type": "http",
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "query_string": b"",
            "headers": [(b"host", b"localhost"), *headers],
            "client": ("127.0.0.1", 1),
        }
        self.left = asyncio.Event()
        self.sent: list[dict[str, Any]] = []
        self._body: list[dict[str, Any]] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive(self) -> Any:
        if self._body:
            return self._body.pop()
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        self.sent.append(message)

    async def ask(self, app: TerrapodQuart) -> bytes:
        await app(self.scope, self.receive, self.send)
        return b"".join(message.get("body", b"") for message in self.sent)


@pytest.fixture
def app() -> TerrapodQuart:
    app = TerrapodQuart("test")

    @app.route("/", methods=["GET", "POST"])
    async def echo() -> Response:
        return Response(b"got " + b"".join([piece async for piece in request.body]))

    @app.get("/flow")
    async def flow() -> Response:
        async def pieces() -> AsyncIterator[bytes]:
            yield b"one "
            yield b"two"

        return Response(pieces())

    return app


async def test_a_small_answer_is_sent_in_two_messages(app: TerrapodQuart) -> None:
    client = Client()
    assert await client.ask(app) == b"got "
    assert [message["type"] for message in client.sent] == ["http.response.start", "http.response.body"]
    assert client.sent[1]["more_body"] is False


async def test_an_answer_that_flows_arrives_whole(app: TerrapodQuart) -> None:
    client = Client(path="/flow")
    assert await client.ask(app) == b"one two"
    assert client.sent[-1]["more_body"] is False


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_an_announced_body_is_read(app: TerrapodQuart, method: str) -> None:
    assert await Client(method, body=b"it", headers=((b"content-length", b"2"),)).ask(app) == b"got it"


async def test_a_body_that_no_header_announces_is_read(app: TerrapodQuart) -> None:
    assert await Client("POST", body=b"it").ask(app) == b"got it"


async def test_a_client_that_leaves_cancels_a_handler_that_takes_long(app: TerrapodQuart, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_app, "WATCH_AFTER_SECONDS", 0.0)
    client, cancelled = Client(path="/slow"), asyncio.Event()

    @app.get("/slow")
    async def slow() -> Response:
        client.left.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return Response(b"")

    assert await asyncio.wait_for(client.ask(app), 30) == b""
    assert cancelled.is_set()


async def test_a_request_that_somebody_else_cancels_stays_cancelled(app: TerrapodQuart) -> None:
    begun = asyncio.Event()

    @app.get("/slow")
    async def slow() -> Response:
        begun.set()
        await asyncio.Event().wait()
        return Response(b"")

    asked = asyncio.create_task(Client(path="/slow").ask(app))
    await begun.wait()
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
