"""Uploads that meet bad connections, against a session by the book: fake-gcs-server takes a question for the end of an upload."""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

import pytest

from terrapod_core.plugin import StoreFailed
from terrapod_core.plugin.object_stores import BLOCK
from terrapod_storage_gcs.settings import GCSStorageSettings
from terrapod_storage_gcs.storage import GCSStorage

UNIT: Final = 256 * 1024


class Session:
    """One resumable upload as Google describes it."""

    def __init__(self) -> None:
        self.received = b""
        self.total: int | None = None
        self.asked: list[str] = []
        """The `Content-Range` of each PUT."""
        self.lost: set[int] = set()
        """Of which PUTs, counted from 0, the answer is lost."""
        self.cut: dict[int, int] = {}
        """Of which PUTs only so many bytes are taken."""
        self.deleted = False

    def put(self, which: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        number = len(self.asked)
        self.asked.append(which)
        if (sent := re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", which)) is not None:
            known = len(self.received) - int(sent[1])  # Google leaves bytes unread that it has already
            assert known >= 0, "a gap"
            assert len(body) == int(sent[2]) + 1 - int(sent[1])
            assert sent[3] != "*" or len(body) % UNIT == 0
            self.received += body[known : self.cut.get(number)]
            self.total = None if sent[3] == "*" else int(sent[3])
        if len(self.received) == self.total:
            said = {"name": "states/sv-1", "size": str(self.total), "updated": "2026-01-02T03:04:05.678Z"}
            return 200, {}, json.dumps(said).encode()
        return 308, {"Range": f"bytes=0-{len(self.received) - 1}"} if self.received else {}, b""


@pytest.fixture
def session() -> Session:
    return Session()


@pytest.fixture
def url(session: Session) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.answer(200, {"Location": f"http://127.0.0.1:{server.server_address[1]}/session"}, b"")

        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, headers, document = session.put(self.headers["Content-Range"], body)
            if len(session.asked) - 1 in session.lost:
                self.close_connection = True
            else:
                self.answer(status, headers, document)

        def do_DELETE(self) -> None:
            session.deleted = True
            self.answer(499, {}, b"")

        def answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.fixture
async def storage(url: str) -> AsyncIterator[GCSStorage]:
    storage = GCSStorage(GCSStorageSettings(bucket="b", endpoint_url=url, anonymous=True, retries=2))
    yield storage
    await storage.close()


async def source(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def test_blocks_follow_each_other_and_the_last_names_the_size(storage: GCSStorage, session: Session) -> None:
    data = os.urandom(2 * BLOCK + 5)
    info = await storage.write("states/sv-1", source(data))
    assert session.received == data
    assert info.size == len(data)
    assert session.asked == [
        f"bytes 0-{BLOCK - 1}/*",
        f"bytes {BLOCK}-{2 * BLOCK - 1}/*",
        f"bytes {2 * BLOCK}-{2 * BLOCK + 4}/{2 * BLOCK + 5}",
    ]


@pytest.mark.parametrize("number", [0, 1, 2])
async def test_a_block_whose_answers_are_lost_is_asked_about(storage: GCSStorage, session: Session, number: int) -> None:
    session.lost = {number, number + 1}  # aiohttp sends a PUT once more by itself when an old connection breaks
    data = os.urandom(2 * BLOCK + 5)
    info = await storage.write("states/sv-1", source(data))
    assert session.received == data
    assert info.size == len(data)
    assert "bytes */*" in session.asked


@pytest.mark.parametrize("number", [0, 1])
async def test_of_a_block_that_was_taken_in_part_the_rest_is_sent(storage: GCSStorage, session: Session, number: int) -> None:
    session.cut = {number: UNIT}
    data = os.urandom(2 * BLOCK)
    await storage.write("states/sv-1", source(data))
    assert session.received == data
    assert session.asked[number + 2].startswith(f"bytes {number * BLOCK + UNIT}-")


async def test_an_upload_that_goes_nowhere_is_given_up_and_thrown_away(storage: GCSStorage, session: Session) -> None:
    session.lost = set(range(100))
    session.cut = dict.fromkeys(range(100), 0)
    with pytest.raises(StoreFailed, match="cannot be reached"):
        await storage.write("states/sv-1", source(bytes(2 * BLOCK)))
    assert session.deleted
