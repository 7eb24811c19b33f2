"""Where phases were launched, which processes there are, and which versions a schema is for"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from terrapod_core.db import UTCDateTime

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Where phases were launched, which processes there are, and which versions a schema is for"""
    op.create_table(
        "processes",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("host", sa.String(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("version", sa.String(), nullable=False),
        sa.Column("started_at", UTCDateTime(), nullable=False),
        sa.Column("beat", sa.Integer(), nullable=False),
        sa.Column("seen_at", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_processes")),
    )
    op.create_table(
        "schema_notes",
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("revision", sa.String(), nullable=False),
        sa.Column("oldest", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("owner", name=op.f("pk_schema_notes")),
    )
    with op.batch_alter_table("phases", schema=None) as batch_op:
        batch_op.add_column(sa.Column("place", sa.String(), nullable=True))
