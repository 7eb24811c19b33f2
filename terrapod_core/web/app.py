"""Quart with request bodies that are never held, and with less between a request and its answer.

Quart's own receiver pumps everything a client sends into an unbounded buffer: with a slow disk a 400 MB upload held 439 MB.
Here the receiver waits while 1 MiB lies unread, which stops Hypercorn from reading the socket, which stops the client.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from typing import Any, Final

import structlog
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, ASGISendEvent, WebsocketScope
from quart import Quart, Request
from quart.asgi import ASGIHTTPConnection
from quart.routing import QuartRule
from quart.typing import ResponseTypes
from quart.utils import encode_headers
from quart.wrappers.request import Body
from quart.wrappers.response import DataBody
from werkzeug.datastructures import ImmutableDict

from terrapod_core.errors import NotFound, RequestTooSlow, TerrapodError
from terrapod_core.jsonapi import errors_document
from terrapod_core.metrics.definitions import BYTES_IN, BYTES_OUT, REQUESTS_OPEN
from terrapod_core.web.pace import Pace

HIGH_WATER: Final = 1024 * 1024
"""Unread bytes of a body at which the client has to wait."""

WATCH_AFTER_SECONDS: Final = 1.0
"""A handler that takes longer is cancelled when its client goes away; a shorter one is not worth the look."""

log = structlog.get_logger("terrapod.web")

_ASKING: Final = frozenset({"GET", "HEAD"})
"""Of other methods a body may follow that no header announces (HTTP/2)."""

_ANNOUNCE_BODY: Final = frozenset({b"content-length", b"transfer-encoding"})


class BoundedBody(Body):
    """A body that is read as it comes, and lets the sender know when there is room. Limits are `Web.upload`'s business."""

    def __init__(self, expected_content_length: int | None, max_content_length: int | None) -> None:
        super().__init__(expected_content_length, None)
        self._room = asyncio.Event()
        self._wanted_whole = False

    @property
    def is_whole(self) -> bool:
        """Whether nothing more is waited for."""
        return self._complete.is_set()

    @property
    def is_read(self) -> bool:
        """Whether all of it has come and nothing is left to be read."""
        return self._complete.is_set() and not self._data

    async def __anext__(self) -> bytes:
        try:
            data = await super().__anext__()
        except StopAsyncIteration:
            if self._must_raise is not None:  # set while we waited
                raise self._must_raise from None
            raise
        self._room.set()
        return data

    def __await__(self) -> Generator[Any, None, Any]:
        # Quart's own `get_data` waits for the whole: only small forms and tests come this way.
        self._wanted_whole = True
        self._room.set()
        return super().__await__()

    def give_up(self) -> None:
        """Let the one who reads it, now or later, know that the rest did not come in time."""
        self._must_raise = RequestTooSlow("the body arrives at less than 1 KiB a second; send it again over a better connection")
        self.set_complete()

    async def room(self) -> None:
        """Return when less than `HIGH_WATER` bytes are unread."""
        while len(self._data) > HIGH_WATER and not self._wanted_whole:
            self._room.clear()
            await self._room.wait()


class BoundedRequest(Request):
    """A request whose body is bounded by what is unread, not by what is sent."""

    body_class = BoundedBody


