"""Providers and modules of registries."""

from __future__ import annotations

from terrapod_core.plugin import PluginContext, hookimpl
from terrapod_mirror_registry.mirror import Registries
from terrapod_mirror_registry.settings import RegistrySettings


@hookimpl
def register_settings() -> type[RegistrySettings]:
    """`[mirror.registry]`."""
    return RegistrySettings


@hookimpl
def register_registry_mirrors(context: PluginContext[RegistrySettings]) -> list[Registries]:
    """The registries of the hosts that the settings list."""
    return [Registries(context.settings, context.http)]
