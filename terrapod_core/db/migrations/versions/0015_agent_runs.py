"""Runs that agent pools carry out"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Runs that agent pools carry out"""
    with op.batch_alter_table("workspaces", schema=None) as batch_op:
        batch_op.add_column(sa.Column("agent_pool_id", sa.String(), nullable=True))
        batch_op.add_column(sa.Column("inherits_execution_mode", sa.Boolean(), server_default=sa.false(), nullable=False))
        batch_op.create_foreign_key(
            batch_op.f("fk_workspaces_agent_pool_id_agent_pools"), "agent_pools", ["agent_pool_id"], ["id"], ondelete="RESTRICT"
        )
        batch_op.create_index("ix_workspaces_agent_pool_id", ["agent_pool_id"], unique=False)
    with op.batch_alter_table("projects", schema=None) as batch_op:
        batch_op.add_column(sa.Column("default_execution_mode", sa.String(), server_default="remote", nullable=False))
        batch_op.add_column(sa.Column("default_agent_pool_id", sa.String(), nullable=True))
        batch_op.create_foreign_key(
            batch_op.f("fk_projects_default_agent_pool_id_agent_pools"),
            "agent_pools",
            ["default_agent_pool_id"],
            ["id"],
            ondelete="RESTRICT",
        )
    with op.batch_alter_table("phases", schema=None) as batch_op:
        batch_op.add_column(sa.Column("listener_id", sa.String(), nullable=True))
        batch_op.create_index("ix_phases_listener_id", ["listener_id", "finished_at"], unique=False)
