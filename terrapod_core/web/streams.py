"""Server-Sent Events: answers that go on until the client hangs up, loses its rights, or the server stops.

What is told comes from sources, which wake the stream when they have something. Who watches is asked for again before anything
is sent and with every heartbeat, so a revoked token or a disabled user sees nothing more and loses the stream soon.
"""

from __future__ import annotations

import asyncio
import weakref
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final, Protocol

import structlog
from quart import Response, request

from terrapod_core.authz import Actor
from terrapod_core.errors import TerrapodError, TooManyRequests
from terrapod_core.metrics.definitions import STREAMS_OPEN

BEAT_SECONDS: Final = 15.0
"""A stream on which nothing happened says so this often: proxies keep it, and both sides notice when the other is gone."""

RETRY: Final = b"retry: 3000\n\n"
"""How many milliseconds a browser waits before it comes back."""

HEADERS: Final = {"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"}
"""The second tells nginx to pass everything on at once."""

Still = Callable[[], Awaitable[Actor | None]]
"""Who watches, as they are now; `None` when what they showed is good no more."""

log = structlog.get_logger("terrapod.streams")


class Source(Protocol):
    """Something that is told on a stream."""

    def begin(self, wake: Callable[[], None]) -> None:
        """Call `wake` from now on when there may be something to take."""
        ...

    async def take(self, actor: Actor) -> bytes | None:
        """What there is to tell this actor now, as whole events; empty for nothing yet, `None` when nothing will come any more."""
        ...

    def beat(self) -> bytes:
        """What a heartbeat says of it beside that the stream is alive: whole lines, or nothing."""
        ...

    def end(self) -> None:
        """Let go of everything."""
        ...


def event(name: str, data: bytes, ident: int | None = None) -> bytes:
    """One event with one line of JSON; with `ident` a client that comes back says that it has seen it."""
    marked = b"" if ident is None else b"id: %d\n" % ident
    return b"%sevent: %s\ndata: %s\n\n" % (marked, name.encode(), data)


class Streams:
    """The streams of one process."""

    def __init__(self, per_user: int) -> None:
        self._per_user = per_user
        self._open: Counter[str] = Counter()
        self._flows: weakref.WeakSet[Flow] = weakref.WeakSet()
        self._asking: weakref.WeakValueDictionary[str, asyncio.Lock] = weakref.WeakValueDictionary()
        self._closed = False

    def response(self, actor: Actor, still: Still, sources: Sequence[Source]) -> Response:
        """The answer that tells of these sources. Raises `TooManyRequests` when the actor has enough streams."""
        if request.method == "HEAD":
            return Response(b"", headers=HEADERS)
        if self._open[actor.id] >= self._per_user:
            raise TooManyRequests(
                f"you have {self._per_user} streams open, as many as one user may; close some", retry_after=5, code="too_many_streams"
            )
        self._open[actor.id] += 1
        STREAMS_OPEN.inc()
        asking = self._asking.setdefault(actor.id, asyncio.Lock())

        async def once() -> Actor | None:
            # One at a time: what the first has found out, the others find remembered.
            async with asking:
                return await still()

        flow = Flow(once, sources, lambda: self._leave(actor.id))
        self._flows.add(flow)
        if self._closed:
            flow.stop()
        response = Response(flow, headers=HEADERS)
        response.timeout = None
        return response

    def close(self) -> None:
        """End all streams, now and later: their clients come back to another server, or to this one after its start."""
        self._closed = True
        for flow in list(self._flows):
            flow.stop()

    def _leave(self, name: str) -> None:
        self._open[name] -= 1
        STREAMS_OPEN.dec()
        if self._open[name] <= 0:
            del self._open[name]


class Flow:
    """One stream, as Quart sends it. It waits for the client between two pieces, so it never holds more than one."""

    def __init__(self, still: Still, sources: Sequence[Source], left: Callable[[], None]) -> None:
        self._still = still
        self._sources = list(sources)
        self._all = tuple(sources)
        self._woken = asyncio.Event()
        self._begun = False
        self._over = False
        self._beats_at = 0.0
        # Also for a client that is gone before the answer has begun: then nobody closes it.
        self._left = weakref.finalize(self, left)

    def stop(self) -> None:
        """Send nothing more."""
        self._over = True
        self._woken.set()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if not self._begun:
            self._begun = True
            self._beats_at = asyncio.get_running_loop().time() + BEAT_SECONDS
            for source in self._all:
                source.begin(self._woken.set)
            return RETRY
        try:
            return await self._next()
        except TerrapodError as error:
            log.info("a stream ends early; its client comes back", reason=error.detail)
            raise StopAsyncIteration from error

    async def _next(self) -> bytes:
        while not self._over:
            self._woken.clear()
            actor = await self._still()
            if actor is None:
                break
            piece = await self._taken(actor)
            now = asyncio.get_running_loop().time()
            if not piece and now >= self._beats_at:
                piece = b": still here\n%s\n" % b"".join(source.beat() for source in self._sources)
            if piece:
                self._beats_at = now + BEAT_SECONDS
                return piece
            if not self._sources:
                break
            with suppress(TimeoutError):
                async with asyncio.timeout_at(self._beats_at):
                    await self._woken.wait()
        raise StopAsyncIteration

    async def _taken(self, actor: Actor) -> bytes:
        pieces = []
        for source in tuple(self._sources):
            piece = await source.take(actor)
            if piece is None:
                self._sources.remove(source)
            elif piece:
                pieces.append(piece)
        return b"".join(pieces)

    async def aclose(self) -> None:
        """Let go of what it was told from, and of its place."""
        self._over = True
        for source in self._all:
            source.end()
        self._left()
