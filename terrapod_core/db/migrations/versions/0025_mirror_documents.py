"""Under which revision the documents of mirrored versions are kept, and why a phase did not get what it wanted of a mirror"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Under which revision the documents of mirrored versions are kept, and why a phase did not get what it wanted of a mirror"""
    with op.batch_alter_table("mirror_releases") as releases:
        releases.add_column(sa.Column("revision", sa.Integer(), server_default=sa.text("0"), nullable=False))
    with op.batch_alter_table("phases") as phases:
        phases.add_column(sa.Column("mirror_failure", sa.String(), nullable=True))
