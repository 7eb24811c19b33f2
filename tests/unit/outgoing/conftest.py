"""A web server on the loopback that answers under any name, and a network that leads every address to it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpcore
import pytest
import trustme

from terrapod_core.outgoing import HTTPClients
from terrapod_core.settings import Outgoing

PUBLIC = "93.184.216.34"

Answer = Callable[["Asked", asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Asked:
    """One request as it arrived."""

    sni: str | None
    head: str
    body: bytes = b""

    @property
    def path(self) -> str:
        return self.head.split(" ", 2)[1]

    def header(self, name: str) -> str | None:
        lines = [line.partition(": ") for line in self.head.split("\r\n")[1:]]
        return next((value for key, _, value in lines if key.lower() == name.lower()), None)


@dataclass
class Internet:
    """What the tests' clients see of the world."""

    ca_file: Path
    asked: list[Asked] = field(default_factory=list)
    connected: list[tuple[str, int]] = field(default_factory=list)
    names: dict[str, list[str]] = field(default_factory=dict)
    """What each name leads to; all others lead to a public address."""
    resolved: list[str] = field(default_factory=list)
    answers: dict[str, bytes | Answer] = field(default_factory=dict)
    """By `host/path`."""
    tls_port: int = 0
    plain_port: int = 0

    async def resolve(self, host: str, port: int) -> list[str]:
        self.resolved.append(host)
        return self.names.get(host, [PUBLIC])

    def clients(self, *, refused: Iterable[str] = (), **settings: Any) -> HTTPClients:
        return HTTPClients(Outgoing(ca_file=self.ca_file, **settings), frozenset(refused), self.resolve)


def page(body: bytes = b"hello", status: str = "200 OK", **headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def moved(to: str, status: str = "302 Found") -> bytes:
    return page(b"", status, Location=to)


@pytest.fixture
async def internet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Internet]:
    authority = trustme.CA()
    ca_file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    internet = Internet(ca_file)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("example.com", "other.example.com", "third.example.com").configure_cert(context)
    shown: dict[Any, str | None] = {}
    context.sni_callback = lambda connection, name, _: shown.__setitem__(connection, name)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().removesuffix("\r\n\r\n")
            asked = Asked(shown.get(writer.get_extra_info("ssl_object")), head)
            asked.body = await reader.readexactly(int(asked.header("Content-Length") or 0))
            internet.asked.append(asked)
            answer = internet.answers.get(f"{asked.header('Host')}{asked.path}", page())
            if isinstance(answer, bytes):
                writer.write(answer)
                await writer.drain()
            else:
                await answer(asked, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass  # the client has seen enough
        finally:
            writer.close()

    tls = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    plain = await asyncio.start_server(serve, "127.0.0.1", 0)
    internet.tls_port, internet.plain_port = tls.sockets[0].getsockname()[1], plain.sockets[0].getsockname()[1]

    class Cables(httpcore.AnyIOBackend):
        async def connect_tcp(self, host: str, port: int, *rest: Any, **more: Any) -> httpcore.AsyncNetworkStream:
            internet.connected.append((host, port))
            return await super().connect_tcp("127.0.0.1", internet.plain_port if port == 80 else internet.tls_port, *rest, **more)

    monkeypatch.setattr(httpcore, "AnyIOBackend", Cables)
    yield internet
    tls.close()
    plain.close()
