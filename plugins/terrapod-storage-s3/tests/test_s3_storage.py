from __future__ import annotations

import inspect
import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

import terrapod_storage_s3
from terrapod_core.plugin import CannotSign, ObjectExists, ObjectMissing, StoreFailed
from terrapod_core.plugin.object_stores import BLOCK
from terrapod_storage_s3.settings import S3StorageSettings
from terrapod_storage_s3.storage import S3Storage
from tests.support.faulty_proxy import FaultyProxy, Lose
from tests.support.object_store_kit import Makes, ObjectStoreKit, chunks, read
from tests.support.object_stores import ACCESS_KEY_ID, SECRET_ACCESS_KEY, Store, moto_s3, rclone_s3
from tests.support.server import free_port

Make = Makes[S3Storage]


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    with moto_s3() as store:
        yield store


class TestS3Storage(ObjectStoreKit[S3Storage]):
    plugin = terrapod_storage_s3
    backend = S3Storage
    small = ["PUT"]
    large = ["POST", "PUT", "PUT", "PUT", "POST"]

    @pytest.fixture
    def settings(self, proxy: FaultyProxy, store: Store, tmp_path: Path) -> S3StorageSettings:
        return S3StorageSettings(
            bucket=store.bucket,
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

    async def unfinished(self, storage: S3Storage) -> list[str]:
        client = await storage.client()
        answer = await client.list_multipart_uploads(Bucket=storage.bucket)
        return [each["Key"] for each in answer.get("Uploads", ())]

    async def test_an_upload_whose_last_answer_is_lost_is_whole_all_the_same(self, storage: S3Storage, proxy: FaultyProxy) -> None:
        posts = 0

        def rule(number: int, request: str) -> Lose | None:
            nonlocal posts
            posts += request.startswith("POST")
            return Lose() if request.startswith("POST") and posts == 2 else None

        proxy.rule = rule
        data = os.urandom(BLOCK + 1)
        assert (await storage.write("states/sv-1", chunks(data))).size == len(data)
        assert await read(storage, "states/sv-1") == data

    async def test_encryption_is_asked_for_with_every_object(self, other: Make) -> None:
        storage = other(encryption="aws:kms", kms_key_id="alias/terrapod")
        for key, data in (("small", b"x"), ("large", bytes(BLOCK + 1))):
            await storage.write(key, chunks(data))
            client = await storage.client()
            head = await client.head_object(Bucket=storage.bucket, Key=storage._named(key))
            assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", "alias/terrapod")

    async def test_a_store_that_ignores_if_none_match_creates_nothing(self, settings: S3StorageSettings, other: Make) -> None:
        with rclone_s3() as store:
            storage = other(endpoint_url=store.endpoint)
            with pytest.raises(StoreFailed, match="does not keep If-None-Match"):
                await storage.create("claims/one", chunks(b"x"))
            assert [info.key async for info in storage.list("")] == []

    async def test_a_creation_that_finds_an_object_sends_no_second_one(self, storage: S3Storage) -> None:
        await storage.create("claims/one", chunks(b"x"))
        with pytest.raises(ObjectExists):
            await storage.create("claims/one", chunks(bytes(2 * BLOCK)))
        assert await self.unfinished(storage) == []

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"bucket": "nowhere"}, "the bucket nowhere at http://[^ ]+ does not exist; make it, or correct storage.s3.bucket"),
            ({"bucket": ""}, "no bucket is set for objects; name one with storage.s3.bucket"),
        ],
    )
    async def test_a_wrong_bucket_is_named(self, other: Make, changes: dict[str, str], words: str) -> None:
        storage = other(**changes)
        with pytest.raises(StoreFailed, match=words):
            await storage.write("states/sv-1", chunks(b"x"))

    async def test_wrong_credentials_are_refused_in_words_without_them(self, other: Make) -> None:
        with rclone_s3() as store:
            storage = other(endpoint_url=store.endpoint, access_key_id="AKIAWRONG", secret_access_key="wrong-secret")
            with pytest.raises(StoreFailed, match="refuses access with 40[13] .*; check the credentials") as refused:
                await storage.write("states/sv-1", chunks(b"x"))
            assert not [word for word in ("AKIAWRONG", "wrong-secret", "Signature") if word in str(refused.value)]

    async def test_a_read_only_store_reads_and_says_that_it_does_not_write(self, other: Make) -> None:
        with rclone_s3(options=["--read-only"]) as store:
            storage = other(endpoint_url=store.endpoint, retries=1)
            with pytest.raises(StoreFailed, match="the bucket .* at .* answers 5|refuses"):
                await storage.write("states/sv-1", chunks(b"x"))
            with pytest.raises(ObjectMissing):
                await read(storage, "states/sv-1")

    async def test_a_store_that_is_down_is_said_to_be(self, other: Make) -> None:
        storage = other(endpoint_url=f"http://127.0.0.1:{free_port()}", retries=2)
        with pytest.raises(StoreFailed, match=r"the bucket .* at .* cannot be reached \(EndpointConnectionError\); check that"):
            await storage.write("states/sv-1", chunks(b"x"))

    async def test_without_credentials_nothing_is_signed_and_nothing_works(self, other: Make, monkeypatch: pytest.MonkeyPatch) -> None:
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

    async def test_credentials_come_from_the_chain_of_aws(self, other: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        keys = tmp_path / "credentials"
        keys.write_text(f"[default]\naws_access_key_id = {ACCESS_KEY_ID}\naws_secret_access_key = {SECRET_ACCESS_KEY}\n")
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(keys))
        with rclone_s3() as store:
            storage = other(endpoint_url=store.endpoint, access_key_id="", secret_access_key="")
            await storage.write("states/sv-1", chunks(b"x"))
            assert await read(storage, "states/sv-1") == b"x"


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
