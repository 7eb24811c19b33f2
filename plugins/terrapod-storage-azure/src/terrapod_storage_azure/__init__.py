"""Objects in an Azure Blob Storage container."""

from __future__ import annotations

from terrapod_core.plugin import PluginContext, StorageBackend, hookimpl
from terrapod_storage_azure.settings import AzureStorageSettings
from terrapod_storage_azure.storage import AzureStorage


@hookimpl
def register_settings() -> type[AzureStorageSettings]:
    """`[storage.azure]`."""
    return AzureStorageSettings


@hookimpl
def register_storage_backends(context: PluginContext[AzureStorageSettings]) -> list[StorageBackend]:
    """The backend `azure`; it connects when it is used first."""
    return [AzureStorage(context.settings)]
