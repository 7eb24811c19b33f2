"""Signing in through other providers"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Signing in through other providers"""
    op.create_table(
        "used_once",
        sa.Column("hash", sa.String(), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("hash", name=op.f("pk_used_once")),
    )
    with op.batch_alter_table("used_once", schema=None) as batch_op:
        batch_op.create_index("ix_used_once_until", ["until"], unique=False)
    # Never by copying the table: a default that is an expression would make SQLite do that, and it adds this column without.
    with op.batch_alter_table("users", schema=None, recreate="never") as batch_op:
        # Without a word about it an address counts as unverified: a server of the version before writes no such column.
        batch_op.add_column(sa.Column("email_verified", sa.Boolean(), nullable=False, server_default=sa.false()))
        batch_op.add_column(sa.Column("roles_claimed_at", sa.DateTime(timezone=True), nullable=True))
    op.execute(sa.text("UPDATE users SET email_verified = true WHERE provider = 'local'"))
    # Sign-ins under way last ten minutes; those of the version before begin again.
    op.execute(sa.text("DELETE FROM login_states"))
    with op.batch_alter_table("login_states", schema=None) as batch_op:
        batch_op.add_column(sa.Column("comes_back", sa.String(), nullable=False))
        batch_op.add_column(sa.Column("callback_url", sa.String(), nullable=False))
        batch_op.add_column(sa.Column("remembered", sa.LargeBinary(), nullable=True))
