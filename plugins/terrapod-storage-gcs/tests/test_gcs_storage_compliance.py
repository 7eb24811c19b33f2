from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterator

import pytest

from terrapod_core.plugin import StorageBackend
from terrapod_core.testing.storage import StorageBackendKit
from terrapod_storage_gcs.settings import GCSStorageSettings
from terrapod_storage_gcs.storage import GCSStorage
from tests.support.object_stores import Store, fake_gcs, service_account


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    with fake_gcs() as store:
        yield store


@pytest.fixture(scope="module")
def account() -> Iterator[str]:
    with service_account() as account:
        yield account


class TestGCSStorage(StorageBackendKit):
    signatures_are_checked = False
    expiry_is_checked = False
    creates_large = False

    @pytest.fixture
    async def backend(self, store: Store, account: str) -> AsyncIterator[StorageBackend]:
        storage = GCSStorage(
            GCSStorageSettings(bucket=store.bucket, endpoint_url=store.endpoint, credentials=account, prefix=f"test-{secrets.token_hex(8)}")
        )
        yield storage
        await storage.close()
