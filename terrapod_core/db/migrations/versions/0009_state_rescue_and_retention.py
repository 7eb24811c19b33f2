"""Conditions of workspaces, objects to be removed, and when retention removed logs and plans"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

KEPT_LOG = sa.text("log_removed_at IS NULL AND log_size > 0")
KEPT_PLAN = sa.text("coalesce(plan_file_key, plan_json_key, provider_schemas_key) IS NOT NULL")


def upgrade() -> None:
    """Conditions of workspaces, objects to be removed, and when retention removed logs and plans"""
    op.create_table(
        "discarded_objects",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("discarded_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_discarded_objects")),
    )
    # Archives that a crash left behind: their rows were to forget them when they were removed.
    archived = "FROM configuration_versions WHERE status = 'archived' AND object_key IS NOT NULL"
    op.execute(sa.text(f"INSERT INTO discarded_objects (key, discarded_at) SELECT object_key, created_at {archived}"))
    op.execute(sa.text("UPDATE configuration_versions SET object_key = NULL WHERE status = 'archived'"))
    with op.batch_alter_table("workspaces", schema=None) as batch_op:
        batch_op.add_column(sa.Column("conditions", sa.Text(), nullable=False, server_default="[]"))
    with op.batch_alter_table("phases", schema=None) as batch_op:
        batch_op.add_column(sa.Column("log_removed_at", sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column("plan_removed_at", sa.DateTime(timezone=True), nullable=True))
        batch_op.create_index("ix_phases_old_logs", ["finished_at"], unique=False, sqlite_where=KEPT_LOG, postgresql_where=KEPT_LOG)
        batch_op.create_index("ix_phases_old_plans", ["finished_at"], unique=False, sqlite_where=KEPT_PLAN, postgresql_where=KEPT_PLAN)
