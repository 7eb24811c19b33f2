from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

import terrapod_storage_azure
from terrapod_core.plugin import CannotSign, ObjectMissing, PluginContexts, StoreFailed, SupportsClosing
from terrapod_core.plugin.object_stores import BLOCK, PIECE
from terrapod_core.testing import FakeClock, MemoryOnce, MemoryPasswords
from terrapod_storage_azure.settings import AzureStorageSettings
from terrapod_storage_azure.storage import READ_AT_ONCE, AzureStorage
from tests.support.faulty_proxy import Cut, FaultyProxy, Lose, Silence, faulty_proxy
from tests.support.object_stores import AZURE_ACCOUNT, AZURE_KEY, Store, azurite
from tests.support.server import free_port

Make = Callable[..., AzureStorage]


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def read(storage: AzureStorage, key: str, start: int = 0, end: int | None = None) -> bytes:
    return b"".join([piece async for piece in storage.read(key, start, end)])


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    with azurite() as store:
        yield store


@pytest.fixture
def proxy(store: Store) -> Iterator[FaultyProxy]:
    with faulty_proxy(store.port) as proxy:
        yield proxy


@pytest.fixture
def settings(proxy: FaultyProxy, store: Store, tmp_path: Path) -> AzureStorageSettings:
    return AzureStorageSettings(
        container=store.bucket,
        endpoint_url=f"{proxy.url}/{AZURE_ACCOUNT}",
        account_name=AZURE_ACCOUNT,
        account_key=AZURE_KEY,
        prefix=tmp_path.name,
        retries=3,
        retry_seconds=20,
    )


@pytest.fixture
async def storage(settings: AzureStorageSettings) -> AsyncIterator[AzureStorage]:
    storage = AzureStorage(settings)
    yield storage
    await storage.close()


@pytest.fixture
async def other(settings: AzureStorageSettings) -> AsyncIterator[Make]:
    """Makes storages of other settings."""
    made: list[AzureStorage] = []

    def make(**changes: object) -> AzureStorage:
        made.append(AzureStorage(replace(settings, **changes)))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for each in made:
        await each.close()


async def test_a_small_object_is_one_request(storage: AzureStorage, proxy: FaultyProxy) -> None:
    await storage.write("states/sv-1", chunks(b"small ", b"state"))
    assert [request.split()[0] for request in proxy.asked] == ["PUT"]


async def test_a_large_object_is_sent_in_blocks_and_read_in_pieces(storage: AzureStorage, proxy: FaultyProxy) -> None:
    data = os.urandom(2 * BLOCK + 12345)
    written = await storage.write("states/sv-1", chunks(data[:100], data[100:]))
    assert ["comp=blocklist" in request for request in proxy.asked] == [False, False, False, True]
    assert written.size == (await storage.info("states/sv-1")).size == len(data)
    pieces = [piece async for piece in storage.read("states/sv-1")]
    assert b"".join(pieces) == data
    assert max(map(len, pieces)) <= PIECE
    assert await read(storage, "states/sv-1", BLOCK - 5, BLOCK + 5) == data[BLOCK - 5 : BLOCK + 5]


async def test_a_large_object_takes_little_memory(storage: AzureStorage) -> None:
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
        assert tracemalloc.get_traced_memory()[1] < 6 * READ_AT_ONCE
    finally:
        tracemalloc.stop()


async def test_a_torn_or_cancelled_upload_shows_nothing(storage: AzureStorage) -> None:
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


async def test_two_who_write_one_large_object_never_mix(storage: AzureStorage) -> None:
    async def write(letter: bytes) -> None:
        await storage.write("states/sv-1", chunks(letter * BLOCK, letter * BLOCK))

    results = await asyncio.gather(*(write(letter) for letter in (b"a", b"b")), return_exceptions=True)
    assert [result for result in results if result is None]
    assert all("somebody else wrote at the same time" in str(result) for result in results if result is not None)
    assert len(set(await read(storage, "states/sv-1"))) == 1


async def test_a_store_that_answers_503_every_other_time_is_used_all_the_same(storage: AzureStorage, proxy: FaultyProxy) -> None:
    proxy.rule = lambda number, request: 503 if number % 2 else None
    data = os.urandom(2 * BLOCK)
    await storage.write("states/sv-1", chunks(data))
    assert await read(storage, "states/sv-1") == data
    assert [info.key async for info in storage.list("")] == ["states/sv-1"]
    await storage.delete("states/sv-1")
    assert [info.key async for info in storage.list("")] == []


