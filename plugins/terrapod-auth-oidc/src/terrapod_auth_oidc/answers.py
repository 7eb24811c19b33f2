"""Asking the provider. Whatever is wrong with an answer becomes `ProviderUnavailable` with a sentence about it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

import httpx

from terrapod_core.plugin import ProviderUnavailable

LARGEST: Final = 1 << 20
"""Bytes of an answer. The largest that are seen, key sets with their certificates, have some ten thousand."""


class Clients(Protocol):
    """Of the context's `http`, what is used here."""

    def trusted(self, *, timeout: float) -> httpx.AsyncClient:
        """A client that follows no redirect; `timeout` is in seconds."""
        ...


@dataclass(frozen=True)
class Answer:
    """What the provider said: an HTTP status, and the members of a JSON object."""

    status: int
    members: Mapping[str, object] = field(repr=False)


class Asking:
    """Sends requests to one provider, and takes nothing for an answer that is late, long or no JSON object."""

    def __init__(self, clients: Clients, seconds: float) -> None:
        self._clients = clients
        self._seconds = seconds

    async def get(self, what: str, url: str, *, headers: Mapping[str, str] | None = None) -> Answer:
        """GET. `what` names the thing that is asked for, in errors."""
        return await self._ask(what, "GET", url, dict(headers or {}), None)

    async def post(self, what: str, url: str, form: str, *, headers: Mapping[str, str] | None = None) -> Answer:
        """POST of an encoded form."""
        encoded = {"Content-Type": "application/x-www-form-urlencoded", **(headers or {})}
        return await self._ask(what, "POST", url, encoded, form.encode())

    async def _ask(self, what: str, method: str, url: str, headers: dict[str, str], content: bytes | None) -> Answer:
        # Not compressed: what is read is what was counted.
        headers |= {"Accept": "application/json", "Accept-Encoding": "identity"}
        try:
            # httpx counts the seconds of each read; a provider that sends a byte now and then would hold on to us for ever.
            async with (
                asyncio.timeout(self._seconds),
                self._clients.trusted(timeout=self._seconds) as http,
                http.stream(method, url, headers=headers, content=content) as response,
            ):
                if 300 <= response.status_code < 400:
                    raise ProviderUnavailable(f"sends the request for {what} elsewhere, where it must not go")
                body = await _read(what, response)
        except (TimeoutError, httpx.TimeoutException):
            raise ProviderUnavailable(f"took too long to answer the request for {what}") from None
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError):
            raise ProviderUnavailable(f"could not be asked for {what}") from None
        return Answer(response.status_code, _members(what, response.status_code, body))


async def _read(what: str, response: httpx.Response) -> bytes:
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise ProviderUnavailable(f"answered the request for {what} in an encoding that it was not asked for")
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > LARGEST:
            raise ProviderUnavailable(f"answered the request for {what} with more than {LARGEST >> 20} MiB")
    return bytes(body)


def _members(what: str, status: int, body: bytes) -> Mapping[str, object]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise ProviderUnavailable(f"answered the request for {what} with status {status} and no JSON object")
    return found
