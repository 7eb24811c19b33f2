from __future__ import annotations

import asyncio
import inspect
import os
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

import terrapod_storage_s3
from terrapod_core.plugin import CannotSign, ObjectExists, ObjectMissing, PluginContexts, StoreFailed, SupportsClosing
from terrapod_core.plugin.object_stores import BLOCK, PIECE
from terrapod_core.testing import FakeClock, MemoryOnce, MemoryPasswords
from terrapod_storage_s3.settings import S3StorageSettings
from terrapod_storage_s3.storage import S3Storage
from tests.support.faulty_proxy import Cut, FaultyProxy, Lose, Silence, faulty_proxy
from tests.support.object_stores import ACCESS_KEY_ID, SECRET_ACCESS_KEY, Store, moto_s3, rclone_s3
from tests.support.server import free_port

Make = Callable[..., S3Storage]


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def read(storage: S3Storage, key: str, start: int = 0, end: int | None = None) -> bytes:
    return b"".join([piece async for piece in storage.read(key, start, end)])


@pytest.fixture(scope="module")
def moto() -> Iterator[Store]:
    with moto_s3() as store:
        yield store


@pytest.fixture
def proxy(moto: Store) -> Iterator[FaultyProxy]:
    with faulty_proxy(moto.port) as proxy:
        yield proxy


@pytest.fixture
def settings(proxy: FaultyProxy, moto: Store, tmp_path: Path) -> S3StorageSettings:
    return S3StorageSettings(
        bucket=moto.bucket,
        endpoint_url=proxy.url,
        region="us-east-1",
        addressing_style="path",
        access_key_id=ACCESS_KEY_ID,
        secret_access_key=SECRET_ACCESS_KEY,
        prefix=tmp_path.name,
        read_timeout_seconds=20,
        retries=3,
        retry_seconds=20,
    )


@pytest.fixture
async def storage(settings: S3StorageSettings) -> AsyncIterator[S3Storage]:
    storage = S3Storage(settings)
    yield storage
    await storage.close()


@pytest.fixture
async def other(settings: S3StorageSettings) -> AsyncIterator[Make]:
    """Makes storages of other settings."""
    made: list[S3Storage] = []

    def make(**changes: object) -> S3Storage:
        made.append(S3Storage(replace(settings, **changes)))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for each in made:
        await each.close()


async def uploads(storage: S3Storage) -> list[str]:
    """What was begun, and neither finished nor thrown away."""
    client = await storage.client()
    answer = await client.list_multipart_uploads(Bucket=storage.bucket)
    return [each["Key"] for each in answer.get("Uploads", ())]


async def test_what_is_used_of_s3fs_is_there() -> None:
    """When this fails a new s3fs no longer gives its aiobotocore client, on which all requests of the plugin are made."""
    import s3fs

    assert inspect.iscoroutinefunction(s3fs.S3FileSystem.set_session), "s3fs.S3FileSystem.set_session is gone or no longer a coroutine"
    files = s3fs.S3FileSystem(key="k", secret="s", client_kwargs={"region_name": "us-east-1"}, asynchronous=True, skip_instance_cache=True)
    client = await files.set_session()
    calls = ["put_object", "get_object", "head_object", "delete_object", "list_objects_v2", "generate_presigned_url", "close"]
    calls += ["create_multipart_upload", "upload_part", "complete_multipart_upload", "abort_multipart_upload"]
    missing = [call for call in calls if not callable(getattr(client, call, None))]
    await client.close()
    assert not missing, f"the client that set_session gives has no {', '.join(missing)}"


async def test_a_small_object_is_one_request(storage: S3Storage, proxy: FaultyProxy) -> None:
    await storage.write("states/sv-1", chunks(b"small ", b"state"))
    assert [request.split()[0] for request in proxy.asked] == ["PUT"]


async def test_a_large_object_is_sent_in_blocks_and_read_in_pieces(storage: S3Storage, proxy: FaultyProxy) -> None:
    data = os.urandom(2 * BLOCK + 12345)
    written = await storage.write("states/sv-1", chunks(data[:100], data[100:]))
    assert [request.split()[0] for request in proxy.asked] == ["POST", "PUT", "PUT", "PUT", "POST"]
    assert written.size == (await storage.info("states/sv-1")).size == len(data)
    pieces = [piece async for piece in storage.read("states/sv-1")]
    assert b"".join(pieces) == data
    assert max(map(len, pieces)) <= PIECE
    assert await read(storage, "states/sv-1", BLOCK - 5, BLOCK + 5) == data[BLOCK - 5 : BLOCK + 5]


async def test_a_large_object_takes_little_memory(storage: S3Storage) -> None:
    block = os.urandom(1 << 20)

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(80):
            yield block

    await storage.write("warm", chunks(b"x"))
    tracemalloc.start()
    try:
        await storage.write("states/sv-1", endless())
        assert tracemalloc.get_traced_memory()[1] < 6 * BLOCK
        tracemalloc.reset_peak()
        size = 0
        async for piece in storage.read("states/sv-1"):
            size += len(piece)
        assert size == 80 << 20
        assert tracemalloc.get_traced_memory()[1] < BLOCK
    finally:
        tracemalloc.stop()


