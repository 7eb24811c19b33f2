"""How requests leave: over connections to addresses that were judged, with limits on size and time. Needs httpx.

`clients.py` imports this when the first client is made, because plugins are loaded without the web.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar

import httpcore
import httpx

from terrapod_core.outgoing.errors import OutgoingError, OutgoingRefused, OutgoingTimeout, OutgoingTooLarge, OutgoingUnreachable
from terrapod_core.outgoing.guard import Guard

T = TypeVar("T")

DEADLINE: Final = "terrapod.deadline"
"""The request's extension that says until when all of it, redirects and the answer's end included, has to be done."""

KEPT: Final = frozenset({"accept", "accept-encoding", "accept-language", "content-length", "content-type", "user-agent"})
"""Headers that go along to another origin. A list of what is harmless: who knows under which names tokens travel."""

REDIRECTS: Final = 3


class Refused(OutgoingRefused, httpx.TransportError):
    """`OutgoingRefused`, for code that knows httpx."""


class Unreachable(OutgoingUnreachable, httpx.ConnectError):
    """`OutgoingUnreachable`, for code that knows httpx."""


class TimedOut(OutgoingTimeout, httpx.TimeoutException):
    """`OutgoingTimeout`, for code that knows httpx."""


class TooLarge(OutgoingTooLarge, httpx.TransportError):
    """`OutgoingTooLarge`, for code that knows httpx."""


class NotSent(httpcore.WriteError):
    """Raised by a request's body that is not sent: the answer is read all the same, as after a server that would not hear more."""


_TWINS: Final[dict[type[OutgoingError], type[OutgoingError]]] = {
    OutgoingRefused: Refused,
    OutgoingUnreachable: Unreachable,
    OutgoingTimeout: TimedOut,
    OutgoingTooLarge: TooLarge,
}


@dataclass(frozen=True)
class Bounds:
    """What one request may take."""

    seconds: float
    """For all of it."""
    max_bytes: int
    idle: float | None = None
    """Seconds that may go by without a byte; `None`: as many as there are for all of it."""

    @property
    def longest_wait(self) -> float:
        """Seconds, for anything at all to come."""
        return self.seconds if self.idle is None else min(self.seconds, self.idle)

    def next_by(self, deadline: float) -> float:
        """When the next byte has to be here, by `time.monotonic()`; `deadline` is that of all of it."""
        return min(deadline, time.monotonic() + self.longest_wait)

    def lateness(self, deadline: float) -> str:
        """What a server did that is too late, as the rest of a sentence."""
        if self.idle is None or time.monotonic() >= deadline:
            return f"did not answer within {self.seconds:g} s"
        return f"sent nothing for {self.idle:g} s"


class Judge(Protocol):
    """Says by the parts of a URL whether it may be asked."""

    def check(self, scheme: str, host: str, port: int | None, *, userinfo: bool = False) -> None:
        """Raise `OutgoingRefused` for one that may not. `host` is ASCII, in lower case, without brackets."""


