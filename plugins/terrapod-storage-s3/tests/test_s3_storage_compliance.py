from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterator

import pytest

from terrapod_core.plugin import StorageBackend
from terrapod_core.testing.storage import StorageBackendKit
from terrapod_storage_s3.settings import S3StorageSettings
from terrapod_storage_s3.storage import S3Storage
from tests.support.object_stores import ACCESS_KEY_ID, SECRET_ACCESS_KEY, Store, moto_s3, rclone_s3


@pytest.fixture(scope="module")
def rclone() -> Iterator[Store]:
    with rclone_s3() as store:
        yield store


@pytest.fixture(scope="module")
def moto() -> Iterator[Store]:
    with moto_s3() as store:
        yield store


def settings(store: Store) -> S3StorageSettings:
    """Of a part of the store that nobody else uses."""
    return S3StorageSettings(
        bucket=store.bucket,
        endpoint_url=store.endpoint,
        region="us-east-1",
        addressing_style="path",
        access_key_id=ACCESS_KEY_ID,
        secret_access_key=SECRET_ACCESS_KEY,
        prefix=f"test-{secrets.token_hex(8)}",
    )


class TestS3StorageOnRclone(StorageBackendKit):
    creates = False

    @pytest.fixture
    async def backend(self, rclone: Store) -> AsyncIterator[StorageBackend]:
        storage = S3Storage(settings(rclone))
        yield storage
        await storage.close()


class TestS3StorageOnMoto(StorageBackendKit):
    signatures_are_checked = False
    expiry_is_checked = False

    @pytest.fixture
    async def backend(self, moto: Store) -> AsyncIterator[StorageBackend]:
        storage = S3Storage(settings(moto))
        yield storage
        await storage.close()
