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
SILENCE_SECONDS: Final = 60.0
"""Without a byte for so long, the connection is gone: the server sends one every 40 seconds."""

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

    def began(self, away: Away) -> Away:
        """It does not answer, for the reason that is handed back."""
        if not self._away:
            self._away = True
            log.warning("the server does not answer; trying again", reason=str(away))
        return away

    def ended(self) -> None:
        """It answered."""
        if self._away:
            self._away = False
            log.info("the server answers again")


async def exchange(
    http: httpx.AsyncClient, method: str, url: str, body: bytes, headers: Mapping[str, str], outage: Outage
) -> tuple[int, bytes]:
    """Status and body of an answer, which may come slowly but not silently. Raises `Away`, having told `outage`."""
    try:
        request = http.build_request(method, url, content=body, headers={"Accept": JSON_API, **headers})
        async with asyncio.timeout(SILENCE_SECONDS):
            response = await http.send(request, stream=True)
        async with contextlib.aclosing(response):
            if not _is_away(response.status_code):
                outage.ended()  # now: the end of a long poll may be minutes away
            read, pieces = bytearray(), response.aiter_bytes()
            while True:
                async with asyncio.timeout(SILENCE_SECONDS):
                    piece = await anext(pieces, None)
                if piece is None:
                    break
                read += piece
        if _is_away(response.status_code):
            raise Away(_why_away(response), retry_after=_seconds(response.headers.get("Retry-After")))
    except TimeoutError:
        raise outage.began(Away(f"nothing was heard for {SILENCE_SECONDS:g} s")) from None
    except httpx.HTTPError as error:
        raise outage.began(Away(str(error) or type(error).__name__)) from None
    except Away as away:
        raise outage.began(away) from None
    return response.status_code, bytes(read)


def refusal_of(body: bytes) -> Refusal:
    """What a refused request was refused with; nothing where somebody else answered in the server's place."""
    try:
        return msgspec.json.decode(body, type=Refusal)
    except msgspec.DecodeError:
        return Refusal()


def decoded(body: bytes, kind: type[T], outage: Outage) -> T:
    """The answer; `Away` when it is none, as when a proxy answers in the server's place."""
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError as error:
        raise outage.began(Away(f"the answer was not the server's: {error}")) from None


def encoded(kind: str, attributes: Mapping[str, Any], **ids: str) -> bytes:
    """A document with these attributes."""
    return msgspec.json.encode({"data": {"type": kind, **ids, "attributes": attributes}})


def _is_away(status: int) -> bool:
    """Whether another try may mend it."""
    return status >= 500 or status in (408, 429) or 300 <= status < 400


def _why_away(response: httpx.Response) -> str:
    if response.is_redirect:
        return f"the server answered {response.status_code}, as if it were at {response.headers.get('Location', 'another address')}"
    return f"the server answered {response.status_code}"


def _seconds(text: str | None) -> float | None:
    return min(float(text), 600.0) if text is not None and text.isascii() and text.isdigit() else None
