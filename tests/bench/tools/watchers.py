"""Many clients of one stream, who note when each line of a log reaches them. A program: its parent counts the server's time alone.

It is given an address, the number of watchers and how many lines to wait for; on its standard input the bearer tokens that they take
in turn. It says `ready` once all are connected, and at the end prints one latency in seconds a line.
"""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from urllib.parse import urlsplit

LINE = re.compile(rb"sent at (\d+\.\d+)")
CONNECTING_AT_ONCE = 16


def line() -> bytes:
    """A line for a log that says when it was sent, by the clock that all processes share."""
    return b"sent at %.6f, a line as terraform prints them while it applies\n" % time.monotonic()


@contextmanager
def watching(url: str, number: int, lines: int, tokens: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
    """Watchers that are connected; what they print is the latencies."""
    command = [sys.executable, "-m", "tests.bench.tools.watchers", url, str(number), str(lines)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(" ".join(tokens) + "\n")
        process.stdin.flush()
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.kill()
        process.wait()


async def _watch(url: str, token: str, lines: int, room: asyncio.Semaphore, connected: asyncio.Semaphore) -> list[float]:
    parts = urlsplit(url)
    async with room:
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        head = f"GET {parts.path}?{parts.query} HTTP/1.1\r\nHost: {parts.netloc}\r\nAuthorization: Bearer {token}\r\n\r\n"
        writer.write(head.encode())
        status = await reader.readline()
        assert status.split()[1] == b"200", status
        while await reader.readline() != b"retry: 3000\n":
            pass
    connected.release()
    found: list[float] = []
    while len(found) < lines:
        piece = await reader.readline()
        now = time.monotonic()
        found += [now - float(sent) for sent in LINE.findall(piece)]
        assert piece, "the stream ended"
    writer.close()
    return found


async def _all(url: str, number: int, lines: int, tokens: Sequence[str]) -> None:
    room, connected = asyncio.Semaphore(CONNECTING_AT_ONCE), asyncio.Semaphore(0)
    watchers = [asyncio.create_task(_watch(url, tokens[each % len(tokens)], lines, room, connected)) for each in range(number)]
    for _ in watchers:
        await connected.acquire()
    print("ready", flush=True)
    for found in await asyncio.gather(*watchers):
        print("\n".join(f"{each:.6f}" for each in found))


if __name__ == "__main__":
    asyncio.run(_all(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.stdin.readline().split()))
