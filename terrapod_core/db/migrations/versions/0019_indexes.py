"""Indexes of long lists and of work by the clock"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

LIVE = "deleted_at IS NULL"
DELETED = "deleted_at IS NOT NULL"
KEPT = "handle IS NOT NULL AND finished_at IS NOT NULL"


def upgrade() -> None:
    """Indexes of long lists and of work by the clock"""
    _index("ix_workspaces_listed", "workspaces", "name", "id", where=LIVE)
    _index("ix_workspaces_created_at", "workspaces", "created_at", "name", "id", where=LIVE)
    op.drop_index("ix_workspaces_deleted_at", "workspaces")
    _index("ix_workspaces_deleted_at", "workspaces", "deleted_at", "id", where=DELETED)
    _index("ix_workspaces_lock_until", "workspaces", "lock_until", where="lock_until IS NOT NULL")
    op.drop_index("ix_runs_workspace", "runs")
    _index("ix_runs_workspace", "runs", "workspace_id", "created_at", "id", "plan_only")
    _index("ix_runs_workspace_status", "runs", "workspace_id", "status", "created_at", "id")
    _index("ix_runs_newest", "runs", "created_at", "id", "workspace_id", "plan_only")
    _index("ix_phases_kept_handle", "phases", "run_id", where=KEPT)
    _index("ix_state_versions_newest", "state_versions", "workspace_id", "created_at", "id", "status")
    _index("ix_sessions_last_used_at", "sessions", "last_used_at")
    _index("ix_api_tokens_origin", "api_tokens", "origin", "user_id")
    _index("ix_agent_pool_tokens_expires_at", "agent_pool_tokens", "expires_at")
    _index("ix_listeners_pool_id", "listeners", "pool_id", "name", "created_at", "id")


def _index(name: str, table: str, *columns: str, where: str | None = None) -> None:
    """One that is there was made before the upgrade, without a lock, by an operator with big tables."""
    partial: dict[str, Any] = {} if where is None else {"sqlite_where": sa.text(where), "postgresql_where": sa.text(where)}
    op.create_index(name, table, list(columns), if_not_exists=True, **partial)
