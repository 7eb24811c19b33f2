"""GitLab projects for Terrapod's workspaces and modules."""

from __future__ import annotations

from terrapod_core.plugin import PluginContext, hookimpl
from terrapod_vcs_gitlab.provider import GitLab
from terrapod_vcs_gitlab.settings import GitLabSettings


@hookimpl
def register_settings() -> type[GitLabSettings]:
    """`[vcs.gitlab]`."""
    return GitLabSettings


@hookimpl
def register_vcs_providers(context: PluginContext[GitLabSettings]) -> list[GitLab]:
    """The provider `gitlab`: gitlab.com, and any GitLab by its address."""
    return [GitLab(context.settings, context.http, context.clock)]
