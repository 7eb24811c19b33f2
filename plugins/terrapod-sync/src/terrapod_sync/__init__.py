"""The Terraform Sync API: workspaces that are planned, and where they allow it applied, on a schedule."""

from __future__ import annotations

from typing import TYPE_CHECKING

from terrapod_core.plugin import Job, Migrations, On, WorkspaceDeleted, hookimpl
from terrapod_sync import routes
from terrapod_sync.models import Base
from terrapod_sync.settings import SyncSettings
from terrapod_sync.storing import Storing

if TYPE_CHECKING:
    from terrapod_core.plugin import Routes, ServerContext


@hookimpl
def register_settings() -> type[SyncSettings]:
    """`[plugin.sync]`."""
    return SyncSettings


@hookimpl
def register_migrations() -> Migrations:
    """Configuration, syncs and conflicts."""
    return Migrations("terrapod_sync.migrations", "sync_migrations", Base)


@hookimpl
def register_routes(context: ServerContext[SyncSettings]) -> list[Routes]:
    """`/v1/terraform/sync`."""
    from terrapod_sync.engine import opened

    return [routes.opened(context, opened(context))]


@hookimpl
def register_jobs(context: ServerContext[SyncSettings]) -> list[Job]:
    """Entries of workspaces that are gone go too."""
    return [On(WorkspaceDeleted, "forget", Storing(context).forget)]
