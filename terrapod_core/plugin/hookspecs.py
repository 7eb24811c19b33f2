"""What the core asks a plugin, once, at the start. Every hook is optional; a plugin without any is a mistake.

Implement one by a module-level function of the same name under `@hookimpl`. It may leave out arguments it does not need.
When it raises, the plugin is listed as failed with the reason and the server goes on without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pluggy

from terrapod_core.plugin.auth import AuthProvider
from terrapod_core.plugin.checks import RunCheck
from terrapod_core.plugin.context import PluginContext, ServerContext
from terrapod_core.plugin.coordination import CoordinationBackend
from terrapod_core.plugin.jobs import Job
from terrapod_core.plugin.keys import KeyProvider
from terrapod_core.plugin.migrations import Migrations
from terrapod_core.plugin.mirrors import RegistryMirror
from terrapod_core.plugin.routes import Routes
from terrapod_core.plugin.runners import RunnerBackend
from terrapod_core.plugin.server import WorkspaceAdditions
from terrapod_core.plugin.settings import PluginSettings
from terrapod_core.plugin.storage import StorageBackend
from terrapod_core.plugin.vcs import VCSProvider

PROJECT: Final = "terrapod"
"""Also the entry-point group that plugins are found by."""

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def register_settings() -> type[PluginSettings]:  # type: ignore[empty-body]
    """The plugin's settings: a frozen dataclass that extends `PluginSettings`.

    It is filled from the section and the variables that the entry point's name gives: `vcs-github` reads `[vcs.github]` and
    `TERRAPOD_VCS__GITHUB__…`. A plugin without this hook has no settings, and its section must be empty.
    """


@hookspec
def register_storage_backends(context: PluginContext) -> Sequence[StorageBackend]:  # type: ignore[empty-body]
    """Storage backends, each under a name of its own; `[storage] backend` chooses one for the whole server."""


@hookspec
def register_auth_providers(context: PluginContext) -> Sequence[AuthProvider]:  # type: ignore[empty-body]
    """Ways to sign in, each under a name of its own; all of them are offered on the sign-in page."""


@hookspec
def register_runner_backends(context: PluginContext) -> Sequence[RunnerBackend]:  # type: ignore[empty-body]
    """Runner backends, each under a name of its own; `[runner] backend` chooses the one for runs outside agent pools."""


@hookspec
def register_key_providers(context: PluginContext) -> Sequence[KeyProvider]:  # type: ignore[empty-body]
    """Sources of the keys that stored secrets are encrypted under, each under a name of its own; `[secrets] provider` chooses one."""


@hookspec
def register_coordination_backends(context: PluginContext) -> Sequence[CoordinationBackend]:  # type: ignore[empty-body]
    """What connects several servers, each under a name of its own; `[redis] url` chooses the one called `redis`."""


@hookspec
def register_registry_mirrors(context: PluginContext) -> Sequence[RegistryMirror]:  # type: ignore[empty-body]
    """Upstreams that engines, providers and modules are cached from, each under a name of its own; by name, the first that serves
    an address is asked."""


@hookspec
def register_vcs_providers(context: PluginContext) -> Sequence[VCSProvider]:  # type: ignore[empty-body]
    """Kinds of forges, each under a name of its own; connections name the one they are of."""


@hookspec
def register_routes(context: ServerContext) -> Sequence[Routes]:  # type: ignore[empty-body]
    """HTTP of the plugin's own. The prefixes of two plugins may not lie within each other."""


@hookspec
def register_jobs(context: ServerContext) -> Sequence[Job]:  # type: ignore[empty-body]
    """Work in the background, `Every` so often or `On` an event; the names are the plugin's own business. Run where jobs are run."""


@hookspec
def register_run_checks(context: ServerContext) -> Sequence[RunCheck]:  # type: ignore[empty-body]
    """Says about runs, each under a name of its own, asked before anything of a plan is applied."""


@hookspec
def register_workspace_additions(context: ServerContext) -> Sequence[WorkspaceAdditions]:  # type: ignore[empty-body]
    """Attributes and conditions that are added to workspaces, under the plugin's own prefix."""


@hookspec
def register_migrations() -> Migrations:  # type: ignore[empty-body]
    """The alembic migrations of the plugin's own tables, run after the core's whenever the core's are run."""


HOOKS: Final = {
    "register_settings": "settings",
    "register_storage_backends": "storage backend",
    "register_auth_providers": "auth provider",
    "register_runner_backends": "runner backend",
    "register_key_providers": "key provider",
    "register_coordination_backends": "coordination backend",
    "register_registry_mirrors": "registry mirror",
    "register_vcs_providers": "VCS provider",
    "register_routes": "routes",
    "register_jobs": "jobs",
    "register_run_checks": "run check",
    "register_workspace_additions": "workspace additions",
    "register_migrations": "migrations",
}
"""Every hook, and what a plugin that implements it provides."""
