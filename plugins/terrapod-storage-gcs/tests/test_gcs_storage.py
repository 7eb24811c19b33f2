from __future__ import annotations

import asyncio
import inspect
import os
import subprocess
import sys
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

import terrapod_storage_gcs
from terrapod_core.plugin import CannotSign, ObjectMissing, PluginContexts, StoreFailed, SupportsClosing
from terrapod_core.plugin.object_stores import BLOCK, PIECE
from terrapod_core.testing import FakeClock, MemoryOnce, MemoryPasswords
from terrapod_storage_gcs.connection import TRIALS
from terrapod_storage_gcs.settings import GCSStorageSettings
from terrapod_storage_gcs.storage import GCSStorage
from tests.support.faulty_proxy import Cut, FaultyProxy, Silence, faulty_proxy
from tests.support.object_stores import Store, fake_gcs, service_account
from tests.support.server import free_port

Make = Callable[..., GCSStorage]


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def read(storage: GCSStorage, key: str, start: int = 0, end: int | None = None) -> bytes:
    return b"".join([piece async for piece in storage.read(key, start, end)])


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    with fake_gcs() as store:
        yield store


@pytest.fixture
def proxy(store: Store) -> Iterator[FaultyProxy]:
    with faulty_proxy(store.port) as proxy:
        yield proxy


@pytest.fixture
def settings(proxy: FaultyProxy, store: Store, tmp_path: Path) -> GCSStorageSettings:
    return GCSStorageSettings(
        bucket=store.bucket, endpoint_url=proxy.url, anonymous=True, prefix=tmp_path.name, retries=3, retry_seconds=20
    )


@pytest.fixture
async def storage(settings: GCSStorageSettings) -> AsyncIterator[GCSStorage]:
    storage = GCSStorage(settings)
    yield storage
    await storage.close()


@pytest.fixture
async def other(settings: GCSStorageSettings) -> AsyncIterator[Make]:
    """Makes storages of other settings."""
    made: list[GCSStorage] = []

    def make(**changes: object) -> GCSStorage:
        made.append(GCSStorage(replace(settings, **changes)))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for each in made:
        await each.close()


def test_what_is_used_of_gcsfs_is_there() -> None:
    """When this fails a new gcsfs lacks what terrapod_storage_gcs/connection.py is built on: that file needs another way to it."""
    from gcsfs.core import GCSFileSystem
    from gcsfs.credentials import GoogleCredentials

    assert inspect.iscoroutinefunction(GCSFileSystem._set_session), "gcsfs: _set_session is gone: it gave the aiohttp session"
    assert list(inspect.signature(GCSFileSystem._get_headers).parameters)[:2] == ["self", "headers"], (
        "gcsfs: _get_headers takes other arguments: it put the token on a request"
    )
    assert isinstance(inspect.getattr_static(GCSFileSystem, "_location"), property), "gcsfs: _location is gone: it said where Google is"
    taken = inspect.signature(GCSFileSystem.__init__).parameters
    lost = {"project", "access", "token", "endpoint_url", "asynchronous", "session_kwargs"} - set(taken)
    assert not lost, f"gcsfs: GCSFileSystem no longer takes {', '.join(sorted(lost))}"
    assert hasattr(GoogleCredentials("", "read_write", "anon"), "credentials"), "gcsfs: credentials.credentials is gone: it signed URLs"


async def test_a_small_object_is_one_request(storage: GCSStorage, proxy: FaultyProxy) -> None:
    await storage.write("states/sv-1", chunks(b"small ", b"state"))
    assert [request.split()[0] for request in proxy.asked] == ["POST"]


async def test_a_large_object_is_sent_in_blocks_and_read_in_pieces(storage: GCSStorage, proxy: FaultyProxy) -> None:
    data = os.urandom(2 * BLOCK + 12345)
    written = await storage.write("states/sv-1", chunks(data[:100], data[100:]))
    assert [request.split()[0] for request in proxy.asked] == ["POST", "PUT", "PUT", "PUT"]
    assert written.size == (await storage.info("states/sv-1")).size == len(data)
    pieces = [piece async for piece in storage.read("states/sv-1")]
    assert b"".join(pieces) == data
    assert max(map(len, pieces)) <= PIECE
    assert await read(storage, "states/sv-1", BLOCK - 5, BLOCK + 5) == data[BLOCK - 5 : BLOCK + 5]


