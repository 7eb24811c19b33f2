"""What mirrors know of their upstreams, what they verified, and which packages are here"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

BYTEWISE = sa.String().with_variant(sa.String(collation="C"), "postgresql")
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """What mirrors know of their upstreams, what they verified, and which packages are here"""
    _indexes()
    _releases()
    _packages()
    _keys()


def _indexes() -> None:
    op.create_table(
        "mirror_indexes",
        sa.Column("source", BYTEWISE, nullable=False),
        sa.Column("versions", sa.Text(), nullable=False),
        sa.Column("warnings", sa.Text(), nullable=False),
        sa.Column("validator", sa.String(), nullable=True),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("changed_at", TIME, nullable=False),
        sa.Column("checked_at", TIME, nullable=False),
        sa.Column("is_missing", sa.Boolean(), nullable=False),
        sa.Column("failed_at", TIME, nullable=True),
        sa.Column("failure", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("source", name=op.f("pk_mirror_indexes")),
    )


def _releases() -> None:
    op.create_table(
        "mirror_releases",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("source", BYTEWISE, nullable=False),
        sa.Column("version", BYTEWISE, nullable=False),
        sa.Column("protocols", sa.Text(), nullable=False),
        sa.Column("sums", sa.LargeBinary(), nullable=True),
        sa.Column("signature", sa.LargeBinary(), nullable=True),
        sa.Column("key_id", sa.String(), nullable=True),
        sa.Column("ascii_armor", sa.String(), nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mirror_releases")),
    )
    op.create_index("uq_mirror_releases_version", "mirror_releases", ["source", "version"], unique=True)


def _packages() -> None:
    op.create_table(
        "mirror_packages",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("release_id", sa.String(), nullable=False),
        sa.Column("os", BYTEWISE, nullable=False),
        sa.Column("arch", BYTEWISE, nullable=False),
        sa.Column("filename", sa.String(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=True),
        sa.Column("h1", sa.String(), nullable=True),
        sa.Column("root", sa.String(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=True),
        sa.Column("object_key", sa.String(), nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("fetched_at", TIME, nullable=True),
        sa.Column("last_used_at", TIME, nullable=False),
        sa.Column("uses", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.ForeignKeyConstraint(["release_id"], ["mirror_releases.id"], name=op.f("fk_mirror_packages_release_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mirror_packages")),
    )
    op.create_index("uq_mirror_packages_platform", "mirror_packages", ["release_id", "os", "arch"], unique=True)
    op.create_index("ix_mirror_packages_last_used_at", "mirror_packages", ["last_used_at"])


def _keys() -> None:
    op.create_table(
        "mirror_keys",
        sa.Column("scope", BYTEWISE, nullable=False),
        sa.Column("fingerprint", sa.String(), nullable=False),
        sa.Column("key_id", sa.String(), nullable=False),
        sa.Column("ascii_armor", sa.String(), nullable=False),
        sa.Column("pinned_at", TIME, nullable=False),
        sa.Column("pinned_by", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("scope", "fingerprint", name=op.f("pk_mirror_keys")),
    )
