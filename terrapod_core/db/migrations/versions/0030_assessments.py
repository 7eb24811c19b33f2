"""What assessments found, and each workspace's newest"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
ASSESSING = sa.text("trigger_reason NOT IN ('manual', 'retry', 'vcs')")


def upgrade() -> None:
    """What assessments found, and each workspace's newest"""
    with op.batch_alter_table("workspaces", schema=None) as batch_op:
        batch_op.add_column(sa.Column("current_assessment_result_id", sa.String(), nullable=True))
        batch_op.add_column(sa.Column("last_assessment_at", TIME, nullable=True))

    with op.batch_alter_table("runs", schema=None) as batch_op:
        batch_op.create_index("ix_runs_assessing", ["workspace_id"], unique=False, sqlite_where=ASSESSING, postgresql_where=ASSESSING)

    op.create_table(
        "assessment_results",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("workspace_id", sa.String(), nullable=False),
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("plan_id", sa.String(), nullable=False),
        sa.Column("succeeded", sa.Boolean(), nullable=False),
        sa.Column("error_message", sa.String(), nullable=True),
        sa.Column("drifted", sa.Boolean(), nullable=False),
        sa.Column("resources_drifted", sa.Integer(), nullable=True),
        sa.Column("resources_undrifted", sa.Integer(), nullable=True),
        sa.Column("checks_passed", sa.Integer(), nullable=True),
        sa.Column("checks_failed", sa.Integer(), nullable=True),
        sa.Column("checks_errored", sa.Integer(), nullable=True),
        sa.Column("checks_unknown", sa.Integer(), nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_assessment_results_run_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspaces.id"], name=op.f("fk_assessment_results_workspace_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_assessment_results")),
    )
    with op.batch_alter_table("assessment_results", schema=None) as batch_op:
        batch_op.create_index("ix_assessment_results_workspace", ["workspace_id", "created_at", "id"], unique=False)
        batch_op.create_index("uq_assessment_results_run_id", ["run_id"], unique=True)