@pytest.mark.parametrize("more", [0, 1])
async def test_an_object_that_ends_with_its_block_is_whole(storage: GCSStorage, more: int) -> None:
    data = os.urandom(2 * BLOCK + more)
    await storage.write("states/sv-1", chunks(data))
    assert await read(storage, "states/sv-1") == data


async def test_a_large_object_takes_little_memory(storage: GCSStorage) -> None:
    block = os.urandom(1 << 20)

    async def source() -> AsyncIterator[bytes]:
        for _ in range(80):
            yield block

    await storage.write("warm", chunks(b"x"))
    tracemalloc.start()
    try:
        await storage.write("states/sv-1", source())
        assert tracemalloc.get_traced_memory()[1] < 6 * BLOCK
        tracemalloc.reset_peak()
        size = 0
        async for piece in storage.read("states/sv-1"):
            size += len(piece)
        assert size == 80 << 20
        assert tracemalloc.get_traced_memory()[1] < BLOCK
    finally:
        tracemalloc.stop()


async def test_a_torn_or_cancelled_upload_is_thrown_away(storage: GCSStorage, proxy: FaultyProxy) -> None:
    async def torn() -> AsyncIterator[bytes]:
        yield bytes(2 * BLOCK)
        raise ConnectionResetError("the client is gone")

    began = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        yield bytes(2 * BLOCK)
        began.set()
        await asyncio.Event().wait()

    with pytest.raises(ConnectionResetError):
        await storage.write("states/sv-1", torn())
    task = asyncio.ensure_future(storage.write("states/sv-1", endless()))
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(ObjectMissing):
        await storage.info("states/sv-1")
    assert [info async for info in storage.list("")] == []


async def test_a_large_creation_asks_for_an_object_that_is_not_there(storage: GCSStorage, proxy: FaultyProxy) -> None:
    await storage.create("claims/one", chunks(bytes(BLOCK + 1)))
    assert "ifGenerationMatch=0" in proxy.asked[0]
    assert "uploadType=resumable" in proxy.asked[0]


async def test_a_store_that_answers_503_every_other_time_is_used_all_the_same(storage: GCSStorage, proxy: FaultyProxy) -> None:
    proxy.rule = lambda number, request: 503 if number % 2 else None
    await storage.write("states/sv-1", chunks(b"state"))
    assert await read(storage, "states/sv-1") == b"state"
    assert [info.key async for info in storage.list("")] == ["states/sv-1"]
    await storage.delete("states/sv-1")
    assert [info.key async for info in storage.list("")] == []


async def test_a_read_whose_connection_breaks_goes_on_where_it_was(storage: GCSStorage, proxy: FaultyProxy) -> None:
    data = os.urandom(3 << 20)
    await storage.write("states/sv-1", chunks(data))
    proxy.rule = lambda number, request: Cut(1 << 20)
    assert await read(storage, "states/sv-1", 1000) == data[1000:]
    assert len(proxy.asked) > 3


async def test_a_read_never_goes_on_with_another_version(storage: GCSStorage, proxy: FaultyProxy) -> None:
    await storage.write("states/sv-1", chunks(bytes(6 << 20)))
    proxy.rule = lambda number, request: Cut(1 << 20) if request.startswith("GET") else None
    reading = storage.read("states/sv-1")
    seen = await anext(reading)
    await storage.write("states/sv-1", chunks(b"\x01" * (6 << 20)))
    with pytest.raises(StoreFailed, match="the object states/sv-1 in the bucket .* was replaced while it was read"):
        async for piece in reading:
            seen += piece
    assert set(seen) == {0}


async def test_a_listing_is_asked_for_in_pages(storage: GCSStorage, monkeypatch: pytest.MonkeyPatch, proxy: FaultyProxy) -> None:
    monkeypatch.setattr("terrapod_storage_gcs.storage.LISTED_AT_ONCE", 2)
    for number in range(5):
        await storage.write(f"logs/{number}", chunks(b"x"))
    proxy.asked.clear()
    assert [info.key async for info in storage.list("logs/")] == [f"logs/{number}" for number in range(5)]
    assert len(proxy.asked) == 3


async def test_a_key_of_cloud_kms_is_named_with_every_object(other: Make, proxy: FaultyProxy) -> None:
    storage = other(kms_key_name="projects/p/locations/l/keyRings/r/cryptoKeys/k")
    for key, data in (("small", b"x"), ("large", bytes(BLOCK + 1))):
        proxy.asked.clear()
        await storage.write(key, chunks(data))
        assert "kmsKeyName=projects" in proxy.asked[0]


