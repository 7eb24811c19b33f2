"""A load generator of our own, in a process of its own: keep-alive connections that ask the next time when they were answered.

Small enough to say what it does, the same on every machine, and in one core far quicker than the servers it asks: bytes that
are made once go out, and of an answer only the status and the length are read.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import cast
from urllib.parse import urlsplit

import uvloop

WARM_SECONDS = 0.3
"""Asked and not counted, so that connecting and first look-ups are nobody's figure."""


@dataclass(frozen=True)
class Load:
    """What one measurement found; times in milliseconds."""

    rate: float
    """Answers a second."""
    p50: float
    p99: float
    refused: int
    """Answers that were no success, and connections that were closed; anything but 0 makes the other figures worthless."""


def measure(url: str, *, connections: int, seconds: float, headers: Mapping[str, str]) -> Load:
    """Ask for `url` over so many connections for so long, from another process."""
    order = {"url": url, "connections": connections, "seconds": seconds, "headers": dict(headers)}
    done = subprocess.run([sys.executable, "-m", __name__], input=json.dumps(order).encode(), capture_output=True, check=True)
    return Load(**json.loads(done.stdout))


class _Connection(asyncio.Protocol):
    """One connection: at most one request is under way."""

    def __init__(self, request: bytes, tally: _Tally) -> None:
        self._request = request
        self._tally = tally
        self._received = b""
        self._asked = 0.0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but name
        self._ask()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        if not found or len(body) < _length(head):
            return
        self._received = b""
        self._tally.note(time.perf_counter() - self._asked, head.startswith(b"HTTP/1.1 200"))
        self._ask()

    def connection_lost(self, exc: Exception | None) -> None:
        self._tally.lost()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _ask(self) -> None:
        assert self._transport is not None
        self._asked = time.perf_counter()
        self._transport.write(self._request)


class _Tally:
    def __init__(self) -> None:
        self.times: list[float] = []
        self.refused = 0
        self.counting = False

    def note(self, seconds: float, well: bool) -> None:
        if self.counting:
            self.times.append(seconds)
            self.refused += not well

    def lost(self) -> None:
        self.refused += self.counting


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        if line[:15].lower() == b"content-length:":
            return int(line[15:])
    return 0


async def _measure(url: str, connections: int, seconds: float, headers: Mapping[str, str]) -> Load:
    parts = urlsplit(url)
    lines = [f"GET {parts.path} HTTP/1.1", f"Host: {parts.netloc}", *(f"{name}: {value}" for name, value in headers.items())]
    request = "\r\n".join([*lines, "", ""]).encode()
    tally, loop = _Tally(), asyncio.get_running_loop()
    host, port = parts.hostname or "127.0.0.1", parts.port or 80
    opened = [await loop.create_connection(lambda: _Connection(request, tally), host, port) for _ in range(connections)]
    await asyncio.sleep(WARM_SECONDS)
    tally.counting, began = True, time.perf_counter()
    await asyncio.sleep(seconds)
    tally.counting, took = False, time.perf_counter() - began
    for _, connection in opened:
        connection.close()
    times = sorted(tally.times) or [float("nan")]
    p50, p99 = (1000 * times[int(len(times) * share)] for share in (0.5, 0.99))
    return Load(round(len(tally.times) / took, 1), round(p50, 2), round(p99, 2), tally.refused)


if __name__ == "__main__":
    json.dump(asdict(uvloop.run(_measure(**json.loads(sys.stdin.read())))), sys.stdout)
