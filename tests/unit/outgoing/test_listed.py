"""Clients that ask hosts of the operator's list, and nobody else."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from terrapod_core.outgoing import HostList, OutgoingError, OutgoingRefused, OutgoingTimeout, OutgoingTooLarge
from tests.unit.outgoing.conftest import Asked, Internet, moved, page

SETTING = "mirror.registry.archive_hosts"
LISTED = ("example.com", "other.example.com:8443", "*.cdn.example", "127.0.0.1:5000", "[::1]:5000", "BÜCHER.example")

GOOD = [
    "https://example.com/",
    "https://EXAMPLE.com.:443/x",
    "https://other.example.com:8443/",
    "https://a.cdn.example/",
    "https://a.b.cdn.example/",
    "https://127.0.0.1:5000/",
    "https://[::1]:5000/",
    "https://bücher.example/",
    "https://xn--bcher-kva.example/",
]
BAD = {
    "another host": ("https://elsewhere.example/", "elsewhere.example"),
    "another port": ("https://example.com:8443/", "example.com:8443"),
    "the port that is listed left out": ("https://other.example.com/", "other.example.com"),
    "a name below one that is listed": ("https://www.example.com/", "www.example.com"),
    "the name of the wildcard itself": ("https://cdn.example/", "cdn.example"),
    "an end of a name": ("https://evilcdn.example/", "evilcdn.example"),
    "the address of a host that is listed": ("https://93.184.216.34/", "93.184.216.34"),
    "metadata": ("https://169.254.169.254/", "169.254.169.254"),
    "a look-alike": ("https://ex\u0430mple.com/", "xn--exmple-4nf.com"),
    "the number of an address": ("https://2130706433:5000/", "2130706433:5000"),
}


@pytest.mark.parametrize("url", GOOD)
def test_a_host_on_the_list_may_be_asked(url: str) -> None:
    parts = httpx.URL(url)
    HostList.of(LISTED, SETTING).check(parts.scheme, parts.raw_host.decode().strip("[]"), parts.port)


@pytest.mark.parametrize(("url", "named"), BAD.values(), ids=BAD.keys())
async def test_any_other_is_refused_before_it_is_asked_and_named_with_the_setting(url: str, named: str, internet: Internet) -> None:
    async with internet.clients().listed(LISTED, SETTING) as http:
        with pytest.raises(OutgoingRefused) as refused:
            await http.get(url)
    assert str(refused.value) == f"{named}: is not on the list of hosts that may be asked ({SETTING} adds to it)"
    assert internet.connected == []


@pytest.mark.parametrize(
    "url", ["http://example.com/", "ftp://example.com/", "https://u:hunter2@example.com/", "https:///x", "example.com"]
)
async def test_only_https_without_a_user_is_asked(url: str, internet: Internet) -> None:
    async with internet.clients().listed(LISTED, SETTING) as http:
        with pytest.raises(OutgoingRefused) as refused:
            await http.get(url)
    assert "hunter2" not in str(refused.value)
    assert internet.connected == []


async def test_the_operators_hosts_may_be_inside(internet: Internet) -> None:
    internet.names["example.com"] = ["10.0.0.1"]
    async with internet.clients(refused=["example.com"]).listed(LISTED, SETTING) as http:
        assert (await http.get("https://example.com/")).text == "hello"
    assert internet.connected == [("example.com", 443)]
    assert internet.resolved == [], "the system resolves it, or the proxy"


@pytest.mark.parametrize("target", ["https://elsewhere.example/", "http://example.com/", "https://example.com:22/", "https://10.0.0.1/"])
async def test_each_redirect_is_judged_anew(target: str, internet: Internet) -> None:
    internet.answers["example.com/"] = moved("https://other.example.com:8443/next")
    internet.answers["other.example.com:8443/next"] = moved(target)
    async with internet.clients().listed(LISTED, SETTING) as http:
        with pytest.raises(OutgoingRefused):
            await http.get("https://example.com/")
    assert len(internet.connected) == 2


async def test_three_redirects_are_followed_and_credentials_stay_behind(internet: Internet) -> None:
    for number in range(1, 4):
        internet.answers[f"example.com/{number}"] = moved(f"/{number + 1}")
    internet.answers["example.com/4"] = moved("https://other.example.com:8443/")
    secret = {"Authorization": "Bearer hunter2"}
    async with internet.clients().listed(LISTED, SETTING, headers=secret) as http:
        assert (await http.get("https://example.com/2")).text == "hello"
        assert "hunter2" in internet.asked[0].head
        assert "hunter2" not in internet.asked[-1].head
        with pytest.raises(OutgoingRefused, match="more than 3 redirects"):
            await http.get("https://example.com/1")


async def test_a_redirect_is_only_followed_where_it_is_wanted(internet: Internet) -> None:
    internet.answers["example.com/"] = moved("https://elsewhere.example/")
    async with internet.clients().listed(LISTED, SETTING, follow_redirects=False) as http:
        assert (await http.get("https://example.com/")).status_code == 302


async def test_what_is_too_large_is_not_read(internet: Internet) -> None:
    internet.answers["example.com/"] = page(b"x" * 2001)
    async with internet.clients().listed(LISTED, SETTING, max_bytes=2000) as http:
        with pytest.raises(OutgoingTooLarge):
            await http.get("https://example.com/")


@pytest.mark.parametrize(
    "entry",
    ["", "https://example.com", "example.com/x", "exa mple.com", "*", "*.", "a..b", ".com", "x:0", "x:99999", "x:", "u@x", "\u202e.x"],
)
def test_a_list_that_cannot_be_read_is_refused(entry: str) -> None:
    with pytest.raises(ValueError, match="is no host"):
        HostList.of([entry], SETTING)


# -- time


class Stream:
    """An answer whose pieces come when the test says so."""

    def __init__(self) -> None:
        self.more: asyncio.Queue[bytes] = asyncio.Queue()

    async def __call__(self, asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        await writer.drain()
        while piece := await self.more.get():
            writer.write(piece)
            await writer.drain()


async def dripping(asked: Asked, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 60\r\n\r\n")
    for _ in range(60):
        writer.write(b".")
        await writer.drain()
        await asyncio.sleep(0.02)


async def test_a_long_download_may_take_longer_than_any_pause_in_it(internet: Internet) -> None:
    internet.answers["example.com/"] = dripping
    async with internet.clients().listed(LISTED, SETTING, timeout=60, idle=1.0) as http:
        assert (await http.get("https://example.com/")).text == "." * 60  # 1.2 s


async def test_one_that_stands_still_is_given_up(internet: Internet) -> None:
    stream = Stream()
    internet.answers["example.com/"] = stream
    stream.more.put_nowait(b"x")
    async with internet.clients().listed(LISTED, SETTING, timeout=60, idle=0.2) as http:
        with pytest.raises(OutgoingTimeout, match=r"^example\.com: sent nothing for 0\.2 s$"):
            await http.get("https://example.com/")
    stream.more.put_nowait(b"")


async def test_one_that_never_begins_is_given_up(internet: Internet) -> None:
    async def silent(asked: Asked, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(30)

    internet.answers["example.com/"] = silent
    async with internet.clients().listed(LISTED, SETTING, timeout=60, idle=0.2) as http:
        with pytest.raises(OutgoingTimeout, match="sent nothing for"):
            await http.get("https://example.com/")


async def test_there_is_a_time_for_all_of_it_too(internet: Internet) -> None:
    internet.answers["example.com/"] = dripping
    async with internet.clients().listed(LISTED, SETTING, timeout=0.3, idle=0.2) as http:
        with pytest.raises(OutgoingTimeout, match=r"did not answer within 0\.3 s"):
            await http.get("https://example.com/")


async def test_what_is_read_slowly_is_not_taken_for_a_server_that_stands_still(internet: Internet) -> None:
    internet.answers["example.com/"] = page(b"x" * 300_000)
    async with (
        internet.clients().listed(LISTED, SETTING, timeout=60, idle=0.2) as http,
        http.stream("GET", "https://example.com/") as response,
    ):
        pieces = response.aiter_raw()
        size = len(await anext(pieces))
        await asyncio.sleep(0.4)  # longer than the server may be silent
        size += sum([len(piece) async for piece in pieces])
    assert size == 300_000


def test_its_errors_are_of_the_family() -> None:
    with pytest.raises(OutgoingError):
        HostList.of([], SETTING).check("https", "example.com", None)