class BoundedConnection(ASGIHTTPConnection):
    """One request on its way in, and its answer; a client that goes away cancels the handler.

    Quart spends two tasks and three messages on every request. One that brings no body needs no task that receives it: its
    handler runs here, and only when it takes long somebody looks whether the client is still there.
    """

    async def __call__(self, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        REQUESTS_OPEN.inc()
        try:
            await self._answer(receive, send)
        finally:
            REQUESTS_OPEN.dec()

    async def _answer(self, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        if self.scope["method"] not in _ASKING or any(name in _ANNOUNCE_BODY for name, _ in self.scope["headers"]):
            await super().__call__(receive, send)
            return
        request = self._create_request_from_scope(send)
        request.body.set_complete()
        watch = _Watch(receive)
        try:
            await self.handle_request(request, send)
        except asyncio.CancelledError:
            if not watch.take_back():
                raise
        finally:
            watch.end()

    async def _send_response(self, send: ASGISendCallable, response: ResponseTypes) -> None:
        whole = response.response
        if not isinstance(whole, DataBody):
            try:
                await super()._send_response(_counting(send), response)
            except TerrapodError as error:
                # Its end is missing, so the server hangs up, and the client knows that this was not all.
                log.warning("an answer was cut short", reason=error.detail)
            return
        headers = encode_headers(response.headers)
        await send({"type": "http.response.start", "status": response.status_code, "headers": headers, "trailers": False})
        body = whole.data[whole.begin : whole.end]
        BYTES_OUT.inc(len(body))
        await send({"type": "http.response.body", "body": body, "more_body": False})

    async def handle_messages(self, request: Request, receive: ASGIReceiveCallable) -> None:
        body, pace = request.body, Pace()
        assert isinstance(body, BoundedBody)
        while True:
            try:
                message = await (receive() if body.is_whole else pace.wait(receive()))
            except TimeoutError:
                body.give_up()
                continue
            if message["type"] == "http.request":
                piece = message.get("body", b"")
                pace.came(len(piece))
                BYTES_IN.inc(len(piece))
                body.append(piece)
                if not message.get("more_body", False):
                    body.set_complete()
                else:
                    await body.room()
            elif message["type"] == "http.disconnect":
                return


def _counting(send: ASGISendCallable) -> ASGISendCallable:
    """`send`, with the bytes of bodies counted."""

    async def counted(message: ASGISendEvent) -> None:
        await send(message)
        if message["type"] == "http.response.body":
            BYTES_OUT.inc(len(message["body"]))

    return counted


class _Watch:
    """Cancels the task that made it when its client goes away; begins to look when the answer has taken a while."""

    def __init__(self, receive: ASGIReceiveCallable) -> None:
        self._receive = receive
        self._watched = asyncio.current_task()
        self._timer = asyncio.get_running_loop().call_later(WATCH_AFTER_SECONDS, self._begin)
        self._task: asyncio.Task[None] | None = None
        self._has_left = False

    def take_back(self) -> bool:
        """Whether the cancellation that arrived is ours; then it is over with it."""
        if self._has_left and self._watched is not None:
            self._watched.uncancel()
        return self._has_left

    def end(self) -> None:
        """Look no longer."""
        self._timer.cancel()
        if self._task is not None:
            self._task.cancel()

    def _begin(self) -> None:
        self._task = asyncio.create_task(self._look(), name="web:watch")

    async def _look(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._has_left = True
        if self._watched is not None:
            self._watched.cancel()


class NoWebSockets:
    """The answer to a WebSocket's handshake, for none is spoken here. Quart would run the error handlers, which are made for requests."""

    def __init__(self, app: Quart, scope: WebsocketScope) -> None:
        self._answers = "websocket.http.response" in (scope.get("extensions") or {})

    async def __call__(self, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        """Refuse it; a host that can send no answer hangs up."""
        del receive
        if not self._answers:
            await send({"type": "websocket.close", "code": 1000, "reason": None})
            return
        body = errors_document(NotFound("this server speaks no WebSocket"))
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "websocket.http.response.start", "status": 404, "headers": headers})
        await send({"type": "websocket.http.response.body", "body": body, "more_body": False})


class Route(QuartRule):
    """A rule that compiles what builds its URL when one is built, which nobody here does: for all routes it was most of making the app."""

    def _compile_builder(self, append_unknown: bool = True) -> Callable[..., tuple[str, str]]:
        compiled = super()._compile_builder

        def build(rule: Route, **values: Any) -> tuple[str, str]:
            return compiled(append_unknown)(rule, **values)

        return build


class TerrapodQuart(Quart):
    """The application class of Terrapod."""

    default_config = ImmutableDict(
        {
            **Quart.default_config,
            # Quart would cut an answer short after a minute, silently; and on its way there it makes a task of every answer.
            "RESPONSE_TIMEOUT": None,
            # OPTIONS would be answered 200 to anybody, and no route was asked. Nobody's page may ask us from elsewhere, so nobody needs it.
            "PROVIDE_AUTOMATIC_OPTIONS": False,
        }
    )

    request_class = BoundedRequest
    url_rule_class = Route
    asgi_http_class = BoundedConnection
    asgi_websocket_class = NoWebSockets

    def __init__(self, import_name: str, **options: Any) -> None:
        super().__init__(import_name, **options)
        # A path is right or is not there. werkzeug would send the client on, in HTML, to the host that it named itself.
        self.url_map.merge_slashes = False
        self.url_map.strict_slashes = False
