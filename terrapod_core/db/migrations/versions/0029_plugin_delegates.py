"""Users for whom a plugin may act later"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Users for whom a plugin may act later"""
    op.create_table(
        "plugin_delegates",
        sa.Column("plugin", sa.String(), nullable=False),
        sa.Column("user_id", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_plugin_delegates_user_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("plugin", "user_id", name=op.f("pk_plugin_delegates")),
    )
