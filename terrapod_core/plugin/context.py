"""All that a plugin gets of the server. A new need becomes a new field; the core's sessions and services never do."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Protocol

from terrapod_core import __version__
from terrapod_core.clock import Clock
from terrapod_core.metrics.plugins import PluginMetrics
from terrapod_core.outgoing import HTTPClients
from terrapod_core.plugin.auth import OnceStore, PasswordStore
from terrapod_core.plugin.server import Callers, PluginTables, ReadBody, ServerAPI, WorkspaceLookup
from terrapod_core.plugin.settings import PluginSettings

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    S = TypeVar("S", bound=PluginSettings, default=Any)
else:
    from typing import TypeVar

    S = TypeVar("S")


@dataclass(frozen=True)
class PluginContext(Generic[S]):
    """What a `register_*` hook is called with. `PluginContext[MySettings]` says of which class its `settings` are."""

    settings: S
    """What `register_settings` declared, filled in; a bare `PluginSettings` when it declared nothing."""
    log: logging.Logger
    """`terrapod.plugins.<name>`. Never log a secret."""
    clock: Clock
    core_version: str
    data_dir: Path
    """Absolute. A plugin keeps to a directory of its own in it, and makes it with mode 0700."""
    passwords: PasswordStore = field(repr=False)
    http: HTTPClients
    """The only way out: limits, proxy and certificate authorities are the operator's. Never make a client of your own."""
    once: OnceStore
    """For what may be used a single time, on whatever server: ids of assertions, nonces."""
    metrics: PluginMetrics = field(repr=False)
    """Counters, gauges and histograms of its own, told at `/metrics` under names that begin with the plugin's."""
    redis_url: str | None = field(default=None, repr=False)
    """`[redis] url`, which may hold a password; only plugins of the kind `coordination` are given it."""


@dataclass(frozen=True)
class ServerContext(PluginContext[S]):
    """What the hooks get that add to the running server (routes, jobs, checks, additions): beside all of the above, its parts."""

    api: ServerAPI = field(repr=False, kw_only=True)
    callers: Callers = field(repr=False, kw_only=True)
    workspaces: WorkspaceLookup = field(repr=False, kw_only=True)
    tables: PluginTables = field(repr=False, kw_only=True)
    """Raises `ForeignTable` for a plugin whose `Migrations` declare no `base`."""
    read_body: ReadBody = field(repr=False, kw_only=True)
    """For views: `await context.read_body(limit)` is the body of the request, and never more of it than that."""
    base_url: str | None = field(kw_only=True)
    """`server.external_url` without a slash at its end, for links to people; `None` when the operator has set none."""


class ContextFactory(Protocol):
    """Makes the context of one plugin; `Plugins` asks it once per hook."""

    def __call__(self, plugin: str, settings: PluginSettings) -> PluginContext: ...


class ServerContextFactory(Protocol):
    """The same for hooks that get a `ServerContext`."""

    def __call__(self, plugin: str, settings: PluginSettings) -> ServerContext: ...


@dataclass(frozen=True)
class PluginContexts:
    """The factory that the server uses: every plugin gets the same parts, its own settings and log, and what its kind needs."""

    clock: Clock
    data_dir: Path
    passwords: PasswordStore
    once: OnceStore
    http: HTTPClients = field(default_factory=HTTPClients)
    redis_url: str | None = field(default=None, repr=False)
    core_version: str = __version__

    def __call__(self, plugin: str, settings: PluginSettings) -> PluginContext:
        return PluginContext(
            settings=settings,
            log=logging.getLogger(f"terrapod.plugins.{plugin}"),
            clock=self.clock,
            core_version=self.core_version,
            data_dir=self.data_dir.absolute(),
            passwords=self.passwords,
            http=self.http,
            once=self.once,
            redis_url=self.redis_url if plugin.startswith("coordination-") else None,
            metrics=PluginMetrics(plugin),
        )
