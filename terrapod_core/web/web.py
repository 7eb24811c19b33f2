"""What routes call."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, TypeVar

import msgspec
from quart import Response, g, request

from terrapod_core.authz import Actor
from terrapod_core.db import Database
from terrapod_core.errors import NotAcceptable, NotFound, Unauthorized
from terrapod_core.jsonapi import Includes, Page, Query, Ref, Rendering, Resource, parse, parse_action, parse_refs
from terrapod_core.settings import Settings
from terrapod_core.web import bodies
from terrapod_core.web.download import stream
from terrapod_core.web.inner import inner_actor
from terrapod_core.web.streams import Source, Still, Streams

T = TypeVar("T", bound=msgspec.Struct)

Authenticate = Callable[[str], Awaitable[Actor | None]]
"""Turns the text of a bearer token into its actor, or `None`."""

Add = Callable[[Sequence[Any]], Awaitable[None]]
"""Puts onto things what others add to them."""

JSON: Final = "application/json"
JSON_API: Final = "application/vnd.api+json"
LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})


class Web:
    """One per application: the glue between Quart's request and the rooms."""

    def __init__(
        self,
        settings: Settings,
        db: Database,
        includes: Includes,
        authenticate: Authenticate,
        *,
        extra: Mapping[str, Any] | None = None,
        add: Mapping[str, Add] | None = None,
    ) -> None:
        """`extra` is what every `Rendering` carries beside the request's own; `add` is asked, by the type of a resource, before things
        of that type are rendered as primary data.
        """
        self._add = dict(add or {})
        self._extra = {"structured_output": settings.structured_output, **(extra or {})}
        self.settings = settings
        self.db = db
        self.includes = includes
        self.streams = Streams(settings.live.streams_per_user)
        self._authenticate = authenticate

    # -- who asks

    async def actor(self, *, engine: bool = False) -> Actor:
        """The one whose token came with the request; raises `Unauthorized` without a valid one.

        terraform itself, within a run, passes only where the route says `engine`: for it any other is `NotFound`.
        """
        actor: Actor = g.get("actor") or await self._shown()
        if actor.engine is not None and not engine:
            hidden = NotFound("there is no such thing for a run, or you may not see it")
            hidden.refusal = True
            raise hidden
        return actor

    async def _shown(self) -> Actor:
        inner = inner_actor(request)
        if inner is not None:
            g.actor = inner
            return inner
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise Unauthorized("send an API token: Authorization: Bearer <token>")
        actor = await self._authenticate(token.strip())
        if actor is None:
            raise Unauthorized("the token is unknown, expired or revoked")
        g.actor = actor
        return actor

    def bearer(self) -> str:
        """The bearer token as sent, for credentials that are not people's; raises `Unauthorized` when there is none."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise Unauthorized("send a bearer token")
        return token.strip()

    # -- what it asks

    async def body(self, into: type[T], *, limit: int | None = None) -> T:
        """The request's JSON:API document as `into`; `BadRequest` or `Invalid` says what is wrong with it."""
        return parse(await bodies.json_bytes(request, limit or self.settings.limits.json_bytes), into)

    async def raw_json(self, *, limit: int | None = None) -> bytes:
        """The bytes of a JSON body that is no JSON:API document."""
        return await bodies.json_bytes(request, limit or self.settings.limits.json_bytes)

    async def refs(self) -> list[Ref]:
        """The identifiers in a relationship document."""
        return parse_refs(await bodies.json_bytes(request, self.settings.limits.json_bytes))

    async def comment(self) -> str | None:
        """The comment that may come with an action (`{}`, an empty body, or `{"comment": "…"}`)."""
        return parse_action(await bodies.json_bytes(request, self.settings.limits.json_bytes))

    async def form(self, *, limit: int = bodies.FORM_BYTES, fields: int = bodies.FORM_FIELDS) -> dict[str, str]:
        """A submitted HTML form of at most `limit` bytes and so many `fields`."""
        return await bodies.form(request, limit, fields)

    def upload(self, limit: int, what: str) -> AsyncIterator[bytes]:
        """The body in pieces as they arrive, at most `limit` bytes; `what` it is called when it is too large.

        Raises `Unauthorized` in its midst when the token that opened the request is not good any more.
        """
        return bodies.attended(bodies.pieces(request, limit, what), self.db.clock, self._still_valid)

    def json_upload(self, limit: int, what: str) -> AsyncIterator[bytes]:
        """The same for a JSON document too large to be held; raises `UnsupportedMediaType` when the client says it is something else."""
        bodies.check_json(request)
        return self.upload(limit, what)

    async def _still_valid(self) -> None:
        # Signed links and the tokens of phases were checked by what they open, and end by themselves.
        if g.get("actor") is not None and await self._authenticate(self.bearer()) is None:
            raise Unauthorized("the token was revoked, or its user disabled, while the body was on its way")

    def query(self) -> Query:
        """Paging, filters, search, sort and includes of the request."""
        return Query.parse(request.args.items(multi=True))

    # -- what it gets

    def rendering(self, actor: Actor | None) -> Rendering:
        """What attribute getters are given beside the object."""
        return Rendering(actor=actor, base_url=self.base_url(), now=self.db.clock.now(), extra=self._extra)

    async def document(self, resource: Resource, found: Any, *, status: int = 200, meta: Mapping[str, Any] | None = None) -> Response:
        """One thing, with what the request asks to include."""
        await self._added(resource, [found])
        rendering = self.rendering(g.get("actor"))
        included = await self._included(rendering, resource, [found])
        return self.json(resource.document(found, rendering, included=included, meta=meta), status=status)

    async def listing(self, resource: Resource, page: Page[Any], *, meta: Mapping[str, Any] | None = None) -> Response:
        """A page of things."""
        await self._added(resource, page.items)
        rendering = self.rendering(g.get("actor"))
        included = await self._included(rendering, resource, page.items)
        url = self.base_url() + request.full_path.rstrip("?")
        return self.json(resource.listing(page, rendering, url=url, included=included, meta=meta))

    async def unpaged(self, resource: Resource, found: Sequence[Any]) -> Response:
        """A list that the real service does not page (variables, run events)."""
        return await self.listing(resource, Page.whole(found))

    def download(
        self, chunks: AsyncIterator[bytes], *, size: int | None, content_type: str, headers: Mapping[str, str] | None = None
    ) -> Response:
        """An answer that flows to the one whose token opened the request, for as long as it is good and grants what it did.

        To whoever shows a signed link or the token of a phase, `stream` sends: those end by themselves.
        """
        return stream(
            self.attended(chunks, partial(self._authenticate, self.bearer())), size=size, content_type=content_type, headers=headers
        )

    def attended(self, chunks: AsyncIterator[bytes], shown: Callable[[], Awaitable[Actor | None]]) -> AsyncIterator[bytes]:
        """The chunks, until `shown` gives nobody any more, or somebody with other rights than the actor of this request."""
        rights = g.actor.rights

        async def check() -> None:
            now = await shown()
            if now is None or now.rights != rights:
                raise Unauthorized("what was shown is good no more, or grants something else, while the answer was on its way")

        return bodies.attended(chunks, self.db.clock, check)

    def stream(self, actor: Actor, sources: Sequence[Source], still: Still | None = None) -> Response:
        """An answer that tells of these sources for as long as `still` gives one who watches; by default, as the bearer token is good.

        Raises `TooManyRequests` when this actor has enough of them.
        """
        if still is None:
            still = partial(self._authenticate, self.bearer())
        return self.streams.response(actor, still, sources)

    def json(self, encoded: bytes, *, status: int = 200, content_type: str | None = None) -> Response:
        """Encoded JSON with the type that was negotiated."""
        return Response(encoded, status=status, content_type=content_type or self.negotiated())

    def empty(self, status: int = 204) -> Response:
        """No document."""
        return Response(b"", status=status, content_type=self.negotiated())

    def negotiated(self) -> str:
        """`application/json`, as the contract says, unless the client names JSON:API; `NotAcceptable` when it takes neither.

        terraform asks for JSON:API and honours the snapshot interval only in an answer of that type.
        """
        accept = request.headers.get("Accept", "")
        if JSON_API in accept:
            return JSON_API
        if not accept or JSON in accept or "*/*" in accept or "application/*" in accept:
            return JSON
        raise NotAcceptable(f"this endpoint answers {JSON_API} or {JSON}")

    async def _added(self, resource: Resource, found: Sequence[Any]) -> None:
        add = self._add.get(resource.type)
        if add is not None:
            await add([each for each in found if each is not None])

    async def _included(self, rendering: Rendering, resource: Resource, found: Sequence[Any]) -> Sequence[Any]:
        include = self.query().include if "include" in request.args else ()
        of_engine = isinstance(rendering.actor, Actor) and rendering.actor.engine is not None
        if not include or not found or of_engine:
            return ()
        return await self.db.read(lambda session: self.includes.resolve(session, rendering, resource, found, include))

    # -- where it is

    def base_url(self) -> str:
        """The absolute base of every URL handed out, without a slash at its end.

        The setting, else what the request came to; a `Host` that is not loopback is not believed without the setting.
        """
        if self.settings.external_url:
            return self.settings.external_url.rstrip("/")
        host = request.host
        if host.rsplit(":", 1)[0] in LOOPBACK or host in LOOPBACK:
            return f"{request.scheme}://{host}"
        return f"{request.scheme}://127.0.0.1:{self.settings.server.port}"

    def absolute(self, path: str) -> str:
        """A path of this server as an absolute URL."""
        return self.base_url() + path
