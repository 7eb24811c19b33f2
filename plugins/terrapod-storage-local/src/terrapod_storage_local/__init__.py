"""Objects as files on this machine."""

from __future__ import annotations

from terrapod_core.plugin import PluginContext, hookimpl
from terrapod_storage_local.settings import LocalStorageSettings
from terrapod_storage_local.storage import LocalStorage


@hookimpl
def register_settings() -> type[LocalStorageSettings]:
    """`[storage.local]`."""
    return LocalStorageSettings


@hookimpl
def register_storage_backends(context: PluginContext[LocalStorageSettings]) -> list[LocalStorage]:
    """The backend `local`, with what an earlier crash left behind removed."""
    storage = LocalStorage(context.settings.folder(context.data_dir))
    if removed := storage.remove_leftovers():
        context.log.info("removed %d half-written file(s) of an earlier crash", removed)
    return [storage]
