"""Engines in a directory, and trees of `terraform providers mirror`."""

from __future__ import annotations

from terrapod_core.plugin import PluginContext, hookimpl
from terrapod_mirror_directory.mirror import Directory
from terrapod_mirror_directory.settings import DirectorySettings


@hookimpl
def register_settings() -> type[DirectorySettings]:
    """`[mirror.directory]`."""
    return DirectorySettings


@hookimpl
def register_registry_mirrors(context: PluginContext[DirectorySettings]) -> list[Directory]:
    """What the settings name; nothing without any."""
    return [Directory(context.settings, context.http)]