async def test_a_torn_upload_leaves_nothing_at_the_store(storage: S3Storage) -> None:
    async def torn() -> AsyncIterator[bytes]:
        yield bytes(2 * BLOCK)
        raise ConnectionResetError("the client is gone")

    with pytest.raises(ConnectionResetError):
        await storage.write("states/sv-1", torn())
    assert await uploads(storage) == []
    with pytest.raises(ObjectMissing):
        await storage.info("states/sv-1")


async def test_a_cancelled_upload_leaves_nothing_at_the_store_however_often_it_is_cancelled(storage: S3Storage) -> None:
    began = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        yield bytes(2 * BLOCK)
        began.set()
        await asyncio.Event().wait()

    task = asyncio.ensure_future(storage.write("states/sv-1", endless()))
    await began.wait()
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await task
    await storage.close()
    assert await uploads(storage) == []


async def test_a_store_that_answers_503_every_other_time_is_used_all_the_same(storage: S3Storage, proxy: FaultyProxy) -> None:
    proxy.rule = lambda number, request: 503 if number % 2 else None
    data = os.urandom(2 * BLOCK)
    reads = 0

    async def source() -> AsyncIterator[bytes]:
        nonlocal reads
        reads += 1
        yield data

    await storage.write("states/sv-1", source())
    assert await read(storage, "states/sv-1") == data
    assert [info.key async for info in storage.list("")] == ["states/sv-1"]
    await storage.delete("states/sv-1")
    assert [info.key async for info in storage.list("")] == []
    assert reads == 1


async def test_an_upload_whose_last_answer_is_lost_is_whole_all_the_same(storage: S3Storage, proxy: FaultyProxy) -> None:
    posts = 0

    def rule(number: int, request: str) -> Lose | None:
        nonlocal posts
        posts += request.startswith("POST")
        return Lose() if request.startswith("POST") and posts == 2 else None

    proxy.rule = rule
    data = os.urandom(BLOCK + 1)
    assert (await storage.write("states/sv-1", chunks(data))).size == len(data)
    assert await read(storage, "states/sv-1") == data


async def test_a_read_whose_connection_breaks_goes_on_where_it_was(storage: S3Storage, proxy: FaultyProxy) -> None:
    data = os.urandom(3 << 20)
    await storage.write("states/sv-1", chunks(data))
    proxy.rule = lambda number, request: Cut(1 << 20)
    assert await read(storage, "states/sv-1", 1000) == data[1000:]
    assert len(proxy.asked) > 3


async def test_a_read_never_goes_on_with_another_version(storage: S3Storage, proxy: FaultyProxy) -> None:
    await storage.write("states/sv-1", chunks(bytes(6 << 20)))
    proxy.rule = lambda number, request: Cut(1 << 20) if request.startswith("GET") else None
    reading = storage.read("states/sv-1")
    seen = await anext(reading)
    await storage.write("states/sv-1", chunks(b"\x01" * (6 << 20)))
    with pytest.raises(StoreFailed, match="the object states/sv-1 in the bucket .* was replaced while it was read"):
        async for piece in reading:
            seen += piece
    assert set(seen) == {0}


async def test_a_prefix_keeps_an_installation_to_its_own(storage: S3Storage, other: Make) -> None:
    neighbour = other(prefix="neighbour")
    await neighbour.write("states/sv-1", chunks(b"theirs"))
    await storage.write("states/sv-2", chunks(b"ours"))
    assert [info.key async for info in storage.list("")] == ["states/sv-2"]
    with pytest.raises(ObjectMissing):
        await storage.info("states/sv-1")


async def test_a_listing_is_asked_for_in_pages(storage: S3Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("terrapod_storage_s3.storage.LISTED_AT_ONCE", 2)
    for number in range(5):
        await storage.write(f"logs/{number}", chunks(b"x"))
    assert [info.key async for info in storage.list("logs/")] == [f"logs/{number}" for number in range(5)]


async def test_encryption_is_asked_for_with_every_object(other: Make) -> None:
    storage = other(encryption="aws:kms", kms_key_id="alias/terrapod")
    for key, data in (("small", b"x"), ("large", bytes(BLOCK + 1))):
        await storage.write(key, chunks(data))
        client = await storage.client()
        head = await client.head_object(Bucket=storage.bucket, Key=storage._named(key))
        assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", "alias/terrapod")


async def test_a_store_that_ignores_if_none_match_creates_nothing(settings: S3StorageSettings, other: Make) -> None:
    with rclone_s3() as store:
        storage = other(endpoint_url=store.endpoint)
        with pytest.raises(StoreFailed, match="does not keep If-None-Match"):
            await storage.create("claims/one", chunks(b"x"))
        assert [info.key async for info in storage.list("")] == []


async def test_a_creation_that_finds_an_object_sends_no_second_one(storage: S3Storage) -> None:
    await storage.create("claims/one", chunks(b"x"))
    with pytest.raises(ObjectExists):
        await storage.create("claims/one", chunks(bytes(2 * BLOCK)))
    assert await uploads(storage) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"bucket": "nowhere"}, "the bucket nowhere at http://[^ ]+ does not exist; make it, or correct storage.s3.bucket"),
        ({"bucket": ""}, "no bucket is set for objects; name one with storage.s3.bucket"),
    ],
)
async def test_a_wrong_bucket_is_named(other: Make, changes: dict[str, str], words: str) -> None:
    storage = other(**changes)
    with pytest.raises(StoreFailed, match=words):
        await storage.write("states/sv-1", chunks(b"x"))


