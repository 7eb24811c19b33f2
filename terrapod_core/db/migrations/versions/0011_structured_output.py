"""Structured run output: which workspaces want it, and which plans and applies have it"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Structured run output: which workspaces want it, and which plans and applies have it"""
    with op.batch_alter_table("workspaces", schema=None) as batch_op:
        batch_op.add_column(sa.Column("structured_run_output_enabled", sa.Boolean(), nullable=False, server_default=sa.true()))
    with op.batch_alter_table("phases", schema=None) as batch_op:
        batch_op.add_column(sa.Column("structured_output", sa.Boolean(), nullable=False, server_default=sa.false()))
