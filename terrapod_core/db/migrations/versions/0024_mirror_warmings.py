"""Packages that somebody wants in the cache, and how far that is"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Packages that somebody wants in the cache, and how far that is"""
    op.create_table(
        "mirror_warmings",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("package_id", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("received", sa.BigInteger(), nullable=False),
        sa.Column("message", sa.String(), nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("finished_at", TIME, nullable=True),
        sa.ForeignKeyConstraint(["package_id"], ["mirror_packages.id"], name=op.f("fk_mirror_warmings_package_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mirror_warmings")),
    )
    op.create_index("ix_mirror_warmings_created_at", "mirror_warmings", ["created_at"])
