"""Clients that make one state version after the other: announce it, upload it, the next one. In a process of their own."""

from __future__ import annotations

import asyncio
import hashlib
import json
import subprocess
import sys
import time
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import urlsplit

import uvloop

CYCLE_BYTES = 4096


@dataclass(frozen=True)
class Cycles:
    """What came of it; times in milliseconds."""

    rate: float
    """Whole cycles a second."""
    p50: float
    p99: float


def measure(url: str, token: str, workspaces: Sequence[str], *, seconds: float) -> Cycles:
    """One client for each of the workspaces, which `token`'s owner has locked. Raises when any request is refused."""
    order = {"url": url, "token": token, "workspaces": list(workspaces), "seconds": seconds}
    done = subprocess.run([sys.executable, "-m", __name__], input=json.dumps(order).encode(), capture_output=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.decode()[-2000:])
    return Cycles(**json.loads(done.stdout))


class _Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, token: str) -> None:
        self._reader = reader
        self._writer = writer
        self._common = f"Host: {host}\r\nAuthorization: Bearer {token}\r\n"

    async def cycles(self, workspace: str, until: float) -> list[float]:
        """Seconds that each cycle took."""
        lineage, times, serial = str(uuid.uuid4()), [], 0
        while time.perf_counter() < until:
            serial += 1
            state = _state(serial, lineage)
            attributes = {"serial": serial, "lineage": lineage, "md5": hashlib.md5(state, usedforsecurity=False).hexdigest()}
            body = json.dumps({"data": {"type": "state-versions", "attributes": attributes}}).encode()
            began = time.perf_counter()
            made = await self._ask("POST", f"/api/v2/workspaces/{workspace}/state-versions", body, "application/vnd.api+json")
            link = urlsplit(json.loads(made)["data"]["attributes"]["hosted-state-upload-url"]).path
            await self._ask("PUT", link, state, "application/octet-stream")
            times.append(time.perf_counter() - began)
        return times

    async def _ask(self, method: str, path: str, body: bytes, content_type: str) -> bytes:
        head = f"{method} {path} HTTP/1.1\r\n{self._common}Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
        self._writer.write(head.encode() + body)
        answer = await self._reader.readuntil(b"\r\n\r\n")
        lengths = [line[15:] for line in answer.split(b"\r\n") if line[:15].lower() == b"content-length:"]
        content = await self._reader.readexactly(int(lengths[0])) if lengths else b""
        if answer[9:10] != b"2":
            raise RuntimeError(f"{method} {path} -> {answer.decode()} {content.decode()}")
        return content


def _state(serial: int, lineage: str) -> bytes:
    document: dict[str, Any] = {"version": 4, "terraform_version": "1.11.4", "serial": serial, "lineage": lineage}
    document |= {"outputs": {"filler": {"value": "x" * CYCLE_BYTES, "type": "string"}}, "resources": [], "check_results": None}
    return json.dumps(document).encode()


async def _measure(url: str, token: str, workspaces: Sequence[str], seconds: float) -> Cycles:
    parts = urlsplit(url)
    clients = [_Client(*await asyncio.open_connection("127.0.0.1", parts.port), parts.netloc, token) for _ in workspaces]
    began = time.perf_counter()
    each = await asyncio.gather(*(client.cycles(workspace, began + seconds) for client, workspace in zip(clients, workspaces, strict=True)))
    took = time.perf_counter() - began
    times = sorted(one for client in each for one in client)
    p50, p99 = (round(1000 * times[int(len(times) * share)], 1) for share in (0.5, 0.99))
    return Cycles(round(len(times) / took, 1), p50, p99)


if __name__ == "__main__":
    json.dump(asdict(uvloop.run(_measure(**json.loads(sys.stdin.read())))), sys.stdout)
