"""Who uses what of the registry, and downloads of it"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
KINDS = ("module", "provider")


def upgrade() -> None:
    """Who uses what of the registry, and downloads of it"""
    for kind in KINDS:
        versions = f"registry_{kind}_versions"
        op.add_column(versions, sa.Column("download_count", sa.BigInteger(), server_default=sa.text("0"), nullable=False))
        _consumers(f"registry_{kind}_consumers", versions)
        _downloads(f"registry_{kind}_downloads", versions)


def _consumers(table: str, versions: str) -> None:
    op.create_table(
        table,
        sa.Column("version_id", sa.String(), nullable=False),
        sa.Column("workspace_id", sa.String(), nullable=False),
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("used_at", TIME, nullable=False),
        sa.Column("plan_only", sa.Boolean(), nullable=False),
        _of(versions, table),
        sa.PrimaryKeyConstraint("version_id", "workspace_id", name=op.f(f"pk_{table}")),
    )
    op.create_index(f"ix_{table}_workspace_id", table, ["workspace_id"])


def _downloads(table: str, versions: str) -> None:
    op.create_table(
        table,
        sa.Column("version_id", sa.String(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("by_id", sa.String(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("last_at", TIME, nullable=False),
        _of(versions, table),
        sa.PrimaryKeyConstraint("version_id", "by", "by_id", name=op.f(f"pk_{table}")),
    )


def _of(parent: str, table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["version_id"], [f"{parent}.id"], name=op.f(f"fk_{table}_version_id"), ondelete="CASCADE")
