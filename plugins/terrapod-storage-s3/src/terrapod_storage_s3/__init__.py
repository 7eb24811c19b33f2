"""Objects in an S3 bucket."""

from __future__ import annotations

from terrapod_core.plugin import PluginContext, StorageBackend, hookimpl
from terrapod_storage_s3.settings import S3StorageSettings
from terrapod_storage_s3.storage import S3Storage


@hookimpl
def register_settings() -> type[S3StorageSettings]:
    """`[storage.s3]`."""
    return S3StorageSettings


@hookimpl
def register_storage_backends(context: PluginContext[S3StorageSettings]) -> list[StorageBackend]:
    """The backend `s3`; it connects when it is used first."""
    return [S3Storage(context.settings)]
