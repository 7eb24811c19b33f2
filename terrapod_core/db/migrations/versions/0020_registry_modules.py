"""Private modules, their labels and their versions"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

BYTEWISE = sa.String().with_variant(sa.String(collation="C"), "postgresql")
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Private modules, their labels and their versions"""
    _modules()
    _labels()
    _versions()
    _contents()


def _modules() -> None:
    op.create_table(
        "registry_modules",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("namespace", BYTEWISE, nullable=False),
        sa.Column("name", BYTEWISE, nullable=False),
        sa.Column("provider", BYTEWISE, nullable=False),
        sa.Column("owner_id", sa.String(), nullable=True),
        sa.Column("labels", sa.Text(), nullable=False),
        sa.Column("publishers", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_registry_modules")),
    )
    op.create_index("uq_registry_modules_address", "registry_modules", ["namespace", "name", "provider"], unique=True)
    op.create_index("ix_registry_modules_listed", "registry_modules", ["name", "provider", "namespace", "id"])
    op.create_index("ix_registry_modules_owner_id", "registry_modules", ["owner_id"])


def _labels() -> None:
    op.create_table(
        "registry_module_labels",
        sa.Column("item_id", sa.String(), nullable=False),
        sa.Column("key", BYTEWISE, nullable=False),
        sa.Column("value", sa.String(), nullable=True),
        _of_module("registry_module_labels", "item_id"),
        sa.PrimaryKeyConstraint("item_id", "key", name=op.f("pk_registry_module_labels")),
    )
    op.create_index("ix_registry_module_labels_key_value", "registry_module_labels", ["key", "value"])


def _versions() -> None:
    op.create_table(
        "registry_module_versions",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("module_id", sa.String(), nullable=False),
        sa.Column("version", BYTEWISE, nullable=False),
        sa.Column("version_order", BYTEWISE, nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("is_held", sa.Boolean(), nullable=False),
        sa.Column("created_by_id", sa.String(), nullable=True),
        sa.Column("created_by_name", sa.String(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.Column("published_at", TIME, nullable=True),
        sa.Column("deprecation", sa.Text(), nullable=True),
        sa.Column("revocation", sa.Text(), nullable=True),
        sa.Column("object_key", sa.String(), nullable=True),
        sa.Column("size", sa.BigInteger(), nullable=True),
        sa.Column("sha256", sa.String(), nullable=True),
        sa.Column("wrapper", sa.String(), nullable=True),
        _of_module("registry_module_versions", "module_id"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_registry_module_versions")),
    )
    op.create_index("uq_registry_module_versions_order", "registry_module_versions", ["module_id", "version_order"], unique=True)


def _contents() -> None:
    op.create_table(
        "registry_module_contents",
        sa.Column("version_id", sa.String(), nullable=False),
        sa.Column("contents", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["version_id"],
            ["registry_module_versions.id"],
            name=op.f("fk_registry_module_contents_version_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("version_id", name=op.f("pk_registry_module_contents")),
    )


def _of_module(table: str, column: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], ["registry_modules.id"], name=op.f(f"fk_{table}_{column}"), ondelete="CASCADE")
