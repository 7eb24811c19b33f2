"""Private providers, their versions and platforms, and the keys that sign them"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

BYTEWISE = sa.String().with_variant(sa.String(collation="C"), "postgresql")
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Private providers, their versions and platforms, and the keys that sign them"""
    _providers()
    _versions()
    _keys()


def _providers() -> None:
    op.create_table(
        "registry_providers",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("namespace", BYTEWISE, nullable=False),
        sa.Column("name", BYTEWISE, nullable=False),
        sa.Column("owner_id", sa.String(), nullable=True),
        sa.Column("labels", sa.Text(), nullable=False),
        sa.Column("publishers", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_registry_providers")),
    )
    op.create_index("uq_registry_providers_namespace_name", "registry_providers", ["namespace", "name"], unique=True)
    op.create_index("ix_registry_providers_owner_id", "registry_providers", ["owner_id"])
    op.create_table(
        "registry_provider_labels",
        sa.Column("item_id", sa.String(), nullable=False),
        sa.Column("key", BYTEWISE, nullable=False),
        sa.Column("value", sa.String(), nullable=True),
        _of("registry_providers", "registry_provider_labels", "item_id"),
        sa.PrimaryKeyConstraint("item_id", "key", name=op.f("pk_registry_provider_labels")),
    )
    op.create_index("ix_registry_provider_labels_key_value", "registry_provider_labels", ["key", "value"])


def _versions() -> None:
    op.create_table(
        "registry_provider_versions",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("provider_id", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("key_id", sa.String(), nullable=True),
        sa.Column("protocols", sa.Text(), nullable=True),
        sa.Column("sums", sa.LargeBinary(), nullable=True),
        sa.Column("signature", sa.LargeBinary(), nullable=True),
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
        _of("registry_providers", "registry_provider_versions", "provider_id"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_registry_provider_versions")),
    )
    op.create_index("uq_registry_provider_versions_number", "registry_provider_versions", ["provider_id", "version_order"], unique=True)
    op.create_table(
        "registry_provider_platforms",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("version_id", sa.String(), nullable=False),
        sa.Column("os", BYTEWISE, nullable=False),
        sa.Column("arch", BYTEWISE, nullable=False),
        sa.Column("filename", sa.String(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=True),
        sa.Column("object_key", sa.String(), nullable=True),
        sa.Column("size", sa.BigInteger(), nullable=True),
        sa.Column("h1", sa.String(), nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("uploaded_at", TIME, nullable=True),
        _of("registry_provider_versions", "registry_provider_platforms", "version_id"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_registry_provider_platforms")),
    )
    op.create_index("uq_registry_provider_platforms_platform", "registry_provider_platforms", ["version_id", "os", "arch"], unique=True)


def _keys() -> None:
    op.create_table(
        "gpg_keys",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("namespace", BYTEWISE, nullable=False),
        sa.Column("key_id", BYTEWISE, nullable=False),
        sa.Column("fingerprint", sa.String(), nullable=False),
        sa.Column("user", sa.String(), nullable=False),
        sa.Column("ascii_armor", sa.String(), nullable=False),
        sa.Column("whole_namespace", sa.Boolean(), nullable=False),
        sa.Column("expires_at", TIME, nullable=True),
        sa.Column("created_by_id", sa.String(), nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_gpg_keys")),
    )
    op.create_index("uq_gpg_keys_namespace_key_id", "gpg_keys", ["namespace", "key_id"], unique=True)
    op.create_table(
        "gpg_key_providers",
        sa.Column("gpg_key_id", sa.String(), nullable=False),
        sa.Column("provider_id", sa.String(), nullable=False),
        _of("gpg_keys", "gpg_key_providers", "gpg_key_id"),
        _of("registry_providers", "gpg_key_providers", "provider_id"),
        sa.PrimaryKeyConstraint("gpg_key_id", "provider_id", name=op.f("pk_gpg_key_providers")),
    )
    op.create_index("ix_gpg_key_providers_provider_id", "gpg_key_providers", ["provider_id"])
    op.create_table(
        "provider_signing_keys",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("key_id", sa.String(), nullable=False),
        sa.Column("ascii_armor", sa.String(), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_provider_signing_keys")),
    )


def _of(parent: str, table: str, column: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [f"{parent}.id"], name=op.f(f"fk_{table}_{column}"), ondelete="CASCADE")
