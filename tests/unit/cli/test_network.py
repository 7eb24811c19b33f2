"""What is open to anybody on this machine's network keeps a server for others from starting beside runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from terrapod_core.cli import network
from terrapod_core.cli.network import check_network, open_doors, reporting_to, unreachable
from terrapod_core.plugin import RunnerBackend, SettingsError
from terrapod_core.settings import Redis, Runner, Server, Settings

Conversation = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]


@pytest.fixture(autouse=True)
def no_cloud(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine of the tests may be one of a cloud."""
    monkeypatch.setattr(network, "METADATA", ())


SQLITE = "sqlite+aiosqlite:///x.db"


def says(answer: bytes) -> Conversation:
    """Whoever says something gets this answer."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(64)
        writer.write(answer)
        await writer.drain()
        writer.close()

    return talk


@asynccontextmanager
async def listening(talk: Conversation) -> AsyncIterator[int]:
    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


def backend(shared_network: str) -> RunnerBackend:
    return cast(RunnerBackend, SimpleNamespace(shared_network=shared_network))


async def test_redis_is_open_when_it_asks_for_no_password() -> None:
    async with listening(says(b"+PONG\r\n")) as port:
        assert await open_doors(SQLITE, f"redis://127.0.0.1:{port}/0", []) == ["Redis at 127.0.0.1, which asks for no password"]
    async with listening(says(b"-NOAUTH Authentication required.\r\n")) as port:
        assert await open_doors(SQLITE, f"redis://127.0.0.1:{port}/0", []) == []


async def test_a_metadata_service_is_open_when_it_answers() -> None:
    async with listening(says(b"HTTP/1.1 401 Unauthorized\r\n\r\n")) as port:
        assert await open_doors(SQLITE, None, [f"127.0.0.1:{port}"]) == ["the cloud's metadata service at 127.0.0.1"]
    async with listening(says(b"")) as port:
        assert await open_doors(SQLITE, None, [f"127.0.0.1:{port}"]) == []


async def test_who_is_silent_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "SECONDS", 0.05)
    ended = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        ended.set()

    async with listening(silent) as port:
        assert await open_doors(SQLITE, None, [f"127.0.0.1:{port}", f"127.0.0.1:{port}"]) == []
        await ended.wait()


SSL_REQUEST, AUTHENTICATED, PASSWORD_WANTED = b"N", b"R\0\0\0\x08\0\0\0\0", b"R\0\0\0\x08\0\0\0\x03"
READY = b"S\0\0\0\x18server_version\x0015.0\0" + b"Z\0\0\0\x05I"
REFUSED = b"E" + (4 + len(fields := b"SFATAL\0C28P01\0Mpassword authentication failed\0\0")).to_bytes(4) + fields
"""https://www.postgresql.org/docs/current/protocol-message-formats.html"""


def postgresql(*, wants_password: bool) -> Conversation:
    """As much of PostgreSQL as it takes to be let in, or not."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1024)
        writer.write(SSL_REQUEST)
        await reader.read(1024)
        writer.write(PASSWORD_WANTED if wants_password else AUTHENTICATED + READY)
        await reader.read(1024)
        if wants_password:
            writer.write(REFUSED)
        writer.close()

    return talk


@pytest.mark.parametrize("wants_password", [False, True])
async def test_a_database_is_open_when_it_lets_anybody_in_whatever_password_the_settings_have(wants_password: bool) -> None:
    async with listening(postgresql(wants_password=wants_password)) as port:
        found = await open_doors(f"postgresql+asyncpg://terrapod:secret@127.0.0.1:{port}/terrapod", None, [])
    assert found == ([] if wants_password else ["the database at 127.0.0.1, which asks for no password"])


async def test_a_database_behind_a_socket_is_not_open_because_no_sandbox_shows_it(postgres_url: str) -> None:
    assert "host=/" in postgres_url
    assert await open_doors(postgres_url, None, []) == []


@pytest.mark.parametrize(
    ("settings", "accepted", "refused"),
    [
        (Settings(server=Server(host="0.0.0.0")), "refused", True),
        (Settings(server=Server(host="0.0.0.0")), "accepted", False),
        (Settings(), "refused", False),
        (Settings(runner=Runner(url="https://terrapod.example.com")), "refused", True),
        (Settings(runner=Runner(url="http://localhost:8080")), "refused", False),
        (reporting_to("https://terrapod.example.com", Settings()), "refused", True),
    ],
    ids=["for others", "accepted", "loopback", "worker of another server", "worker beside its server", "worker by the external URL"],
)
async def test_only_a_server_for_others_is_refused_and_only_until_it_is_accepted(settings: Settings, accepted: str, refused: bool) -> None:
    async with listening(says(b"+PONG\r\n")) as port:
        settings = replace(settings, redis=Redis(url=f"redis://127.0.0.1:{port}"))
        if refused:
            with pytest.raises(SettingsError, match='shared_network = "accepted"'):
                await check_network(settings, backend(accepted))
        else:
            await check_network(settings, backend(accepted))


async def test_a_runner_on_another_network_reaches_nothing_here() -> None:
    async with listening(says(b"+PONG\r\n")) as port:
        settings = Settings(server=Server(host="0.0.0.0"), redis=Redis(url=f"redis://127.0.0.1:{port}"))
        await check_network(settings, cast(RunnerBackend, SimpleNamespace()))


def answers(status: str) -> Conversation:
    """A web server of one answer."""
    return says(f"HTTP/1.1 {status}\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{{}}".encode())


@pytest.mark.parametrize(
    ("status", "reason"), [("200 OK", None), ("404 Not Found", "/api/v2/ping is not answered as Terrapod does: HTTP/1.1 404 Not Found")]
)
async def test_a_server_is_reached_when_it_answers_as_terrapod_does(status: str, reason: str | None) -> None:
    async with listening(answers(status)) as port:
        assert await unreachable(f"http://127.0.0.1:{port}/") == reason


async def test_a_server_that_nobody_listens_for_is_not_reached() -> None:
    async with listening(answers("200 OK")) as port:
        pass
    assert "Connect call failed" in (await unreachable(f"http://127.0.0.1:{port}") or "")
