"""The Terraform Sync API: workspaces that are planned, and where they allow it applied, on a schedule."""

from __future__ import annotations

from terrapod_core.plugin import Migrations, hookimpl
from terrapod_sync.models import Base
from terrapod_sync.settings import SyncSettings


@hookimpl
def register_settings() -> type[SyncSettings]:
    """`[plugin.sync]`."""
    return SyncSettings


@hookimpl
def register_migrations() -> Migrations:
    """Configuration, syncs and conflicts."""
    return Migrations("terrapod_sync.migrations", "sync_migrations", Base)