async def test_wrong_credentials_are_refused_in_words_without_them(other: Make) -> None:
    with rclone_s3() as store:
        storage = other(endpoint_url=store.endpoint, access_key_id="AKIAWRONG", secret_access_key="wrong-secret")
        with pytest.raises(StoreFailed, match="refuses access with 40[13] .*; check the credentials") as refused:
            await storage.write("states/sv-1", chunks(b"x"))
        assert not [word for word in ("AKIAWRONG", "wrong-secret", "Signature") if word in str(refused.value)]


async def test_a_read_only_store_reads_and_says_that_it_does_not_write(other: Make) -> None:
    with rclone_s3(options=["--read-only"]) as store:
        storage = other(endpoint_url=store.endpoint, retries=1)
        with pytest.raises(StoreFailed, match="the bucket .* at .* answers 5|refuses"):
            await storage.write("states/sv-1", chunks(b"x"))
        with pytest.raises(ObjectMissing):
            await read(storage, "states/sv-1")


async def test_a_store_that_is_down_is_said_to_be(other: Make) -> None:
    storage = other(endpoint_url=f"http://127.0.0.1:{free_port()}", retries=2)
    with pytest.raises(StoreFailed, match=r"the bucket .* at .* cannot be reached \(EndpointConnectionError\); check that the store runs"):
        await storage.write("states/sv-1", chunks(b"x"))


async def test_a_store_that_hangs_is_given_up(other: Make, proxy: FaultyProxy) -> None:
    proxy.rule = lambda number, request: Silence()
    storage = other(read_timeout_seconds=0.3, retries=1)
    with pytest.raises(StoreFailed, match="cannot be reached"):
        await storage.write("states/sv-1", chunks(b"x"))
    assert len(proxy.asked) == 2


async def test_all_repetitions_together_end_in_time(other: Make, proxy: FaultyProxy) -> None:
    proxy.rule = lambda number, request: Silence()
    storage = other(read_timeout_seconds=60, retries=20, retry_seconds=0.5)
    with pytest.raises(StoreFailed, match=r"cannot be reached \(no answer in time\)"):
        await storage.info("states/sv-1")


async def test_without_credentials_nothing_is_signed_and_nothing_works(other: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": "/nowhere",
        "AWS_SHARED_CREDENTIALS_FILE": "/nowhere",
    }.items():
        monkeypatch.setenv(name, value)
    storage = other(access_key_id="", secret_access_key="")
    with pytest.raises(CannotSign, match="no AWS credentials"):
        await storage.signed_url("states/sv-1", "GET", timedelta(minutes=1))
    with pytest.raises(StoreFailed, match="there are no AWS credentials for the bucket"):
        await storage.info("states/sv-1")


async def test_credentials_come_from_the_chain_of_aws(other: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    keys = tmp_path / "credentials"
    keys.write_text(f"[default]\naws_access_key_id = {ACCESS_KEY_ID}\naws_secret_access_key = {SECRET_ACCESS_KEY}\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(keys))
    with rclone_s3() as store:
        storage = other(endpoint_url=store.endpoint, access_key_id="", secret_access_key="")
        await storage.write("states/sv-1", chunks(b"x"))
        assert await read(storage, "states/sv-1") == b"x"


async def test_closed_connections_are_made_anew(storage: S3Storage) -> None:
    await storage.write("states/sv-1", chunks(b"x"))
    await storage.close()
    await storage.close()
    assert await read(storage, "states/sv-1") == b"x"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"access_key_id": "k"}, "go together"),
        ({"secret_access_key": "s"}, "go together"),
        ({"kms_key_id": "k"}, "needs encryption = aws:kms"),
        ({"endpoint_url": "minio:9000"}, "must begin with http"),
        ({"prefix": "../up"}, "no object key"),
    ],
)
def test_settings_that_cannot_work_are_refused(given: dict[str, str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        S3StorageSettings(**given)  # type: ignore[arg-type]


def test_the_hook_gives_the_backend_without_connecting_anywhere(tmp_path: Path) -> None:
    contexts = PluginContexts(clock=FakeClock(), data_dir=tmp_path, passwords=MemoryPasswords(), once=MemoryOnce())
    [storage] = terrapod_storage_s3.register_storage_backends(
        contexts("storage-s3", S3StorageSettings(secret_access_key="s", access_key_id="k"))
    )
    assert storage.name == "s3"
    assert isinstance(storage, SupportsClosing)
