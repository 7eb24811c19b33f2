"""Roles, and who holds them"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

BYTEWISE = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    """Roles, and who holds them"""
    op.create_table(
        "roles",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("name", BYTEWISE, nullable=False),
        sa.Column("description", sa.String(), nullable=True),
        sa.Column("workspace_permission", sa.String(), nullable=False),
        sa.Column("registry_permission", sa.String(), nullable=True),
        sa.Column("pool_permission", sa.String(), nullable=False),
        sa.Column("allow_labels", sa.Text(), nullable=False),
        sa.Column("allow_names", sa.Text(), nullable=False),
        sa.Column("deny_labels", sa.Text(), nullable=False),
        sa.Column("deny_names", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_roles")),
        sa.UniqueConstraint("name", name=op.f("uq_roles_name")),
    )
    op.create_table(
        "claimed_roles",
        sa.Column("user_id", sa.String(), nullable=False),
        sa.Column("role", BYTEWISE, nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_claimed_roles_user_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("user_id", "role", name=op.f("pk_claimed_roles")),
    )
    op.create_table(
        "role_assignments",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("provider", sa.String(), nullable=False),
        sa.Column("email", sa.String(), nullable=False),
        sa.Column("email_key", sa.String(), nullable=False),
        sa.Column("role", BYTEWISE, nullable=False),
        sa.Column("user_id", sa.String(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_role_assignments_user_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_role_assignments")),
        sa.UniqueConstraint("provider", "email_key", "role", name=op.f("uq_role_assignments_provider_email_key_role")),
    )
    with op.batch_alter_table("role_assignments", schema=None) as batch_op:
        batch_op.create_index("ix_role_assignments_user_id", ["user_id"], unique=False)
        batch_op.create_index("ix_role_assignments_role", ["role"], unique=False)
    # Platform roles were held by users in a table of their own.
    op.execute(
        "INSERT INTO role_assignments (id, provider, email, email_key, role, user_id, created_at) "
        "SELECT held.id, users.provider, users.email, users.email_key, held.role, users.id, held.created_at "
        "FROM platform_role_assignments AS held JOIN users ON users.id = held.user_id"
    )
    op.drop_table("platform_role_assignments")
    visibility = op.create_table(
        "visibility",
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("kind", name=op.f("pk_visibility")),
    )
    op.bulk_insert(visibility, [{"kind": kind, "generation": 1} for kind in ("workspace", "registry", "pool")])
