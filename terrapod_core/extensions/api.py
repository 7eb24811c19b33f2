"""The public API without the network: a plugin's request goes to the application as a client's does, with an actor in place of a token."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import msgspec

from terrapod_core.audit import REQUEST
from terrapod_core.authz import Actor
from terrapod_core.extensions.callers import actor_of
from terrapod_core.plugin import APIRefused, Caller
from terrapod_core.web import TerrapodQuart, Web
from terrapod_core.web.inner import INNER

JSON_API: Final = b"application/vnd.api+json"


class Inner:
    """Carries requests of plugins to the application, once `app` has made it."""

    def __init__(self) -> None:
        self.app: TerrapodQuart | None = None
        self.web: Web | None = None

    def serve(self, app: TerrapodQuart, web: Web) -> None:
        """From now on requests go to this application."""
        self.app, self.web = app, web

    async def current(self) -> Actor:
        """Whoever sent the request being served; raises `Unauthorized`."""
        assert self.web is not None, "the application is made before anybody asks"
        return await self.web.actor()

    async def ask(self, method: str, path: str, body: bytes, actor: Actor) -> tuple[int, bytes]:
        """Status and body of the answer."""
        # In a task of its own: the request's context (who asks, from where) must not become that of the one who waits here.
        return await asyncio.create_task(self._ask(method, path, body, actor), name="extensions:inner")

    async def _ask(self, method: str, path: str, body: bytes, actor: Actor) -> tuple[int, bytes]:
        assert self.app is not None, "the application is made before anything asks it"
        parts = urlsplit(path)
        serving = REQUEST.get()
        # So the audit record shows what a request had done within as its own.
        ident = [(b"x-request-id", serving.id.encode())] if serving is not None else []
        length = [(b"content-type", JSON_API), (b"content-length", str(len(body)).encode())] if body else []
        scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": unquote(parts.path),
            "raw_path": parts.path.encode(),
            "query_string": parts.query.encode(),
            "root_path": "",
            "headers": [(b"host", b"localhost"), (b"accept", JSON_API), *ident, *length],
            "client": None,
            "server": ("localhost", None),
            "extensions": {},
            "state": {INNER: actor},
        }
        sent, gone, answer = False, asyncio.Event(), _Answer()

        async def receive() -> dict[str, Any]:
            nonlocal sent
            if sent:
                await gone.wait()
                return {"type": "http.disconnect"}
            sent = True
            return {"type": "http.request", "body": body, "more_body": False}

        # Of its own, too: within a request, Quart would let this one have what it keeps of the other, and with it who asks.
        async with self.app.app_context():
            await self.app(scope, receive, answer.take)  # type: ignore[arg-type]
        return answer.status, bytes(answer.body)


class _Answer:
    def __init__(self) -> None:
        self.status = 500
        self.body = bytearray()

    async def take(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        elif message["type"] == "http.response.body":
            self.body += message.get("body", b"")


class InnerAPI:
    """The `ServerAPI` of one plugin."""

    def __init__(self, inner: Inner) -> None:
        self._inner = inner

    async def get(self, path: str, *, as_: Caller) -> dict[str, Any]:
        """The document at a path."""
        return await self._asked("GET", path, None, as_)

    async def post(self, path: str, document: Mapping[str, Any] | None = None, *, as_: Caller) -> dict[str, Any]:
        """The answer to a document."""
        return await self._asked("POST", path, document, as_)

    async def patch(self, path: str, document: Mapping[str, Any], *, as_: Caller) -> dict[str, Any]:
        """The same, to change something."""
        return await self._asked("PATCH", path, document, as_)

    async def _asked(self, method: str, path: str, document: Mapping[str, Any] | None, as_: Caller) -> dict[str, Any]:
        if not path.startswith("/api/v2/"):
            raise ValueError(f"{path!r} is none of the API: its paths begin with /api/v2/")
        body = msgspec.json.encode(document) if document is not None else b""
        status, answer = await self._inner.ask(method, path, body, actor_of(as_))
        if status >= 400:
            raise _refusal(status, answer)
        return msgspec.json.decode(answer, type=dict[str, Any]) if answer else {}


def _refusal(status: int, answer: bytes) -> APIRefused:
    try:
        errors = msgspec.json.decode(answer, type=dict[str, Any])["errors"]
        return APIRefused(status, "; ".join(each.get("detail") or each["title"] for each in errors), errors[0].get("code"))
    except (msgspec.DecodeError, LookupError, TypeError, AttributeError):
        return APIRefused(status, f"the API answered {status}")
