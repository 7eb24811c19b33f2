"""State versions of one workspace that share the same bytes"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

COLUMNS = ("sha256", "content_of", "json_content_of")


def upgrade() -> None:
    """State versions of one workspace that share the same bytes"""
    with op.batch_alter_table("state_versions", schema=None) as batch_op:
        for column in COLUMNS:
            batch_op.add_column(sa.Column(column, sa.String(), nullable=True))
        batch_op.create_index("ix_state_versions_content", ["workspace_id", "sha256"], unique=False)
        batch_op.create_index("ix_state_versions_json_content", ["workspace_id", "json_sha256"], unique=False)
        for column in COLUMNS[1:]:
            shares = sa.text(f"{column} IS NOT NULL")
            batch_op.create_index(f"ix_state_versions_{column}", [column], unique=False, sqlite_where=shares, postgresql_where=shares)
