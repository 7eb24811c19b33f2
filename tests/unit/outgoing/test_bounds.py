"""Size, time, and what errors say; for trusted and guarded clients alike."""

from __future__ import annotations

import asyncio
import gzip
from typing import Any

import httpx
import pytest

from terrapod_core.outgoing import HTTPClients, OutgoingError, OutgoingTimeout, OutgoingTooLarge, OutgoingUnreachable
from terrapod_core.settings import Outgoing
from tests.unit.outgoing.conftest import Asked, Internet, moved, page

KINDS = ["trusted", "guarded"]
URL = "https://example.com/secret-path?token=hunter2"


def client(internet: Internet, kind: str, **options: Any) -> httpx.AsyncClient:
    made: httpx.AsyncClient = getattr(internet.clients(), kind)(**options)
    return made


async def endless(asked: Asked, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"400\r\n" + bytes(1024) + b"\r\n")
        await writer.drain()


async def dripping(asked: Asked, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    while True:
        writer.write(b".")
        await writer.drain()
        await asyncio.sleep(0.02)


async def silent(asked: Asked, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(30)


async def declaring(asked: Asked, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    await silent(asked, writer)


async def banner(asked: Asked, writer: asyncio.StreamWriter) -> None:
    writer.write(b"SSH-2.0-OpenSSH_9.9 hunter2\r\n")
    await writer.drain()


async def test_what_is_declared_too_large_is_not_waited_for(internet: Internet) -> None:
    internet.answers["example.com/"] = declaring
    async with client(internet, "guarded", max_bytes=2000, timeout=20) as http:
        with pytest.raises(OutgoingTooLarge):
            await http.get("https://example.com/")


@pytest.mark.parametrize("kind", KINDS)
async def test_an_answer_that_declares_too_much_is_not_read(kind: str, internet: Internet) -> None:
    internet.answers["example.com/secret-path?token=hunter2"] = page(b"x" * 2001)
    async with client(internet, kind, max_bytes=2000) as http:
        with pytest.raises(OutgoingTooLarge, match=r"^example\.com: answers with more than 2000 bytes$"):
            await http.get(URL)
        assert (await http.head(URL)).headers["Content-Length"] == "2001"


@pytest.mark.parametrize("kind", KINDS)
async def test_an_endless_answer_ends_at_the_limit(kind: str, internet: Internet) -> None:
    internet.answers["example.com/secret-path?token=hunter2"] = endless
    async with client(internet, kind, max_bytes=100_000) as http:
        with pytest.raises(OutgoingTooLarge):
            await http.get(URL)
        seen = 0
        async with http.stream("GET", URL) as response:
            with pytest.raises(OutgoingTooLarge):
                async for piece in response.aiter_bytes():
                    seen += len(piece)
    assert 0 < seen <= 100_000


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("answer", [dripping, silent])
async def test_a_slow_answer_ends_at_its_time_however_busy_it_looks(kind: str, answer: Any, internet: Internet) -> None:
    internet.answers["example.com/secret-path?token=hunter2"] = answer
    async with client(internet, kind, timeout=0.3) as http:
        with pytest.raises(OutgoingTimeout, match=r"^example\.com: did not answer within 0\.3 s$"):
            await http.get(URL)
        with pytest.raises(httpx.TimeoutException):
            await http.get(URL)


async def test_the_time_is_that_of_all_redirects_together(internet: Internet) -> None:
    async def slowly(asked: Asked, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.2)
        writer.write(moved("https://example.com/"))
        await writer.drain()

    internet.answers["example.com/"] = slowly
    async with client(internet, "guarded", timeout=0.5) as http:
        with pytest.raises(OutgoingTimeout):
            await http.get("https://example.com/")  # with a time for each, a fourth redirect would be refused
    assert len(internet.asked) <= 3


@pytest.mark.parametrize("kind", KINDS)
async def test_a_compressed_answer_is_refused_since_it_could_grow(kind: str, internet: Internet) -> None:
    internet.answers["example.com/secret-path?token=hunter2"] = page(gzip.compress(bytes(10_000_000)), Content_Encoding="gzip")
    async with client(internet, kind) as http:
        with pytest.raises(OutgoingUnreachable, match="compressed"):
            await http.get(URL)
    assert internet.asked[0].header("Accept-Encoding") == "identity"


@pytest.mark.parametrize("kind", KINDS)
async def test_what_another_service_says_is_told_to_nobody(kind: str, internet: Internet) -> None:
    internet.answers["example.com/secret-path?token=hunter2"] = banner
    async with client(internet, kind, headers={"Authorization": "Bearer hunter2"}) as http:
        with pytest.raises(OutgoingUnreachable) as failed:
            await http.post(URL, content=b"hunter2")
    assert str(failed.value) == "example.com: did not answer in HTTP"
    assert isinstance(failed.value, httpx.TransportError)
    chain: BaseException | None = failed.value
    while chain is not None:
        assert chain is failed.value or chain.__suppress_context__ or "hunter2" not in str(chain)
        chain = chain.__cause__


async def test_nobody_there_is_said_in_words() -> None:
    async with HTTPClients().trusted() as http:
        with pytest.raises(OutgoingUnreachable, match=r"^127\.0\.0\.1: refuses the connection$"):
            await http.get("http://127.0.0.1:1/")


async def test_a_name_without_an_address_is_said_in_words(internet: Internet) -> None:
    internet.names["nowhere.example.com"] = []
    async with client(internet, "guarded") as http:
        with pytest.raises(OutgoingUnreachable, match=r"^nowhere\.example\.com: has no address$"):
            await http.get("https://nowhere.example.com/")


async def test_a_trusted_client_asks_what_the_operator_named(internet: Internet) -> None:
    async with HTTPClients().trusted(base_url="http://127.0.0.1/") as http:
        assert (await http.get("/x")).text == "hello"
    assert internet.connected == [("127.0.0.1", 80)]


async def test_a_trusted_client_follows_no_redirect_unless_asked(internet: Internet) -> None:
    internet.answers["example.com/"] = moved("https://other.example.com/")
    async with client(internet, "trusted") as http:
        assert (await http.get("https://example.com/")).status_code == 302
    async with client(internet, "trusted", follow_redirects=True) as http:
        assert (await http.get("https://example.com/")).text == "hello"


async def test_variables_of_the_environment_change_nothing(internet: Internet, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with client(internet, "guarded") as http:
        assert (await http.get("https://example.com/")).text == "hello"


async def test_the_proxy_gets_the_name_and_its_own_credentials(internet: Internet) -> None:
    tunnelled: list[str] = []

    async def tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tunnelled.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 7\r\n\r\nhunter2")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(tunnel, "127.0.0.1", 0)
    internet.plain_port = internet.tls_port = server.sockets[0].getsockname()[1]
    async with server:
        clients = internet.clients(proxy="http://user:pass@proxy.internal:3128", allowed_hosts=("example.com",))
        for made in (clients.guarded(), clients.trusted(), clients.listed(["example.com"], "a.setting")):
            async with made as http:
                with pytest.raises(OutgoingUnreachable, match=r"^example\.com: is not reached through the proxy$"):
                    await http.get("https://example.com/x?token=hunter2")
    assert internet.resolved == []
    assert all(each.startswith("CONNECT example.com:443 ") and "dXNlcjpwYXNz" in each and "hunter2" not in each for each in tunnelled)
    assert len(tunnelled) == 3


@pytest.mark.parametrize("proxy", ["proxy:3128", "socks5://proxy", "http://proxy/path", "http://pro xy"])
def test_a_proxy_that_is_none_is_refused(proxy: str) -> None:
    with pytest.raises(ValueError, match="proxy must be"):
        Outgoing(proxy=proxy)


def test_errors_are_one_family() -> None:
    assert issubclass(OutgoingTooLarge, OutgoingError)
    assert issubclass(OutgoingTimeout, OutgoingError)
