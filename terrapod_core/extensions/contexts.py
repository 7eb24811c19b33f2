"""What the hooks get that add to the running server."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, fields

from terrapod_core.authz import Actor
from terrapod_core.db import Database
from terrapod_core.extensions.api import Inner, InnerAPI
from terrapod_core.extensions.callers import ActorOf, KnownCallers
from terrapod_core.extensions.lookup import Lookup
from terrapod_core.extensions.mounted_routes import read_body
from terrapod_core.extensions.tables import OwnTables
from terrapod_core.plugin import ContextFactory, Migrations, PluginSettings, ServerContext


@dataclass(frozen=True)
class ServerContexts:
    """The factory: what every plugin gets, and the parts of the server made for this one."""

    usual: ContextFactory
    db: Database
    inner: Inner
    lookup: Lookup
    current: Callable[[], Awaitable[Actor]]
    """Whoever sent the request being served; raises `Unauthorized`."""
    actor_of: ActorOf
    migrations: Mapping[str, Migrations]
    base_url: str | None

    def __call__(self, plugin: str, settings: PluginSettings) -> ServerContext:
        usual = self.usual(plugin, settings)
        own = self.migrations.get(plugin)
        return ServerContext(
            **{each.name: getattr(usual, each.name) for each in fields(usual)},
            api=InnerAPI(self.inner),
            callers=KnownCallers(plugin, self.db, self.current, self.actor_of),
            workspaces=self.lookup,
            tables=OwnTables(plugin, self.db, own.base if own is not None else None),
            read_body=read_body,
            base_url=self.base_url,
        )
