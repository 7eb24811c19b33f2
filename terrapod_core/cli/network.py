"""What terraform could reach from here that asks nobody for a password, before others are let in; and whether runs reach their server.

Phases of a backend that shares this machine's network reach what it reaches. On a machine for one person that is theirs anyway.
A server that listens for others refuses to start beside such a thing, unless the operator has accepted it.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Final
from urllib.parse import urlsplit

import asyncpg
from sqlalchemy import make_url

from terrapod_core.outgoing.addresses import METADATA
from terrapod_core.plugin import RunnerBackend, SettingsError, SharesNetwork
from terrapod_core.settings import Settings

LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")
SECONDS: Final = 2.0
"""For each thing asked, all at once: what is near answers at once."""

METADATA_PORT: Final = 80
SERVER_SECONDS: Final = 5.0
PING: Final = "/api/v2/ping"


async def check_network(settings: Settings, backend: RunnerBackend) -> None:
    """Raise `SettingsError` with the remedy, for a server that others reach and whose runs could reach what is open to anybody."""
    if not isinstance(backend, SharesNetwork) or backend.shared_network == "accepted" or not _is_for_others(settings):
        return
    metadata = (f"{f'[{each}]' if each.version == 6 else each}:{METADATA_PORT}" for each in METADATA)
    problems = await open_doors(settings.database.url, settings.redis.url, sorted(metadata))
    if problems:
        raise SettingsError(
            f"this server listens for other machines, and terraform, which runs on its network, could use {' and '.join(problems)}. "
            'Close that, listen on loopback, or accept it: [runner.local] shared_network = "accepted"'
        )


def _is_for_others(settings: Settings) -> bool:
    """Whether the listener, or the address of the server that a worker reports to, is more than this machine's own."""
    if settings.server.host not in LOOPBACK:
        return True
    return settings.runner.url is not None and urlsplit(settings.runner.url).hostname not in LOOPBACK


def reporting_to(address: str, settings: Settings) -> Settings:
    """These settings, for a process whose runs report to the server at `address`, and which so works for whoever uses that."""
    return replace(settings, runner=replace(settings.runner, url=address))


async def unreachable(url: str) -> str | None:
    """Why runs that are started here cannot report to the server at `url`, as the end of a sentence; `None` when they can."""
    parts = urlsplit(url)
    secured = ssl.create_default_context() if parts.scheme == "https" else None  # as the runner program: the system's authorities
    words = f"GET {parts.path.rstrip('/')}{PING} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n\r\n".encode()
    try:
        port = parts.port or (443 if secured else 80)
        async with asyncio.timeout(SERVER_SECONDS), _spoken(parts.hostname or "", port, words, secured) as said:
            first = said.partition(b"\r")[0].decode(errors="replace")
    except TimeoutError:
        return f"no answer within {SERVER_SECONDS:g} s"
    except (OSError, ValueError) as error:
        return str(error) or type(error).__name__
    return None if first.split()[1:2] == ["200"] else f"{PING} is not answered as Terrapod does: {first}"


async def open_doors(database: str, redis: str | None, metadata: Iterable[str]) -> list[str]:
    """What answers without a password, in words: the database, Redis, addresses (`host:port`) of a cloud's metadata service."""
    asked = [_within(_database(database)), _within(_redis(redis)), *(_within(_metadata(each)) for each in metadata)]
    return [each for each in await asyncio.gather(*asked) if each is not None]


async def _within(question: Awaitable[str | None]) -> str | None:
    """The answer; nobody who is silent, refuses or speaks another language is open."""
    try:
        async with asyncio.timeout(SECONDS):
            return await question
    except (OSError, TimeoutError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return None


async def _database(text: str) -> str | None:
    url = make_url(text)
    host = url.host or next((each for each in url.normalized_query.get("host", ()) if not each.startswith("/")), None)
    if not url.drivername.startswith("postgresql") or host is None:
        return None  # a file or a socket, neither of which a sandbox shows
    # An empty password is given, so that none is looked for elsewhere.
    connection = await asyncpg.connect(host=host, port=url.port or 5432, user=url.username, database=url.database, password="")
    await connection.close(timeout=SECONDS)
    return f"the database at {host}, which asks for no password"


async def _redis(text: str | None) -> str | None:
    parts = urlsplit(text or "")
    if parts.scheme not in ("redis", "rediss") or parts.hostname is None:
        return None
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # only whether it lets anybody in is asked
    secured = context if parts.scheme == "rediss" else None
    async with _spoken(parts.hostname, parts.port or 6379, b"PING\r\n", secured) as answer:
        return f"Redis at {parts.hostname}, which asks for no password" if answer.startswith(b"+") else None


async def _metadata(address: str) -> str | None:
    host, _, port = address.rpartition(":")
    async with _spoken(host.strip("[]"), int(port), b"GET / HTTP/1.0\r\n\r\n") as answer:
        return f"the cloud's metadata service at {host}" if answer else None


@asynccontextmanager
async def _spoken(host: str, port: int, words: bytes, secured: ssl.SSLContext | None = None) -> AsyncIterator[bytes]:
    """What comes back first."""
    reader, writer = await asyncio.open_connection(host, port, ssl=secured)
    try:
        writer.write(words)
        yield await reader.read(64)
    finally:
        writer.close()
