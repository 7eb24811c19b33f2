"""Objects in a Google Cloud Storage bucket."""

from __future__ import annotations

from terrapod_core.plugin import PluginContext, StorageBackend, hookimpl
from terrapod_storage_gcs.settings import GCSStorageSettings
from terrapod_storage_gcs.storage import GCSStorage


@hookimpl
def register_settings() -> type[GCSStorageSettings]:
    """`[storage.gcs]`."""
    return GCSStorageSettings


@hookimpl
def register_storage_backends(context: PluginContext[GCSStorageSettings]) -> list[StorageBackend]:
    """The backend `gcs`; it connects when it is used first."""
    return [GCSStorage(context.settings)]