async def test_an_upload_whose_last_answer_is_lost_is_whole_all_the_same(storage: AzureStorage, proxy: FaultyProxy) -> None:
    lost: list[str] = []

    def rule(number: int, request: str) -> Lose | None:
        if "comp=blocklist" in request and not lost:
            lost.append(request)
            return Lose()
        return None

    proxy.rule = rule
    data = os.urandom(BLOCK + 1)
    assert (await storage.write("states/sv-1", chunks(data))).size == len(data)
    assert await read(storage, "states/sv-1") == data
    assert lost


async def test_a_read_whose_connection_breaks_goes_on_where_it_was(storage: AzureStorage, proxy: FaultyProxy) -> None:
    data = os.urandom(3 * READ_AT_ONCE)
    await storage.write("states/sv-1", chunks(data))
    broken: list[str] = []

    def rule(number: int, request: str) -> Cut | None:
        if number % 3 == 0 and len(broken) < 3:
            broken.append(request)
            return Cut(1 << 20)
        return None

    proxy.asked.clear()
    proxy.rule = rule
    assert await read(storage, "states/sv-1", 1000) == data[1000:]
    assert broken


async def test_a_read_never_goes_on_with_another_version(storage: AzureStorage) -> None:
    await storage.write("states/sv-1", chunks(bytes(6 * READ_AT_ONCE)))
    reading = storage.read("states/sv-1")
    seen = await anext(reading)
    await storage.write("states/sv-1", chunks(b"\x01" * (6 * READ_AT_ONCE)))
    with pytest.raises(StoreFailed, match="the object states/sv-1 in the container .* was replaced while it was read"):
        async for piece in reading:
            seen += piece
    assert set(seen) == {0}


async def test_a_reader_who_leaves_early_leaves_no_request(storage: AzureStorage) -> None:
    await storage.write("states/sv-1", chunks(bytes(3 * READ_AT_ONCE)))
    before = asyncio.all_tasks()
    reading = storage.read("states/sv-1")
    await anext(reading)
    await reading.aclose()
    assert asyncio.all_tasks() == before


async def test_a_listing_is_asked_for_in_pages(storage: AzureStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("terrapod_storage_azure.storage.LISTED_AT_ONCE", 2)
    for number in range(5):
        await storage.write(f"logs/{number}", chunks(b"x"))
    assert [info.key async for info in storage.list("logs/")] == [f"logs/{number}" for number in range(5)]


async def test_an_encryption_scope_is_asked_for_with_every_object(other: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    from azure.storage.blob.aio import BlobClient

    asked: list[tuple[str, object]] = []
    for call in ("upload_blob", "stage_block", "commit_block_list"):
        original = getattr(BlobClient, call)

        async def noted(self: BlobClient, *given: object, _call: str = call, _original: object = original, **options: object) -> object:
            asked.append((_call, options.pop("encryption_scope", None)))  # Azurite knows no scopes
            return await _original(self, *given, **options)  # type: ignore[operator]

        monkeypatch.setattr(BlobClient, call, noted)
    storage = other(encryption_scope="terrapod")
    await storage.write("small", chunks(b"x"))
    await storage.write("large", chunks(bytes(BLOCK + 1)))
    assert {call for call, _ in asked} == {"upload_blob", "stage_block", "commit_block_list"}
    assert {scope for _, scope in asked} == {"terrapod"}


async def test_a_signed_url_for_writing_takes_a_block_blob(storage: AzureStorage) -> None:
    url = await storage.signed_url("states/sv-1", "PUT", timedelta(minutes=1))
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.put(url, content=b"uploaded", headers={"x-ms-blob-type": "BlockBlob"})
        assert answer.status_code == 201, answer.text
        assert (await client.get(url)).status_code == 403
    assert await read(storage, "states/sv-1") == b"uploaded"


async def test_a_shared_access_signature_reaches_the_container_and_signs_nothing(other: Make, storage: AzureStorage) -> None:
    from datetime import UTC, datetime

    from azure.storage.blob import ContainerSasPermissions, generate_container_sas

    container = (await storage.container()).container_name
    permission = ContainerSasPermissions(read=True, write=True, list=True, delete=True, create=True)
    token = generate_container_sas(
        AZURE_ACCOUNT, container, AZURE_KEY, permission=permission, expiry=datetime.now(UTC) + timedelta(minutes=5)
    )
    signed = other(account_key="", sas_token=token)
    await signed.write("states/sv-1", chunks(b"x"))
    assert await read(signed, "states/sv-1") == b"x"
    with pytest.raises(CannotSign, match="only a key of the account signs"):
        await signed.signed_url("states/sv-1", "GET", timedelta(minutes=1))


async def test_a_connection_string_is_enough(other: Make, settings: AzureStorageSettings) -> None:
    text = f"DefaultEndpointsProtocol=http;AccountName={AZURE_ACCOUNT};AccountKey={AZURE_KEY};BlobEndpoint={settings.endpoint_url};"
    storage = other(account_key="", account_name="", endpoint_url="", connection_string=text)
    await storage.write("states/sv-1", chunks(b"x"))
    assert await read(storage, "states/sv-1") == b"x"
    assert await storage.signed_url("states/sv-1", "GET", timedelta(minutes=1))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"container": "nowhere"}, "the container nowhere at http://[^ ]+ does not exist; make it, or correct storage.azure.container"),
        ({"container": ""}, "no container is set for objects; name one with storage.azure.container"),
        ({"account_key": "d3Jvbmc="}, r"refuses access with 403 \(AuthorizationFailure\); check the credentials"),
        ({"endpoint_url": f"http://127.0.0.1:{free_port()}/devstoreaccount1"}, r"cannot be reached \(ServiceRequestError\); check that"),
        ({"account_key": "", "connection_string": "nonsense", "account_name": "", "endpoint_url": ""}, "are malformed"),
    ],
)
async def test_what_is_wrong_is_said_in_one_sentence(other: Make, changes: dict[str, str], words: str) -> None:
    storage = other(retries=1, **changes)
    with pytest.raises(StoreFailed, match=words) as refused:
        await storage.write("states/sv-1", chunks(b"x"))
    assert "\n" not in str(refused.value)
    assert AZURE_KEY not in str(refused.value)


