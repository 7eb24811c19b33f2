"""Quart with request bodies that are never held.

Quart's own receiver pumps everything a client sends into an unbounded buffer: with a slow disk a 400 MB upload held 439 MB.
Here the receiver waits while 1 MiB lies unread, which stops Hypercorn from reading the socket, which stops the client.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import Any, Final

from hypercorn.typing import ASGIReceiveCallable
from quart import Quart, Request
from quart.asgi import ASGIHTTPConnection
from quart.wrappers.request import Body

HIGH_WATER: Final = 1024 * 1024
"""Unread bytes of a body at which the client has to wait."""


class BoundedBody(Body):
    """A body that is read as it comes, and lets the sender know when there is room. Limits are `Web.upload`'s business."""

    def __init__(self, expected_content_length: int | None, max_content_length: int | None) -> None:
        super().__init__(expected_content_length, None)
        self._room = asyncio.Event()
        self._wanted_whole = False

    async def __anext__(self) -> bytes:
        data = await super().__anext__()
        self._room.set()
        return data

    def __await__(self) -> Generator[Any, None, Any]:
        # Quart's own `get_data` waits for the whole: only small forms and tests come this way.
        self._wanted_whole = True
        self._room.set()
        return super().__await__()

    async def room(self) -> None:
        """Return when less than `HIGH_WATER` bytes are unread."""
        while len(self._data) > HIGH_WATER and not self._wanted_whole:
            self._room.clear()
            await self._room.wait()


class BoundedRequest(Request):
    """A request whose body is bounded by what is unread, not by what is sent."""

    body_class = BoundedBody


class BoundedConnection(ASGIHTTPConnection):
    """One request on its way in; a client that goes away cancels the handler (Quart's own doing)."""

    async def handle_messages(self, request: Request, receive: ASGIReceiveCallable) -> None:
        body = request.body
        while True:
            message = await receive()
            if message["type"] == "http.request":
                body.append(message.get("body", b""))
                if not message.get("more_body", False):
                    body.set_complete()
                elif isinstance(body, BoundedBody):
                    await body.room()
            elif message["type"] == "http.disconnect":
                return


class TerrapodQuart(Quart):
    """The application class of Terrapod."""

    request_class = BoundedRequest
    asgi_http_class = BoundedConnection
