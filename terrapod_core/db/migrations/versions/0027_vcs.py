"""Connections to forges, and what comes in from them"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Connections to forges, and what comes in from them"""
    op.create_table(
        "vcs_connections",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("name", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False),
        sa.Column("provider", sa.String(), nullable=False),
        sa.Column("service_provider", sa.String(), nullable=True),
        sa.Column("base_url", sa.String(), nullable=False),
        sa.Column("values", sa.Text(), nullable=False),
        sa.Column("secrets", sa.LargeBinary(), nullable=False),
        sa.Column("webhook_secret", sa.LargeBinary(), nullable=False),
        sa.Column("repositories", sa.Text(), nullable=False),
        sa.Column("roles", sa.Text(), nullable=False),
        sa.Column("project_ids", sa.Text(), nullable=False),
        sa.Column("account", sa.String(), nullable=True),
        sa.Column("installation", sa.Text(), nullable=True),
        sa.Column("checked_at", TIME, nullable=True),
        sa.Column("trouble", sa.String(), nullable=True),
        sa.Column("trouble_since", TIME, nullable=True),
        sa.Column("rests_until", TIME, nullable=True),
        sa.Column("created_by_id", sa.String(), nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_vcs_connections")),
        sa.UniqueConstraint("name", name=op.f("uq_vcs_connections_name")),
    )
    op.create_table(
        "vcs_pull_comments",
        sa.Column("repository_id", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("comment_id", sa.String(), nullable=True),
        sa.Column("digest", sa.String(), nullable=True),
        sa.Column("busy_until", TIME, nullable=True),
        sa.PrimaryKeyConstraint("repository_id", "number", name=op.f("pk_vcs_pull_comments")),
    )
    op.create_table(
        "vcs_repositories",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("connection_id", sa.String(), nullable=False),
        sa.Column("path", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False),
        sa.Column("default_branch", sa.String(), nullable=False),
        sa.Column("http_url", sa.String(), nullable=False),
        sa.Column("clone_url", sa.String(), nullable=False),
        sa.Column("refs_validator", sa.String(), nullable=True),
        sa.Column("pulls_validator", sa.String(), nullable=True),
        sa.Column("wanted", sa.String(), nullable=False),
        sa.Column("next_poll_at", TIME, nullable=True),
        sa.Column("claimed_until", TIME, nullable=True),
        sa.Column("asked_at", TIME, nullable=True),
        sa.Column("heard_at", TIME, nullable=True),
        sa.Column("polled_at", TIME, nullable=True),
        sa.Column("changed_at", TIME, nullable=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("trouble_code", sa.String(), nullable=True),
        sa.Column("trouble", sa.String(), nullable=True),
        sa.Column("trouble_since", TIME, nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["connection_id"], ["vcs_connections.id"], name=op.f("fk_vcs_repositories_connection_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_vcs_repositories")),
    )
    with op.batch_alter_table("vcs_repositories", schema=None) as batch_op:
        batch_op.create_index(
            "ix_vcs_repositories_due",
            ["next_poll_at"],
            unique=False,
            sqlite_where=sa.text("next_poll_at IS NOT NULL"),
            postgresql_where=sa.text("next_poll_at IS NOT NULL"),
        )
        batch_op.create_index("uq_vcs_repositories_path", ["connection_id", "path"], unique=True)

    op.create_table(
        "vcs_changes",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("workspace_id", sa.String(), nullable=False),
        sa.Column("repository_id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("ref", sa.String(), nullable=False),
        sa.Column("sha", sa.String(), nullable=False),
        sa.Column("before", sa.String(), nullable=True),
        sa.Column("number", sa.Integer(), nullable=True),
        sa.Column("about", sa.Text(), nullable=False),
        sa.Column("is_fork", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("first", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("open", sa.Boolean(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("approved_by_id", sa.String(), nullable=True),
        sa.Column("approved_at", TIME, nullable=True),
        sa.Column("configuration_version_id", sa.String(), nullable=True),
        sa.Column("run_id", sa.String(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_try_at", TIME, nullable=True),
        sa.Column("told", sa.String(), nullable=True),
        sa.Column("tell_at", TIME, nullable=True),
        sa.Column("telling_until", TIME, nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspaces.id"], name=op.f("fk_vcs_changes_workspace_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_vcs_changes")),
    )
    with op.batch_alter_table("vcs_changes", schema=None) as batch_op:
        batch_op.create_index(
            "ix_vcs_changes_due",
            ["next_try_at"],
            unique=False,
            sqlite_where=sa.text("next_try_at IS NOT NULL"),
            postgresql_where=sa.text("next_try_at IS NOT NULL"),
        )
        batch_op.create_index("ix_vcs_changes_listed", ["workspace_id", "created_at", "id"], unique=False)
        batch_op.create_index("ix_vcs_changes_pull", ["repository_id", "number"], unique=False)
        batch_op.create_index("ix_vcs_changes_run_id", ["run_id"], unique=False)
        batch_op.create_index("ix_vcs_changes_sha", ["sha"], unique=False)
        batch_op.create_index("ix_vcs_changes_updated_at", ["updated_at"], unique=False)
        batch_op.create_index(
            "ix_vcs_changes_untold",
            ["tell_at"],
            unique=False,
            sqlite_where=sa.text("tell_at IS NOT NULL"),
            postgresql_where=sa.text("tell_at IS NOT NULL"),
        )
        batch_op.create_index("uq_vcs_changes_commit", ["workspace_id", "kind", "ref", "sha"], unique=True)

    op.create_table(
        "vcs_followings",
        sa.Column("workspace_id", sa.String(), nullable=False),
        sa.Column("repository_id", sa.String(), nullable=False),
        sa.Column("branch", sa.String(), nullable=False),
        sa.Column("sha", sa.String(), nullable=True),
        sa.Column("done_sha", sa.String(), nullable=True),
        sa.Column("tags", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspaces.id"], name=op.f("fk_vcs_followings_workspace_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("workspace_id", name=op.f("pk_vcs_followings")),
    )
    with op.batch_alter_table("configuration_versions", schema=None) as batch_op:
        batch_op.add_column(sa.Column("ingress", sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("of_fork", sa.Boolean(), server_default=sa.false(), nullable=False))

    with op.batch_alter_table("runs", schema=None) as batch_op:
        batch_op.add_column(sa.Column("of_fork", sa.Boolean(), server_default=sa.false(), nullable=False))

    with op.batch_alter_table("workspaces", schema=None) as batch_op:
        batch_op.add_column(sa.Column("vcs_repository_id", sa.String(), nullable=True))
        batch_op.add_column(sa.Column("vcs_link", sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("vcs_branch", sa.String(), nullable=True))
        batch_op.add_column(sa.Column("vcs_tags_regex", sa.String(), nullable=True))
        batch_op.add_column(sa.Column("vcs_linked_by_id", sa.String(), nullable=True))
        batch_op.add_column(sa.Column("vcs_sparse_fetch", sa.Boolean(), server_default=sa.false(), nullable=False))
        batch_op.add_column(sa.Column("fork_pull_requests", sa.String(), server_default="ignore", nullable=False))
        batch_op.add_column(sa.Column("trigger_prefixes", sa.Text(), server_default="[]", nullable=False))
        batch_op.add_column(sa.Column("trigger_patterns", sa.Text(), server_default="[]", nullable=False))
        batch_op.create_index(
            "ix_workspaces_vcs_repository_id",
            ["vcs_repository_id"],
            unique=False,
            sqlite_where=sa.text("vcs_repository_id IS NOT NULL"),
            postgresql_where=sa.text("vcs_repository_id IS NOT NULL"),
        )
        batch_op.create_foreign_key(
            batch_op.f("fk_workspaces_vcs_repository_id"), "vcs_repositories", ["vcs_repository_id"], ["id"], ondelete="SET NULL"
        )
