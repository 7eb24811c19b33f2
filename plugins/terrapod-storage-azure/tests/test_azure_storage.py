from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

import terrapod_storage_azure
from terrapod_core.plugin import CannotSign, StoreFailed
from terrapod_storage_azure.settings import AzureStorageSettings
from terrapod_storage_azure.storage import READ_AT_ONCE, AzureStorage
from tests.support.faulty_proxy import Cut, FaultyProxy, Lose
from tests.support.object_store_kit import Makes, ObjectStoreKit, chunks, read
from tests.support.object_stores import AZURE_ACCOUNT, AZURE_KEY, Store, azurite
from tests.support.server import free_port

Make = Makes[AzureStorage]


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    with azurite() as store:
        yield store


class TestAzureStorage(ObjectStoreKit[AzureStorage]):
    plugin = terrapod_storage_azure
    backend = AzureStorage
    small = ["PUT"]
    large = ["PUT", "PUT", "PUT", "PUT"]
    held_by_a_read = 6 * READ_AT_ONCE

    @pytest.fixture
    def settings(self, proxy: FaultyProxy, store: Store, tmp_path: Path) -> AzureStorageSettings:
        return AzureStorageSettings(
            container=store.bucket,
            endpoint_url=f"{proxy.url}/{AZURE_ACCOUNT}",
            account_name=AZURE_ACCOUNT,
            account_key=AZURE_KEY,
            prefix=tmp_path.name,
            retries=3,
            retry_seconds=20,
        )

    async def test_two_who_write_one_large_object_never_mix(self, storage: AzureStorage) -> None:
        async def write(letter: bytes) -> None:
            await storage.write("states/sv-1", chunks(letter * AzureStorage.block, letter * AzureStorage.block))

        results = await asyncio.gather(*(write(letter) for letter in (b"a", b"b")), return_exceptions=True)
        assert [result for result in results if result is None]
        assert all("somebody else wrote at the same time" in str(result) for result in results if result is not None)
        assert len(set(await read(storage, "states/sv-1"))) == 1

    async def test_an_upload_whose_last_answer_is_lost_is_whole_all_the_same(self, storage: AzureStorage, proxy: FaultyProxy) -> None:
        lost: list[str] = []

        def rule(number: int, request: str) -> Lose | None:
            if "comp=blocklist" in request and not lost:
                lost.append(request)
                return Lose()
            return None

        proxy.rule = rule
        data = os.urandom(AzureStorage.block + 1)
        assert (await storage.write("states/sv-1", chunks(data))).size == len(data)
        assert await read(storage, "states/sv-1") == data
        assert lost

    async def test_a_read_whose_connection_breaks_goes_on_where_it_was(self, storage: AzureStorage, proxy: FaultyProxy) -> None:
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

    async def test_a_read_never_goes_on_with_another_version(self, storage: AzureStorage, proxy: FaultyProxy) -> None:
        await storage.write("states/sv-1", chunks(bytes(6 * READ_AT_ONCE)))
        await self._is_replaced_while_it_is_read(storage, 6 * READ_AT_ONCE)

    async def test_a_reader_who_leaves_early_leaves_no_request(self, storage: AzureStorage) -> None:
        await storage.write("states/sv-1", chunks(bytes(3 * READ_AT_ONCE)))
        before = asyncio.all_tasks()
        reading = storage.read("states/sv-1")
        await anext(reading)
        await reading.aclose()
        assert asyncio.all_tasks() == before

    async def test_an_encryption_scope_is_asked_for_with_every_object(self, other: Make, monkeypatch: pytest.MonkeyPatch) -> None:
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
        await storage.write("large", chunks(bytes(AzureStorage.block + 1)))
        assert {call for call, _ in asked} == {"upload_blob", "stage_block", "commit_block_list"}
        assert {scope for _, scope in asked} == {"terrapod"}

    async def test_a_signed_url_for_writing_takes_a_block_blob(self, storage: AzureStorage) -> None:
        url = await storage.signed_url("states/sv-1", "PUT", timedelta(minutes=1))
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.put(url, content=b"uploaded", headers={"x-ms-blob-type": "BlockBlob"})
            assert answer.status_code == 201, answer.text
            assert (await client.get(url)).status_code == 403
        assert await read(storage, "states/sv-1") == b"uploaded"

    async def test_a_shared_access_signature_reaches_the_container_and_signs_nothing(self, other: Make, storage: AzureStorage) -> None:
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

    async def test_a_connection_string_is_enough(self, other: Make, settings: AzureStorageSettings) -> None:
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
            (
                {"endpoint_url": f"http://127.0.0.1:{free_port()}/devstoreaccount1"},
                "cannot be reached .ServiceRequestError.;",
            ),
            ({"account_key": "", "connection_string": "nonsense", "account_name": "", "endpoint_url": ""}, "are malformed"),
        ],
    )
    async def test_what_is_wrong_is_said_in_one_sentence(self, other: Make, changes: dict[str, str], words: str) -> None:
        storage = other(retries=1, **changes)
        with pytest.raises(StoreFailed, match=words) as refused:
            await storage.write("states/sv-1", chunks(b"x"))
        assert "\n" not in str(refused.value)
        assert AZURE_KEY not in str(refused.value)

    async def test_without_credentials_that_is_said(self, other: Make, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_registering_the_plugin_imports_no_client_library() -> None:
    program = "import sys, terrapod_storage_azure; print([name for name in sys.modules if name.split('.')[0] in ('azure', 'aiohttp')])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
