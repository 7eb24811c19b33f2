"""Scopes of tokens, and service accounts"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

IS_SERVICE = sa.text("provider = 'service'")


def upgrade() -> None:
    """Scopes of tokens, and service accounts"""
    with op.batch_alter_table("api_tokens", schema=None) as batch_op:
        batch_op.add_column(sa.Column("created_by_id", sa.String(), nullable=True))
        batch_op.add_column(sa.Column("ceiling", sa.String(), nullable=True))
        batch_op.add_column(sa.Column("workspace_ids", sa.Text(), nullable=True))
    with op.batch_alter_table("users", schema=None) as batch_op:
        batch_op.create_index("uq_users_service_email", ["email_key"], unique=True, sqlite_where=IS_SERVICE, postgresql_where=IS_SERVICE)
