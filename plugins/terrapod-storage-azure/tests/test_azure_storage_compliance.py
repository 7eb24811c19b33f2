from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterator

import pytest

from terrapod_core.plugin import StorageBackend
from terrapod_core.testing.storage import StorageBackendKit
from terrapod_storage_azure.settings import AzureStorageSettings
from terrapod_storage_azure.storage import AzureStorage
from tests.support.object_stores import AZURE_ACCOUNT, AZURE_KEY, Store, azurite


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    with azurite() as store:
        yield store


class TestAzureStorage(StorageBackendKit):
    @pytest.fixture
    async def backend(self, store: Store) -> AsyncIterator[StorageBackend]:
        storage = AzureStorage(
            AzureStorageSettings(
                container=store.bucket,
                endpoint_url=store.endpoint,
                account_name=AZURE_ACCOUNT,
                account_key=AZURE_KEY,
                prefix=f"test-{secrets.token_hex(8)}",
            )
        )
        yield storage
        await storage.close()