async def test_a_store_that_hangs_is_given_up(other: Make, proxy: FaultyProxy) -> None:
    proxy.rule = lambda number, request: Silence()
    storage = other(read_timeout_seconds=0.3, retries=1)
    with pytest.raises(StoreFailed, match="cannot be reached"):
        await storage.write("states/sv-1", chunks(b"x"))
    assert len(proxy.asked) == 2


async def test_closed_connections_are_made_anew(storage: AzureStorage) -> None:
    await storage.write("states/sv-1", chunks(b"x"))
    await storage.close()
    await storage.close()
    assert await read(storage, "states/sv-1") == b"x"


async def test_without_credentials_that_is_said(other: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    from azure.core.exceptions import ClientAuthenticationError
    from azure.identity.aio import DefaultAzureCredential

    async def none(self: DefaultAzureCredential, *scopes: str, **options: object) -> None:
        raise ClientAuthenticationError("DefaultAzureCredential failed to retrieve a token from the included credentials.")

    monkeypatch.setattr(DefaultAzureCredential, "get_token", none)
    storage = other(account_key="", endpoint_url="https://127.0.0.1:1")
    with pytest.raises(StoreFailed, match="there are no Azure credentials for the container"):
        await storage.info("states/sv-1")
    with pytest.raises(CannotSign):
        await storage.signed_url("states/sv-1", "GET", timedelta(minutes=1))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"tenant_id": "t", "client_id": "c"}, "go together"),
        ({"account_key": "k", "sas_token": "s"}, "not several"),
        ({"connection_string": "x", "account_name": "a"}, "leave out account_name"),
        ({"endpoint_url": "http://elsewhere", "account_name": "a"}, "must begin with https"),
        ({"endpoint_url": "elsewhere", "account_name": "a", "account_key": "k"}, "must begin with http"),
        ({"prefix": "../up"}, "no object key"),
    ],
)
def test_settings_that_cannot_work_are_refused(given: dict[str, str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        AzureStorageSettings(**given)  # type: ignore[arg-type]


def test_the_hook_gives_the_backend_without_connecting_anywhere(tmp_path: Path) -> None:
    contexts = PluginContexts(clock=FakeClock(), data_dir=tmp_path, passwords=MemoryPasswords(), once=MemoryOnce())
    [storage] = terrapod_storage_azure.register_storage_backends(contexts("storage-azure", AzureStorageSettings()))
    assert storage.name == "azure"
    assert isinstance(storage, SupportsClosing)


def test_registering_the_plugin_imports_no_client_library() -> None:
    program = "import sys, terrapod_storage_azure; print([name for name in sys.modules if name.split('.')[0] in ('azure', 'aiohttp')])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
