"""Modules that are published from tags, and what go-tfe's clients say of connections"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
DUE = sa.text("next_try_at IS NOT NULL")
FOLLOWING = sa.text("vcs_repository_id IS NOT NULL")


def upgrade() -> None:
    """Modules that are published from tags, and what go-tfe's clients say of connections"""
    with op.batch_alter_table("vcs_connections", schema=None) as batch_op:
        batch_op.add_column(sa.Column("organization_scoped", sa.Boolean(), server_default=sa.true(), nullable=False))
        batch_op.add_column(sa.Column("api_url", sa.String(), nullable=True))

    with op.batch_alter_table("registry_modules", schema=None) as batch_op:
        batch_op.add_column(sa.Column("vcs_repository_id", sa.String(), nullable=True))
        batch_op.add_column(sa.Column("vcs_link", sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("vcs_linked_by_id", sa.String(), nullable=True))
        batch_op.add_column(sa.Column("vcs_looked_at", TIME, nullable=True))
        batch_op.add_column(sa.Column("vcs_trouble", sa.Text(), nullable=True))
        batch_op.create_index(
            "ix_registry_modules_vcs_repository_id",
            ["vcs_repository_id"],
            unique=False,
            sqlite_where=FOLLOWING,
            postgresql_where=FOLLOWING,
        )
        batch_op.create_foreign_key(
            batch_op.f("fk_registry_modules_vcs_repository_id"), "vcs_repositories", ["vcs_repository_id"], ["id"], ondelete="SET NULL"
        )

    with op.batch_alter_table("registry_module_versions", schema=None) as batch_op:
        batch_op.add_column(sa.Column("tag", sa.String(), nullable=True))
        batch_op.add_column(sa.Column("commit_sha", sa.String(), nullable=True))

    op.create_table(
        "registry_module_tags",
        sa.Column("module_id", sa.String(), nullable=False),
        sa.Column("tag", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False),
        sa.Column("repository_id", sa.String(), nullable=False),
        sa.Column("sha", sa.String(), nullable=False),
        sa.Column("moved_to", sa.String(), nullable=True),
        sa.Column("version", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False),
        sa.Column("version_order", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("version_id", sa.String(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_try_at", TIME, nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["module_id"], ["registry_modules.id"], name=op.f("fk_registry_module_tags_module_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("module_id", "tag", name=op.f("pk_registry_module_tags")),
    )
    with op.batch_alter_table("registry_module_tags", schema=None) as batch_op:
        batch_op.create_index("ix_registry_module_tags_due", ["next_try_at"], unique=False, sqlite_where=DUE, postgresql_where=DUE)