async def test_a_service_account_gets_a_token_and_signs(other: Make) -> None:
    with service_account() as account:
        storage = other(anonymous=False, credentials=account)
        await storage.write("states/sv-1", chunks(b"x"))
        assert await read(storage, "states/sv-1") == b"x"
        url = await storage.signed_url("states/sv-1", "GET", timedelta(minutes=5))
    assert "X-Goog-Algorithm=GOOG4-RSA-SHA256" in url
    assert "X-Goog-Expires=300" in url


async def test_without_the_key_of_an_account_nothing_is_signed(storage: GCSStorage) -> None:
    with pytest.raises(CannotSign, match="only the key of a service account signs"):
        await storage.signed_url("states/sv-1", "GET", timedelta(minutes=1))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"bucket": "nowhere"}, "the bucket nowhere at http://[^ ]+ does not exist; make it, or correct storage.gcs.bucket"),
        ({"bucket": ""}, "no bucket is set for objects; name one with storage.gcs.bucket"),
        ({"endpoint_url": f"http://127.0.0.1:{free_port()}"}, r"cannot be reached \(ClientConnectorError\); check that"),
    ],
)
async def test_what_is_wrong_is_said_in_one_sentence(other: Make, changes: dict[str, str], words: str) -> None:
    storage = other(retries=1, **changes)
    with pytest.raises(StoreFailed, match=words) as refused:
        await storage.write("states/sv-1", chunks(b"x"))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refusal_is_said_to_be_one(storage: GCSStorage, proxy: FaultyProxy, status: int) -> None:
    proxy.rule = lambda number, request: status
    with pytest.raises(StoreFailed, match=f"refuses access with {status}; check the credentials"):
        await storage.write("states/sv-1", chunks(b"x"))
    assert len(proxy.asked) == 1


async def test_without_credentials_that_is_said(other: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    storage = other(anonymous=False)
    with pytest.raises(StoreFailed, match="there are no Google credentials for the bucket"):
        await storage.info("states/sv-1")


async def test_a_store_that_hangs_is_given_up(other: Make, proxy: FaultyProxy) -> None:
    proxy.rule = lambda number, request: Silence()
    storage = other(read_timeout_seconds=0.3, retries=1)
    with pytest.raises(StoreFailed, match="cannot be reached"):
        await storage.write("states/sv-1", chunks(b"x"))
    assert len(proxy.asked) == 2


async def test_closed_connections_are_made_anew(storage: GCSStorage) -> None:
    await storage.write("states/sv-1", chunks(b"x"))
    await storage.close()
    await storage.close()
    assert await read(storage, "states/sv-1") == b"x"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"credentials": "{}"}, "must be the JSON of a service account's key"),
        ({"credentials": "/etc/key.json"}, "must be the JSON of a service account's key"),
        ({"credentials": '{"type": "service_account"}', "anonymous": True}, "not both"),
        ({"endpoint_url": "elsewhere"}, "must begin with http"),
        ({"prefix": "../up"}, "no object key"),
    ],
)
def test_settings_that_cannot_work_are_refused(given: dict[str, str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        GCSStorageSettings(**given)  # type: ignore[arg-type]


def test_the_hook_gives_the_backend_without_connecting_anywhere(tmp_path: Path) -> None:
    contexts = PluginContexts(clock=FakeClock(), data_dir=tmp_path, passwords=MemoryPasswords(), once=MemoryOnce())
    [storage] = terrapod_storage_gcs.register_storage_backends(contexts("storage-gcs", GCSStorageSettings()))
    assert storage.name == "gcs"
    assert isinstance(storage, SupportsClosing)


def test_the_plugin_imports_no_client_library_before_it_is_used_and_no_trial_of_gcsfs_ever() -> None:
    program = """
import os, sys, terrapod_storage_gcs.storage
from terrapod_storage_gcs.settings import GCSStorageSettings
early = [name for name in ("gcsfs", "google.auth", "aiohttp") if name in sys.modules]
from terrapod_storage_gcs.connection import Connection
Connection(GCSStorageSettings(bucket="b", anonymous=True))
print(early, "gcsfs.extended_gcsfs" in sys.modules, os.environ.get(sys.argv[1]))
"""
    environment = {name: value for name, value in os.environ.items() if name != TRIALS}
    done = subprocess.run([sys.executable, "-c", program, TRIALS], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == "[] False None"
