"""Workspaces that a cancelled run keeps until its state has come"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Workspaces that a cancelled run keeps until its state has come"""
    with op.batch_alter_table("workspaces", schema=None) as batch_op:
        batch_op.add_column(sa.Column("lock_until", sa.DateTime(timezone=True), nullable=True))
