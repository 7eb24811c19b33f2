"""One exchange with the server: sent, read, and every way in which it can fail told apart."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeVar

import httpx
import msgspec
import structlog

from terrapod_core.listener.answers import Refusal
from terrapod_core.listener.errors import Away

T = TypeVar("T")
Sleep = Callable[[float], Awaitable[None]]

JSON_API: Final = "application/vnd.api+json"
SILENCE_SECONDS: Final = 45.0
"""Without a byte for so long, the connection is gone: the server sends one every 15 seconds."""

LONGEST_PAUSE: Final = 15.0
MOST_BYTES: Final = 4 << 20
"""No answer is longer."""

log = structlog.get_logger("terrapod.listener")


class Pause:
    """How long to wait before the next try: short at first, longer each time, and never the same for two listeners."""

    def __init__(self, first: float = 0.2, longest: float = LONGEST_PAUSE) -> None:
        self._first = self._next = first
        self._longest = longest

    def next(self) -> float:
        """Seconds to wait now."""
        pause, self._next = self._next, min(self._longest, self._next * 1.7)
        return pause * random.uniform(0.7, 1.3)  # noqa: S311  # spreads listeners, hides nothing

    def reset(self) -> None:
        """It went well."""
        self._next = self._first


class Outage:
    """Says once that the server is away, and once that it is back."""

    def __init__(self) -> None:
        self._away = False

    def began(self, reason: str) -> None:
        """It does not answer."""
        if not self._away:
            self._away = True
            log.warning("the server does not answer; trying again", reason=reason)

    def ended(self) -> None:
        """It answered."""
        if self._away:
            self._away = False
            log.info("the server answers again")


async def exchange(
    http: httpx.AsyncClient, method: str, url: str, body: bytes, headers: Mapping[str, str]
) -> tuple[int, bytes, httpx.Headers]:
    """Status, body and headers of an answer, which may come slowly but not silently. Raises `Away`."""
    request = http.build_request(method, url, content=body, headers={"Accept": JSON_API, **headers})
    read = bytearray()
    try:
        async with asyncio.timeout(SILENCE_SECONDS):
            response = await http.send(request, stream=True)
        async with contextlib.aclosing(response):
            pieces = response.aiter_bytes()
            while True:
                async with asyncio.timeout(SILENCE_SECONDS):
                    piece = await anext(pieces, None)
                if piece is None:
                    break
                read += piece
    except TimeoutError:
        raise Away(f"nothing was heard for {SILENCE_SECONDS:g} s") from None
    except httpx.HTTPError as error:
        raise Away(str(error) or type(error).__name__) from None
    return response.status_code, bytes(read), response.headers


def refusal_of(status: int, body: bytes, headers: httpx.Headers) -> Refusal:
    """What a refused request was refused with; `Away` for what another try may mend."""
    if status in (408, 429) or status >= 500:
        raise Away(f"the server answered {status}", retry_after=_seconds(headers.get("Retry-After")))
    if 300 <= status < 400:
        raise Away(f"the server answered {status}, as if it were at {headers.get('Location', 'another address')}")
    with contextlib.suppress(msgspec.DecodeError):
        return msgspec.json.decode(body, type=Refusal)
    return Refusal()


def decoded(body: bytes, kind: type[T]) -> T:
    """The answer; `Away` when it is none, as when a proxy answers in the server's place."""
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError as error:
        raise Away(f"the answer was not the server's: {error}") from None


def encoded(kind: str, attributes: Mapping[str, Any], **ids: str) -> bytes:
    """A document with these attributes."""
    return msgspec.json.encode({"data": {"type": kind, **ids, "attributes": attributes}})


def _seconds(text: str | None) -> float | None:
    return min(float(text), 600.0) if text is not None and text.isascii() and text.isdigit() else None
