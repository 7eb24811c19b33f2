"""Agent pools, what lets listeners join them, and listeners"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

BYTEWISE = sa.String().with_variant(sa.String(collation="C"), "postgresql")
TIME = sa.DateTime(timezone=True)
STAYS = sa.text("exited_at IS NULL")


def upgrade() -> None:
    """Agent pools, what lets listeners join them, and listeners"""
    op.create_table(
        "agent_pools",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("name", BYTEWISE, nullable=False),
        sa.Column("service_account_name", sa.String(), nullable=True),
        sa.Column("labels", sa.Text(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_agent_pools")),
        sa.UniqueConstraint("name", name=op.f("uq_agent_pools_name")),
    )
    op.create_table(
        "agent_pool_labels",
        sa.Column("pool_id", sa.String(), nullable=False),
        sa.Column("key", BYTEWISE, nullable=False),
        sa.Column("value", sa.String(), nullable=True),
        _of_pool("agent_pool_labels"),
        sa.PrimaryKeyConstraint("pool_id", "key", name=op.f("pk_agent_pool_labels")),
    )
    op.create_index("ix_agent_pool_labels_key_value", "agent_pool_labels", ["key", "value"])
    op.create_table(
        "agent_pool_authorities",
        sa.Column("pool_id", sa.String(), nullable=False),
        sa.Column("certificate", sa.String(), nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("expires_at", TIME, nullable=False),
        _of_pool("agent_pool_authorities"),
        sa.PrimaryKeyConstraint("pool_id", name=op.f("pk_agent_pool_authorities")),
    )
    op.create_table(
        "agent_pool_tokens",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("pool_id", sa.String(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.Column("hash_key", sa.String(), nullable=True),
        sa.Column("description", sa.String(), nullable=False),
        sa.Column("uses", sa.Integer(), nullable=False),
        sa.Column("uses_left", sa.Integer(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("created_by_id", sa.String(), nullable=True),
        sa.Column("expires_at", TIME, nullable=False),
        sa.Column("last_used_at", TIME, nullable=True),
        _of_pool("agent_pool_tokens"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_agent_pool_tokens")),
        sa.UniqueConstraint("hash", name=op.f("uq_agent_pool_tokens_hash")),
    )
    op.create_index("ix_agent_pool_tokens_pool_id", "agent_pool_tokens", ["pool_id", "created_at"])
    _listeners()


def _listeners() -> None:
    op.create_table(
        "listeners",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("pool_id", sa.String(), nullable=False),
        sa.Column("name", BYTEWISE, nullable=False),
        sa.Column("public_key", sa.LargeBinary(), nullable=False),
        sa.Column("key_hash", sa.String(), nullable=False),
        sa.Column("version", sa.String(), nullable=False),
        sa.Column("capacity", sa.Integer(), nullable=False),
        sa.Column("draining", sa.Boolean(), nullable=False),
        sa.Column("ip_address", sa.String(), nullable=True),
        sa.Column("certificate_expires_at", TIME, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("last_seen_at", TIME, nullable=False),
        sa.Column("exited_at", TIME, nullable=True),
        sa.Column("revoked_at", TIME, nullable=True),
        _of_pool("listeners"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_listeners")),
        sa.UniqueConstraint("key_hash", name=op.f("uq_listeners_key_hash")),
    )
    op.create_index("uq_listeners_pool_id_name", "listeners", ["pool_id", "name"], unique=True, sqlite_where=STAYS, postgresql_where=STAYS)
    op.create_index("ix_listeners_exited_at", "listeners", ["exited_at"])
    op.create_table(
        "listener_certificates",
        sa.Column("serial", sa.String(), nullable=False),
        sa.Column("listener_id", sa.String(), nullable=False),
        sa.Column("issued_at", TIME, nullable=False),
        sa.Column("expires_at", TIME, nullable=False),
        _of_listener("listener_certificates"),
        sa.PrimaryKeyConstraint("serial", name=op.f("pk_listener_certificates")),
    )
    op.create_index("ix_listener_certificates_listener_id", "listener_certificates", ["listener_id"])
    op.create_table(
        "listener_nonces",
        sa.Column("listener_id", sa.String(), nullable=False),
        sa.Column("nonce", sa.String(), nullable=False),
        sa.Column("expires_at", TIME, nullable=False),
        _of_listener("listener_nonces"),
        sa.PrimaryKeyConstraint("listener_id", "nonce", name=op.f("pk_listener_nonces")),
    )
    op.create_index("ix_listener_nonces_expires_at", "listener_nonces", ["expires_at"])


def _of_pool(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["pool_id"], ["agent_pools.id"], name=op.f(f"fk_{table}_pool_id"), ondelete="CASCADE")


def _of_listener(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["listener_id"], ["listeners.id"], name=op.f(f"fk_{table}_listener_id"), ondelete="CASCADE")
