"""Behind a proxy: whose address is written down, and what of the headers is not believed."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import httpx
import msgspec
import pytest

from tests.support.raw import Raw
from tests.support.server import Server
from tests.support.waiting import until

CLIENT = "203.0.113.7"


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that one proxy stands before."""
    settings = {"SERVER__TRUSTED_PROXIES": "1", "EXTERNAL_URL": "https://terrapod.example.com", "LOG_FORMAT": "json"}
    server = Server(tmp_path_factory.mktemp("behind"), settings=settings)
    yield server.start()
    server.close()


def seen(server: Server, request_id: str) -> str:
    """The address in the log's line about a request."""

    def line() -> str | None:
        for text in server.said().splitlines():
            if text.startswith("{") and request_id in text:
                return str(msgspec.json.decode(text)["address"])
        return None

    return until(line, "the line in the log", seconds=10)


@pytest.mark.parametrize(
    ("forwarded", "address"),
    [
        (CLIENT, CLIENT),
        (f"198.51.100.1, {CLIENT}", CLIENT),
        (f"{CLIENT}:4711", CLIENT),
        ("[2001:db8::7]:4711", "2001:db8::7"),
        ("2001:db8::7", "2001:db8::7"),
        ("garbage", "127.0.0.1"),
        (f"{CLIENT}, unknown", "127.0.0.1"),
        ("1" * 5000, "127.0.0.1"),
        ("127.0.0.1, " * 300 + CLIENT, CLIENT),
    ],
)
def test_the_entry_that_the_proxy_wrote_counts(behind: Server, forwarded: str, address: str) -> None:
    ident = f"id-{abs(hash(forwarded))}"
    answer = behind.api.get("account/details", headers={"X-Forwarded-For": forwarded, "X-Request-Id": ident})
    assert answer.status_code == 200
    assert seen(behind, ident) == address


@pytest.mark.parametrize(
    "header", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "Client-IP", "True-Client-IP", "Remote-Addr", "CF-Connecting-IP"]
)
def test_without_the_setting_no_header_changes_the_address(new_server: Callable[..., Server], server: Server, header: str) -> None:
    ident = f"plain-{header.lower()}"
    value = f"for={CLIENT}" if header == "Forwarded" else CLIENT
    server.api.get("account/details", headers={header: value, "X-Request-Id": ident})
    lines = until(lambda: [line for line in server.said().splitlines() if ident in line], "the line in the log", seconds=10)
    assert CLIENT not in lines[0]


@pytest.mark.parametrize("header", ["Forwarded", "X-Real-IP", "Remote-Addr"])
def test_with_it_no_other_header_does(behind: Server, header: str) -> None:
    ident = f"other-{header.lower()}"
    behind.api.get("account/details", headers={header: CLIENT, "X-Request-Id": ident})
    assert seen(behind, ident) == "127.0.0.1"


def test_scheme_and_host_come_from_the_setting_alone(behind: Server) -> None:
    lies = {"X-Forwarded-Proto": "http", "X-Forwarded-Host": "evil.example", "X-Forwarded-Port": "81", "X-Forwarded-Prefix": "/evil"}
    answer = behind.api.get("organizations/default/workspaces", params={"page[size]": 1}, headers=lies)
    assert answer.json()["links"]["self"].startswith("https://terrapod.example.com/")
    page = httpx.get(f"{behind.url}/app/sign-in", headers={**lies, "Accept": "text/html", "Host": "evil.example"}, trust_env=False)
    assert "evil" not in page.text + str(page.headers)
    assert "__Host-" in page.headers["Set-Cookie"]


def test_two_headers_are_read_as_one(behind: Server) -> None:
    url = f"{behind.url.replace('localhost', '127.0.0.1')}/api/v2/account/details"
    with Raw(url) as raw:
        lines = [
            "GET /api/v2/account/details HTTP/1.1",
            "Host: x",
            "X-Request-Id: two-headers",
            "X-Forwarded-For: 198.51.100.1",
            f"X-Forwarded-For: {CLIENT}",
            "",
            "",
        ]
        raw.send("\r\n".join(lines).encode())
        assert raw.answer().status == 401
    assert seen(behind, "two-headers") == CLIENT
