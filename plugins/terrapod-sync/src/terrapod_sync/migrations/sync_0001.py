"""The tables of the Sync API"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "sync_0001"
down_revision = None
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
UNDER_WAY = sa.text("active_sync_id IS NOT NULL")
OPEN = sa.text("status = 'open'")
GOING_ON = sa.text("ended_at IS NULL")


def upgrade() -> None:
    """The tables of the Sync API"""
    _global()
    _workspaces()
    _conflicts()
    _runs()


def _global() -> None:
    op.create_table(
        "sync_global",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("conflict_resolution", sa.String(), nullable=False),
        sa.Column("edited_by_id", sa.String(), nullable=True),
        sa.Column("edited_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sync_global")),
    )


def _workspaces() -> None:
    op.create_table(
        "sync_workspaces",
        sa.Column("workspace_id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("entry", sa.Text(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("edited_by_id", sa.String(), nullable=False),
        sa.Column("edited_at", TIME, nullable=False),
        sa.Column("tick_at", TIME, nullable=True),
        sa.Column("next_at", TIME, nullable=True),
        sa.Column("rests_until", TIME, nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("active_sync_id", sa.String(), nullable=True),
        sa.Column("looked_at", TIME, nullable=True),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("last_sync_at", TIME, nullable=True),
        sa.Column("last_run_id", sa.String(), nullable=True),
        sa.Column("has_changes", sa.Boolean(), nullable=True),
        sa.Column("drifted", sa.Boolean(), nullable=True),
        sa.Column("problem", sa.String(), nullable=True),
        sa.Column("problem_code", sa.String(), nullable=True),
        sa.Column("problem_since", TIME, nullable=True),
        sa.PrimaryKeyConstraint("workspace_id", name=op.f("pk_sync_workspaces")),
    )
    op.create_index("ix_sync_workspaces_due", "sync_workspaces", ["next_at"], unique=False)
    op.create_index(
        "ix_sync_workspaces_under_way", "sync_workspaces", ["looked_at"], unique=False, sqlite_where=UNDER_WAY, postgresql_where=UNDER_WAY
    )


def _conflicts() -> None:
    op.create_table(
        "sync_conflicts",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("workspace_id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("sync_id", sa.String(), nullable=True),
        sa.Column("run_id", sa.String(), nullable=True),
        sa.Column("plan_digest", sa.String(), nullable=True),
        sa.Column("detail", sa.String(), nullable=False),
        sa.Column("steps", sa.Text(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("resolution", sa.String(), nullable=True),
        sa.Column("resolved_by_id", sa.String(), nullable=True),
        sa.Column("resolved_at", TIME, nullable=True),
        sa.Column("ignored_until", TIME, nullable=True),
        sa.Column("resulting_run_id", sa.String(), nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["sync_workspaces.workspace_id"], name=op.f("fk_sync_conflicts_workspace_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sync_conflicts")),
    )
    op.create_index("ix_sync_conflicts_resolved_at", "sync_conflicts", ["resolved_at"], unique=False)
    op.create_index("ix_sync_conflicts_listed", "sync_conflicts", ["created_at", "id"], unique=False)
    op.create_index(
        "ix_sync_conflicts_open", "sync_conflicts", ["workspace_id", "kind"], unique=True, sqlite_where=OPEN, postgresql_where=OPEN
    )


def _runs() -> None:
    op.create_table(
        "sync_runs",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("workspace_id", sa.String(), nullable=False),
        sa.Column("cause", sa.String(), nullable=False),
        sa.Column("mode", sa.String(), nullable=False),
        sa.Column("operations", sa.Text(), nullable=False),
        sa.Column("acting_id", sa.String(), nullable=False),
        sa.Column("tick_at", TIME, nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.String(), nullable=True),
        sa.Column("plan_digest", sa.String(), nullable=True),
        sa.Column("has_changes", sa.Boolean(), nullable=True),
        sa.Column("drifted", sa.Boolean(), nullable=True),
        sa.Column("forbidden", sa.Text(), nullable=False),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("given_up", sa.Boolean(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("ended_at", TIME, nullable=True),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["sync_workspaces.workspace_id"], name=op.f("fk_sync_runs_workspace_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sync_runs")),
    )
    op.create_index("ix_sync_runs_ended_at", "sync_runs", ["ended_at"], unique=False)
    op.create_index("ix_sync_runs_going_on", "sync_runs", ["workspace_id"], unique=False, sqlite_where=GOING_ON, postgresql_where=GOING_ON)
    op.create_index(
        "ix_sync_runs_given_up",
        "sync_runs",
        ["workspace_id"],
        unique=False,
        sqlite_where=sa.text("given_up = 1"),
        postgresql_where=sa.text("given_up"),
    )
    op.create_index("ix_sync_runs_run_id", "sync_runs", ["run_id"], unique=False)
    op.create_index("ix_sync_runs_workspace", "sync_runs", ["workspace_id", "created_at", "id"], unique=False)
