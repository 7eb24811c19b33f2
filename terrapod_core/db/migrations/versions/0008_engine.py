"""Trust of runs, comments, turns"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Trust of runs, comments, turns"""
    with op.batch_alter_table("workspaces", schema=None) as batch_op:
        batch_op.add_column(sa.Column("untrusted_plans", sa.String(), nullable=False, server_default="with-secrets"))
    with op.batch_alter_table("runs", schema=None) as batch_op:
        # A server of the version before does not write it: what such a server queues is not trusted.
        batch_op.add_column(sa.Column("trusted", sa.Boolean(), nullable=False, server_default=sa.false()))
        batch_op.add_column(sa.Column("input_state_version_id", sa.String(), nullable=True))
        batch_op.create_index("ix_runs_created_by_id", ["created_by_id", "status"], unique=False)
    op.execute(
        "UPDATE runs SET trusted = (SELECT configuration_versions.trusted FROM configuration_versions "
        "WHERE configuration_versions.id = runs.configuration_version_id) "
        "WHERE EXISTS (SELECT 1 FROM configuration_versions WHERE configuration_versions.id = runs.configuration_version_id)"
    )
    with op.batch_alter_table("phases", schema=None) as batch_op:
        batch_op.add_column(sa.Column("launched_at", sa.DateTime(timezone=True), nullable=True))
        batch_op.create_index("ix_phases_launched_at", ["launched_at"], unique=False)
    op.create_table(
        "comments",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("run_event_id", sa.String(), nullable=False),
        sa.Column("body", sa.String(), nullable=False),
        sa.Column("actor_id", sa.String(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_comments_run_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_comments")),
    )
    with op.batch_alter_table("comments", schema=None) as batch_op:
        batch_op.create_index("ix_comments_run", ["run_id", "created_at"], unique=False)
    with op.batch_alter_table("run_events", schema=None) as batch_op:
        batch_op.add_column(sa.Column("comment_id", sa.String(), nullable=True))
