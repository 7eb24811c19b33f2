"""Runs that wait for a sandbox, and providers that come with a configuration"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Runs that wait for a sandbox, and providers that come with a configuration"""
    with op.batch_alter_table("runs", schema=None) as batch_op:
        batch_op.add_column(sa.Column("held_for", sa.String(), nullable=True))
    with op.batch_alter_table("workspaces", schema=None) as batch_op:
        batch_op.add_column(sa.Column("vendored_providers", sa.Boolean(), nullable=False, server_default=sa.false()))
