"""Many listeners that wait for runs on one server. A program: its parent counts the server's time alone.

It is given the server's address. On its standard input comes one JSON list of `{"id", "key-id", "key"}` (the key in hexadecimal). On
its output it says, one JSON value a line, the seconds that connecting took, those until all polls were taken, and then, for each
run that was given, its phase's id and when its answer came, by the clock that all processes share.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from terrapod_core.signatures import Signer

WAIT_SECONDS = 600


class Pollers:
    """The program, as its parent sees it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def line(self) -> Any:
        """What it says next."""
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())


@contextmanager
def polling(url: str, listeners: Sequence[dict[str, str]]) -> Iterator[Pollers]:
    """Listeners that begin to wait."""
    command = [sys.executable, "-m", "tests.bench.tools.pollers", url]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdin is not None
        process.stdin.write(json.dumps(listeners) + "\n")
        process.stdin.flush()
        yield Pollers(process)
    finally:
        process.kill()
        process.wait()


class _Listener:
    """One of them, on one connection."""

    def __init__(self, url: str, known: dict[str, str]) -> None:
        self._url = url
        self._id = known["id"]
        self._signer = Signer(Ed25519PrivateKey.from_private_bytes(bytes.fromhex(known["key"])), known["key-id"])
        self._holds = ""

    async def connect(self) -> None:
        parts = urlsplit(self._url)
        self._reader, self._writer = await asyncio.open_connection(parts.hostname, parts.port)

    async def poll(self) -> None:
        """Ask, and come back when the server has taken it."""
        path = f"/api/v2/listeners/{self._id}/runs/next?wait={WAIT_SECONDS}&holds={self._holds}"
        headers = {"Host": urlsplit(self._url).netloc, **self._signer.headers("GET", self._url + path)}
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self._writer.write(f"GET {path} HTTP/1.1\r\n{lines}\r\n".encode())
        status = await self._reader.readline()
        assert status.split()[1] == b"200", status
        while await self._reader.readline() != b"\r\n":
            pass
        assert await self._chunk() == b"\n"

    async def _chunk(self) -> bytes:
        size = int(await self._reader.readline(), 16)
        data = await self._reader.readexactly(size)
        await self._reader.readline()
        return data

    async def wait(self) -> None:
        """Tell of all that it is given, and ask again."""
        while True:
            piece = await self._chunk()
            now = time.monotonic()
            if piece in (b"", b"\n"):
                continue
            await self._chunk()
            given = json.loads(piece)["data"]
            if given is not None:
                attributes = given["attributes"]
                self._holds = f"{attributes['phase-id']}.{attributes['epoch']}"
                print(json.dumps([attributes["phase-id"], now]), flush=True)
            await self.poll()


async def _all(url: str, known: Sequence[dict[str, str]]) -> None:
    listeners = [_Listener(url, each) for each in known]
    began = time.monotonic()
    await asyncio.gather(*(listener.connect() for listener in listeners))
    print(json.dumps(time.monotonic() - began), flush=True)
    await asyncio.gather(*(listener.poll() for listener in listeners))
    print(json.dumps(time.monotonic() - began), flush=True)
    await asyncio.gather(*(listener.wait() for listener in listeners))


if __name__ == "__main__":
    asyncio.run(_all(sys.argv[1], json.loads(sys.stdin.readline())))
