"""Who signed the request being served; for every route that listeners call, in this room and in those above it."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from quart import g, request

from terrapod_core.agents.identity import ListenerIdentity, SignedRequest
from terrapod_core.agents.listeners import Listeners
from terrapod_core.signatures import Message, digest_of, with_default_port
from terrapod_core.web import Web
from terrapod_core.web.bodies import whole

BODY_BYTES: Final = 64 * 1024
"""Of a signed request. Its digest must be known before anything of it is believed, so it is held."""

_SIGNED: Final = ("content-digest", "content-type", "content-length")


class SignedRoutes:
    """Reads signed requests. A bearer token opens none of these routes, whoever's it is."""

    def __init__(self, listeners: Listeners, web: Web) -> None:
        self._listeners = listeners
        self._web = web

    async def caller(self, listener_id: str, *, renewing: bool = False) -> tuple[ListenerIdentity, bytes]:
        """The listener of this id, and the body that it signed. Raises as `Listeners.authenticate`, and `TooLarge`."""
        body = await whole(request, BODY_BYTES)
        identity = await self._listeners.authenticate(self._read(body), listener_id, renewing=renewing)
        g.actor = identity.actor
        return identity, body

    def _read(self, body: bytes) -> SignedRequest:
        # Where the server is, the settings say: what a proxy makes of `Host` counts for nothing.
        base = urlsplit(self._web.base_url())
        raw: bytes = request.scope["raw_path"]
        message = Message(
            method=request.method,
            authority=with_default_port(base.scheme, base.netloc),
            path=base.path + raw.partition(b"?")[0].decode("latin-1"),
            query=request.scope["query_string"].decode("latin-1"),
            headers={name: value for name in _SIGNED if (value := _once(name))},
            has_body=bool(body),
        )
        return SignedRequest(message, _once("signature-input"), _once("signature"), digest_of(body), request.remote_addr)


def _once(name: str) -> str:
    """A header's value; empty when it was not sent, or more than once."""
    values = request.headers.getlist(name)
    return values[0].strip() if len(values) == 1 else ""