class GuardedNetwork(httpcore.AsyncNetworkBackend):
    """Resolves a name once, judges every address, and connects to one of those; TLS and `Host` keep the name."""

    def __init__(self, guard: Guard, network: httpcore.AsyncNetworkBackend) -> None:
        self._guard = guard
        self._network = network

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """A connection to one of the judged addresses."""
        addresses = await self._guard.addresses(host, port)
        share = timeout / len(addresses) if timeout is not None else None
        last: Exception | None = None
        for address in addresses:
            try:
                return await self._network.connect_tcp(address, port, share, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                last = error
        assert last is not None
        raise last

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Never: no URL of a user leads to a socket of this machine."""
        del timeout, socket_options
        raise OutgoingRefused(path, "is a socket of this machine")

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


class Pool(Protocol):
    """Of httpcore's pools, what is used here."""

    async def handle_async_request(self, request: httpcore.Request) -> httpcore.Response:
        """Send, and return when the answer's headers are there."""

    async def aclose(self) -> None:
        """Close every connection."""


class Transport(httpx.AsyncBaseTransport):
    """One hop of a request: judged when there is a judge, bounded in any case."""

    def __init__(self, pool: Pool, bounds: Bounds, judge: Judge | None) -> None:
        self._pool = pool
        self._bounds = bounds
        self._judge = judge

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send it; raises an `OutgoingError` that is an `httpx.TransportError` too."""
        url = request.url
        deadline = request.extensions.setdefault(DEADLINE, time.monotonic() + self._bounds.seconds)
        with told(url.host, self._bounds, deadline):
            if self._judge is not None:
                self._judge.check(url.scheme, url.raw_host.decode("ascii").strip("[]").lower(), url.port, userinfo=bool(url.userinfo))
            return await self._answer(request, deadline)

    async def _answer(self, request: httpx.Request, deadline: float) -> httpx.Response:
        url = request.url
        outgoing = httpcore.Request(
            method=request.method,
            url=httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        answer = await in_time(self._pool.handle_async_request(outgoing), self._bounds.next_by(deadline))
        body = Body(answer, url.host, self._bounds, deadline)
        response = httpx.Response(status_code=answer.status, headers=answer.headers, stream=body, extensions=answer.extensions)
        try:
            self._check_head(response, url.host, has_body=request.method != "HEAD")
        except BaseException:
            await body.aclose()
            raise
        return response

    def _check_head(self, response: httpx.Response, host: str, *, has_body: bool) -> None:
        if has_body and response.headers.get("Content-Encoding", "identity").strip().lower() not in ("", "identity"):
            # Unpacked it would be of any size.
            raise OutgoingUnreachable(host, "answers in a compressed form that was not asked for")
        declared = response.headers.get("Content-Length", "")
        if has_body and declared.isdecimal() and (len(declared) > 18 or int(declared) > self._bounds.max_bytes):
            raise OutgoingTooLarge(host, f"answers with more than {self._bounds.max_bytes} bytes")

    async def aclose(self) -> None:
        """Close every connection."""
        await self._pool.aclose()


class Body(httpx.AsyncByteStream):
    """An answer's body, counted and timed while it comes."""

    def __init__(self, answer: httpcore.Response, host: str, bounds: Bounds, deadline: float) -> None:
        self._answer = answer
        self._host = host
        self._bounds = bounds
        self._deadline = deadline

    async def __aiter__(self) -> AsyncIterator[bytes]:
        seen = 0
        with told(self._host, self._bounds, self._deadline):
            pieces = self._answer.aiter_stream().__aiter__()
            while True:
                try:
                    piece = await in_time(anext(pieces), self._bounds.next_by(self._deadline))
                except StopAsyncIteration:
                    return
                except httpcore.RemoteProtocolError:
                    raise Unreachable(self._host, "broke its answer off") from None
                seen += len(piece)
                if seen > self._bounds.max_bytes:
                    raise OutgoingTooLarge(self._host, f"answers with more than {self._bounds.max_bytes} bytes")
                yield piece

    async def aclose(self) -> None:
        """Let go of the connection."""
        await self._answer.aclose()


class Client(httpx.AsyncClient):
    """An `httpx.AsyncClient` that follows redirects to other origins without the credentials meant for the first."""

    def build_request(self, method: str, url: httpx.URL | str, **options: Any) -> httpx.Request:
        """As httpx does; raises `OutgoingRefused` for what is no URL."""
        try:
            return super().build_request(method, url, **options)
        except httpx.InvalidURL as error:
            raise Refused("the address", "is no URL that can be asked") from error

    async def send(
        self,
        request: httpx.Request,
        *,
        stream: bool = False,
        auth: Any = httpx.USE_CLIENT_DEFAULT,
        follow_redirects: Any = httpx.USE_CLIENT_DEFAULT,
    ) -> httpx.Response:
        """Send it, and what it is redirected to, at most three times; each hop is judged anew."""
        follow = self.follow_redirects if isinstance(follow_redirects, type(httpx.USE_CLIENT_DEFAULT)) else bool(follow_redirects)
        history: list[httpx.Response] = []
        try:
            response = await super().send(request, stream=True, auth=auth, follow_redirects=False)
            while follow and response.next_request is not None:
                onward = response.next_request
                await response.aclose()
                if len(history) == REDIRECTS:
                    raise Refused(onward.url.host, f"is the end of more than {REDIRECTS} redirects")
                history.append(response)
                if origin(onward.url) != origin(response.request.url):
                    if onward.method not in ("GET", "HEAD"):
                        raise Refused(onward.url.host, "is where another server wants our body sent")
                    onward.headers = httpx.Headers(
                        [(name, value) for name, value in onward.headers.multi_items() if name.lower() in KEPT | {"host"}]
                    )
                response = await super().send(onward, stream=True, auth=None, follow_redirects=False)
        except httpx.RemoteProtocolError as error:
            raise Refused(request.url.host, "redirects to an address that cannot be read") from error
        response.history = history
        if not stream:
            try:
                await response.aread()
            except BaseException:
                await response.aclose()
                raise
        return response


def origin(url: httpx.URL) -> tuple[str, str, int | None]:
    """What credentials belong to."""
    return url.scheme, url.host, url.port or {"http": 80, "https": 443}.get(url.scheme)


async def in_time(task: Awaitable[T], deadline: float) -> T:
    """Its result; raises `TimeoutError` at the deadline, which is of `time.monotonic()`."""
    async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
        return await task


@contextmanager
def told(host: str, bounds: Bounds, deadline: float) -> Iterator[None]:
    """Turn every failure of a request into an `OutgoingError` without anything of what was sent or received in it."""
    try:
        yield
    except OutgoingError as error:
        twin = _TWINS.get(type(error))
        if twin is None:
            raise
        raise twin(error.host, error.reason) from error.__cause__
    except (TimeoutError, httpcore.TimeoutException):
        raise TimedOut(host, bounds.lateness(deadline)) from None
    except (httpcore.NetworkError, httpcore.ProxyError, OSError) as error:
        raise Unreachable(host, _network_reason(error)) from None
    except (httpcore.ProtocolError, httpcore.UnsupportedProtocol):
        # What a service that speaks something else said is nobody's business.
        raise Unreachable(host, "did not answer in HTTP") from None


def _network_reason(error: BaseException) -> str:
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ssl.SSLCertVerificationError):
            return f"has a certificate that does not hold: {seen.verify_message}"
        if isinstance(seen, ssl.SSLError):
            return "does not speak TLS as it should"
        if isinstance(seen, httpcore.ProxyError):
            return "is not reached through the proxy"
        if isinstance(seen, socket.gaierror):
            return "has no address"
        if isinstance(seen, ConnectionRefusedError):
            return "refuses the connection"
        seen = seen.__cause__ or seen.__context__
    return "cannot be reached" if isinstance(error, (httpcore.ConnectError, OSError)) else "broke the connection off"
