"""How archives that are no secret come to a client: streamed in whole and in parts, or from the store itself."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from hypercorn.asyncio import serve
from hypercorn.config import Config
from quart import Response

from terrapod_core.errors import TerrapodError
from terrapod_core.jsonapi import errors_document
from terrapod_core.plugin import StorageBackend
from terrapod_core.storage import ArchiveKind, Archives
from terrapod_core.web.app import TerrapodQuart
from terrapod_core.web.archives import Archive, answer
from terrapod_storage_local.storage import LocalStorage
from terrapod_storage_s3.settings import S3StorageSettings
from terrapod_storage_s3.storage import S3Storage
from tests.support.object_stores import ACCESS_KEY_ID, SECRET_ACCESS_KEY, Store, rclone_s3
from tests.support.server import free_port
from tests.support.waiting import until

DATA = random.Random(7).randbytes(3_000_000)
TAG = f'"{hashlib.sha256(DATA).hexdigest()}"'


async def pieces(data: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(data), 65_536):
        yield data[at : at + 65_536]


class Site:
    """An application with one archive, served over HTTP."""

    def __init__(self, archives: Archives, archive: Archive) -> None:
        self.archives = archives
        self.archive = archive
        self.url = f"http://127.0.0.1:{free_port()}/archive"


async def site_of(archives: Archives) -> AsyncIterator[Site]:
    stored = await archives.put(ArchiveKind.PROVIDER, "prv-1", pieces(DATA), limit=len(DATA))
    site = Site(archives, Archive(stored.key, stored.size, stored.sha256, "application/zip"))
    app = TerrapodQuart("archives")

    @app.get("/archive")
    async def fetch() -> Response:
        return await answer(archives, site.archive)

    @app.errorhandler(TerrapodError)
    async def refused(error: TerrapodError) -> Response:
        return Response(errors_document(error), status=error.status)

    config = Config()
    config.bind = [site.url.removeprefix("http://").removesuffix("/archive")]
    over = asyncio.Event()
    serving = asyncio.create_task(serve(app, config, shutdown_trigger=over.wait))
    await asyncio.to_thread(until, lambda: _answers(site.url), "the application to answer")
    yield site
    over.set()
    await serving


def _answers(url: str) -> bool:
    try:
        httpx.head(url, trust_env=False)
    except httpx.TransportError:
        return False
    return True


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def bucket() -> Iterator[Store]:
    with rclone_s3() as store:
        yield store


@pytest.fixture
async def s3(bucket: Store) -> AsyncIterator[StorageBackend]:
    storage = S3Storage(
        S3StorageSettings(
            bucket=bucket.bucket,
            endpoint_url=bucket.endpoint,
            region="us-east-1",
            addressing_style="path",
            access_key_id=ACCESS_KEY_ID,
            secret_access_key=SECRET_ACCESS_KEY,
        )
    )
    yield storage
    await storage.close()


@pytest.fixture(params=["local", "s3"])
async def streamed(request: pytest.FixtureRequest, tmp_path: Path, s3: StorageBackend) -> AsyncIterator[Site]:
    """From files, and from a bucket that clients cannot reach."""
    backend = LocalStorage(tmp_path) if request.param == "local" else s3
    async for site in site_of(Archives(backend, links=request.param == "local")):
        yield site


@pytest.fixture
async def linked(s3: StorageBackend) -> AsyncIterator[Site]:
    async for site in site_of(Archives(s3, links=True)):
        yield site


async def test_an_archive_is_streamed_whole(streamed: Site, client: httpx.AsyncClient) -> None:
    found = await client.get(streamed.url)
    assert found.status_code == 200
    assert found.content == DATA
    told = {name: found.headers[name] for name in ("ETag", "Accept-Ranges", "Content-Length", "Content-Type")}
    assert told == {"ETag": TAG, "Accept-Ranges": "bytes", "Content-Length": str(len(DATA)), "Content-Type": "application/zip"}


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=1000000-2000000", 1_000_000, 2_000_001),
        ("bytes=2999999-", 2_999_999, 3_000_000),
        ("bytes=10-99999999", 10, 3_000_000),
        ("bytes=-5", 2_999_995, 3_000_000),
        ("bytes=-99999999", 0, 3_000_000),
        ("BYTES=3-4", 3, 5),
    ],
)
async def test_one_range_is_a_part(streamed: Site, client: httpx.AsyncClient, asked: str, start: int, end: int) -> None:
    found = await client.get(streamed.url, headers={"Range": asked})
    assert found.status_code == 206
    assert found.headers["Content-Range"] == f"bytes {start}-{end - 1}/{len(DATA)}"
    assert found.headers["Content-Length"] == str(end - start)
    assert found.headers["ETag"] == TAG
    assert found.content == DATA[start:end]


@pytest.mark.parametrize("asked", ["bytes=3000000-", "bytes=3000000-3000005", "bytes=-0", "bytes=999999999999999999-"])
async def test_a_range_with_nothing_in_it_is_refused_with_the_size(streamed: Site, client: httpx.AsyncClient, asked: str) -> None:
    found = await client.get(streamed.url, headers={"Range": asked})
    assert found.status_code == 416
    assert found.headers["Content-Range"] == f"bytes */{len(DATA)}"
    assert found.json()["errors"][0]["status"] == "416"


@pytest.mark.parametrize(
    "asked", ["bytes=0-1,4-5", "bytes=5-2", "bytes=-", "bytes=a-b", "lines=0-1", "bytes=0-1-2", "bytes 0-1", "bytes=\u0663-", "-5", ""]
)
async def test_several_ranges_and_what_is_none_are_answered_with_the_whole(streamed: Site, client: httpx.AsyncClient, asked: str) -> None:
    found = await client.get(streamed.url, headers=[(b"Range", asked.encode())])
    assert found.status_code == 200
    assert found.content == DATA


async def test_a_download_that_broke_is_resumed_while_it_is_the_same_archive(streamed: Site, client: httpx.AsyncClient) -> None:
    held = b""
    async with client.stream("GET", streamed.url) as answer:
        tag = answer.headers["ETag"]
        async for piece in answer.aiter_raw():
            held += piece
            if len(held) > 500_000:
                break
    rest = await client.get(streamed.url, headers={"Range": f"bytes={len(held)}-", "If-Range": tag})
    assert rest.status_code == 206
    assert held + rest.content == DATA
    for other in ('"another"', f"W/{tag}", "Sun, 06 Nov 1994 08:49:37 GMT"):
        whole = await client.get(streamed.url, headers={"Range": "bytes=10-", "If-Range": other})
        assert (whole.status_code, len(whole.content)) == (200, len(DATA))


@pytest.mark.parametrize("asked", [TAG, f"W/{TAG}", f'"other", {TAG}', "*"])
async def test_who_has_it_already_is_told_so(streamed: Site, client: httpx.AsyncClient, asked: str) -> None:
    found = await client.get(streamed.url, headers={"If-None-Match": asked})
    assert (found.status_code, found.content, found.headers["ETag"]) == (304, b"", TAG)
    assert "Content-Length" not in found.headers
    assert (await client.get(streamed.url, headers={"If-None-Match": '"other"', "Range": "bytes=0-9"})).status_code == 206


async def test_a_head_tells_all_and_sends_nothing(streamed: Site, client: httpx.AsyncClient) -> None:
    found = await client.head(streamed.url, headers={"Range": "bytes=0-9"})
    assert (found.status_code, found.content) == (200, b"")
    assert (found.headers["Content-Length"], found.headers["ETag"], found.headers["Accept-Ranges"]) == (str(len(DATA)), TAG, "bytes")


async def test_an_archive_that_is_gone_is_an_answer_and_no_broken_download(streamed: Site, client: httpx.AsyncClient) -> None:
    await streamed.archives.delete(streamed.archive.key)
    assert (await client.get(streamed.url)).status_code == 404


async def test_a_client_is_sent_to_the_store_which_knows_ranges(linked: Site, client: httpx.AsyncClient, bucket: Store) -> None:
    found = await client.get(linked.url)
    assert (found.status_code, found.content) == (302, b"")
    assert (found.headers["Cache-Control"], found.headers["Referrer-Policy"]) == ("no-store", "no-referrer")
    assert found.headers["Location"].startswith(bucket.endpoint)
    assert (await client.get(linked.url, follow_redirects=True)).content == DATA
    part = await client.get(linked.url, headers={"Range": "bytes=1000000-1999999"}, follow_redirects=True)
    # rclone sends the part, but says 200.
    assert (part.headers["Content-Range"], part.content) == (f"bytes 1000000-1999999/{len(DATA)}", DATA[1_000_000:2_000_000])


async def test_a_link_of_the_store_is_good_for_this_archive_and_for_reading_only(linked: Site, client: httpx.AsyncClient) -> None:
    link = (await client.get(linked.url)).headers["Location"]
    assert (await client.get(link)).content == DATA
    other = await linked.archives.put(ArchiveKind.PROVIDER, "prv-2", pieces(b"another"), limit=None)
    tampered = [
        link[:-1] + ("0" if link[-1] != "0" else "1"),
        link.replace(linked.archive.key, other.key),
        link.replace("=600&", "=60000&"),
    ]
    for each in tampered:
        assert each != link
        assert (await client.get(each)).status_code == 403
    assert (await client.put(link, content=b"forged")).status_code == 403
    assert (await client.delete(link)).status_code == 403
    assert (await client.get(link)).content == DATA


async def test_a_head_and_who_has_it_already_are_answered_without_the_store(linked: Site, client: httpx.AsyncClient) -> None:
    assert (await client.head(linked.url)).status_code == 200
    assert (await client.get(linked.url, headers={"If-None-Match": TAG})).status_code == 304


async def test_a_link_ends(linked: Site) -> None:
    link = await linked.archives.link(linked.archive.key, timedelta(seconds=1))
    assert link is not None

    def over() -> bool:
        return httpx.get(link, trust_env=False).status_code in (400, 403)

    await asyncio.to_thread(until, over, "the link to be over")
