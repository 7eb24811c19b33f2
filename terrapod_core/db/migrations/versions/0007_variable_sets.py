"""Variable sets, and what they are assigned to"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

BYTEWISE = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    """Variable sets, and what they are assigned to"""
    op.create_table(
        "variable_sets",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("name", BYTEWISE, nullable=False),
        sa.Column("description", sa.String(), nullable=False),
        sa.Column("is_global", sa.Boolean(), nullable=False),
        sa.Column("priority", sa.Boolean(), nullable=False),
        sa.Column("unadmitted_workspaces", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_variable_sets")),
        sa.UniqueConstraint("name", name=op.f("uq_variable_sets_name")),
    )
    for kind in ("workspace", "project"):
        table = f"variable_set_{kind}s"
        op.create_table(
            table,
            sa.Column("varset_id", sa.String(), nullable=False),
            sa.Column(f"{kind}_id", sa.String(), nullable=False),
            sa.ForeignKeyConstraint(["varset_id"], ["variable_sets.id"], name=op.f(f"fk_{table}_varset_id"), ondelete="CASCADE"),
            sa.ForeignKeyConstraint([f"{kind}_id"], [f"{kind}s.id"], name=op.f(f"fk_{table}_{kind}_id"), ondelete="CASCADE"),
            sa.PrimaryKeyConstraint("varset_id", f"{kind}_id", name=op.f(f"pk_{table}")),
        )
        with op.batch_alter_table(table, schema=None) as batch_op:
            batch_op.create_index(f"ix_{table}_{kind}_id", [f"{kind}_id"], unique=False)
    with op.batch_alter_table("variables", schema=None) as batch_op:
        batch_op.alter_column("workspace_id", existing_type=sa.String(), nullable=True)
        batch_op.add_column(sa.Column("varset_id", sa.String(), nullable=True))
        batch_op.create_foreign_key(op.f("fk_variables_varset_id"), "variable_sets", ["varset_id"], ["id"], ondelete="CASCADE")
        batch_op.create_check_constraint(op.f("ck_variables_one_holder"), "(workspace_id IS NULL) <> (varset_id IS NULL)")
        batch_op.create_index("uq_variables_varset_id_category_key", ["varset_id", "category", "key"], unique=True)
