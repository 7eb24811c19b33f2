"""OpenTofu's releases."""

from __future__ import annotations

from terrapod_core.plugin import PluginContext, hookimpl
from terrapod_mirror_opentofu.releases import OpenTofuReleases
from terrapod_mirror_opentofu.settings import OpenTofuSettings


@hookimpl
def register_settings() -> type[OpenTofuSettings]:
    """`[mirror.opentofu]`."""
    return OpenTofuSettings


@hookimpl
def register_registry_mirrors(context: PluginContext[OpenTofuSettings]) -> list[OpenTofuReleases]:
    """The engine `tofu`."""
    return [OpenTofuReleases(context.settings, context.http)]
