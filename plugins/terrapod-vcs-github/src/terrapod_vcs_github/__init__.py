"""GitHub repositories for Terrapod's workspaces and modules."""

from __future__ import annotations

from terrapod_core.plugin import PluginContext, hookimpl
from terrapod_vcs_github.provider import GitHub
from terrapod_vcs_github.settings import GitHubSettings


@hookimpl
def register_settings() -> type[GitHubSettings]:
    """`[vcs.github]`."""
    return GitHubSettings


@hookimpl
def register_vcs_providers(context: PluginContext[GitHubSettings]) -> list[GitHub]:
    """GitHub."""
    return [GitHub(context)]
