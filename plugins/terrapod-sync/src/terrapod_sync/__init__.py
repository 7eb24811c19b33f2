"""The Terraform Sync API: workspaces that are planned, and where they allow it applied, on a schedule."""

from __future__ import annotations

from collections.abc import Sequence

from terrapod_core.plugin import Job, Migrations, Routes, RunCheck, ServerContext, WorkspaceAdditions, hookimpl
from terrapod_sync import routes
from terrapod_sync.engine import opened
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


@hookimpl
def register_routes(context: ServerContext[SyncSettings]) -> Sequence[Routes]:
    """`/v1/terraform/sync`."""
    return [routes.opened(context, opened(context))]


@hookimpl
def register_jobs(context: ServerContext[SyncSettings]) -> Sequence[Job]:
    """The schedule, and what follows the runs it makes."""
    return opened(context).jobs()


@hookimpl
def register_run_checks(context: ServerContext[SyncSettings]) -> Sequence[RunCheck]:
    """The policies' say about every run."""
    return opened(context).checks()


@hookimpl
def register_workspace_additions(context: ServerContext[SyncSettings]) -> Sequence[WorkspaceAdditions]:
    """How workspaces stand, and what is wrong with them."""
    return opened(context).additions()
