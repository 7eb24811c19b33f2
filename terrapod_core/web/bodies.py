"""Reading what a client sends: whole when it is small, in pieces when it is not, never more than its limit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from typing import Final
from urllib.parse import parse_qs

from quart import Request

from terrapod_core.clock import Clock
from terrapod_core.errors import BadRequest, RequestTooSlow, TooLarge, UnsupportedMediaType

JSON_TYPES: Final = frozenset({"application/vnd.api+json", "application/json"})
FORM_TYPE: Final = "application/x-www-form-urlencoded"
FORM_BYTES: Final = 64 * 1024
FORM_FIELDS: Final = 100
CHECKED_EVERY: Final = timedelta(seconds=30)
DRAIN_BYTES: Final = 1024 * 1024
DRAIN_SECONDS: Final = 2.0


def megabytes(size: int) -> str:
    """A limit as people say it."""
    return f"{size / (1024 * 1024):g} MiB" if size >= 1024 * 1024 else f"{size / 1024:g} KiB"


async def pieces(request: Request, limit: int, what: str) -> AsyncIterator[bytes]:
    """The body as it arrives; raises `TooLarge` at once for a declared length over the limit, else when it passes it."""
    declared = request.content_length
    if declared is not None and declared > limit:
        raise _too_large(limit, what)
    seen = 0
    async for piece in request.body:
        seen += len(piece)
        if seen > limit:
            raise _too_large(limit, what)
        yield piece
    if declared is not None and seen < declared:
        raise BadRequest(f"the {what} ended after {seen} of {declared} bytes; send it again")


async def attended(body: AsyncIterator[bytes], clock: Clock, check: Callable[[], Awaitable[None]]) -> AsyncIterator[bytes]:
    """The body of a request or an answer, for which `check` is asked again when half a minute has passed since it last was.

    Who may begin may not go on for ever.
    """
    checked = clock.now()
    async for piece in body:
        if clock.now() - checked >= CHECKED_EVERY:
            await check()
            checked = clock.now()
        yield piece


async def whole(request: Request, limit: int, what: str = "request body") -> bytes:
    """A small body, joined."""
    return b"".join([piece async for piece in pieces(request, limit, what)])


async def json_bytes(request: Request, limit: int) -> bytes:
    """The bytes of a JSON body; raises `UnsupportedMediaType` when the client says it is something else."""
    check_json(request)
    return await whole(request, limit)


def check_json(request: Request) -> None:
    """Raise `UnsupportedMediaType` when the client says that its body is not JSON."""
    if request.content_type and request.mimetype not in JSON_TYPES:
        raise UnsupportedMediaType(f"send application/vnd.api+json, not {request.mimetype}")


async def form(request: Request, limit: int = FORM_BYTES, fields: int = FORM_FIELDS) -> dict[str, str]:
    """A submitted form of so many bytes and fields, the last value of each; raises `UnsupportedMediaType` for any other encoding."""
    if request.mimetype != FORM_TYPE:
        raise UnsupportedMediaType(f"send {FORM_TYPE}")
    raw = await whole(request, limit, "form")
    try:
        found = parse_qs(raw.decode(), keep_blank_values=True, max_num_fields=fields)
    except ValueError as error:
        raise BadRequest("the form cannot be read as UTF-8 fields") from error
    return {name: values[-1] for name, values in found.items()}


async def drain(request: Request) -> None:
    """Read a little of what nobody has read, before the answer goes out.

    A client that is still sending would see a broken pipe instead of a refusal's reason, and Hypercorn hangs up, without saying
    so, on one whose last bytes had not arrived: its next request would fail.
    """
    if request.content_length is None and "Transfer-Encoding" not in request.headers:
        return
    seen = 0

    async def read() -> None:
        nonlocal seen
        async for piece in request.body:
            seen += len(piece)
            if seen > DRAIN_BYTES:
                return

    with suppress(TimeoutError, RequestTooSlow):
        await asyncio.wait_for(read(), DRAIN_SECONDS)


def _too_large(limit: int, what: str) -> TooLarge:
    return TooLarge(f"the {what} is larger than the limit of {megabytes(limit)}", code="too_large")
