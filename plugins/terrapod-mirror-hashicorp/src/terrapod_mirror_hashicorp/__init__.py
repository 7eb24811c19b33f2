"""HashiCorp's releases of terraform."""

from __future__ import annotations

from terrapod_core.plugin import PluginContext, hookimpl
from terrapod_mirror_hashicorp.releases import HashiCorpReleases
from terrapod_mirror_hashicorp.settings import HashiCorpSettings


@hookimpl
def register_settings() -> type[HashiCorpSettings]:
    """`[mirror.hashicorp]`."""
    return HashiCorpSettings


@hookimpl
def register_registry_mirrors(context: PluginContext[HashiCorpSettings]) -> list[HashiCorpReleases]:
    """The engine `terraform`."""
    return [HashiCorpReleases(context.settings, context.http)]
