"""Any git repository, over HTTPS or SSH, for Terrapod's workspaces and modules."""

from __future__ import annotations

from terrapod_core.plugin import PluginContext, hookimpl
from terrapod_vcs_git.provider import GitProvider
from terrapod_vcs_git.settings import GitSettings


@hookimpl
def register_settings() -> type[GitSettings]:
    """`[vcs.git]`."""
    return GitSettings


@hookimpl
def register_vcs_providers(context: PluginContext[GitSettings]) -> list[GitProvider]:
    """The provider `git`. No program is run before a repository is asked."""
    return [GitProvider(context.settings, context.http, context.data_dir / "vcs-git")]
