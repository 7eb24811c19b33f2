"""The key that signs bundles, the keys whose bundles are loaded, and how often a package was not in the cache"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """The key that signs bundles, the keys whose bundles are loaded, and how often a package was not in the cache"""
    op.add_column("mirror_packages", sa.Column("misses", sa.BigInteger(), server_default=sa.text("0"), nullable=False))
    op.create_table(
        "bundle_keys",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("public", sa.LargeBinary(), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bundle_keys")),
    )
    op.create_table(
        "trusted_bundle_keys",
        sa.Column("fingerprint", sa.String(), nullable=False),
        sa.Column("server", sa.String(), nullable=False),
        sa.Column("trusted_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("fingerprint", name=op.f("pk_trusted_bundle_keys")),
    )
