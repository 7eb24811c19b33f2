"""Events are kept for a while, in one order, for those who watch"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Events are kept for a while, in one order, for those who watch"""
    _number_the_outbox()
    op.create_table(
        "told_events",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("event", sa.String(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("workspace_id", sa.String(), nullable=False),
        sa.Column("happened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("told_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_told_events")),
    )
    with op.batch_alter_table("told_events", schema=None) as batch_op:
        batch_op.create_index("ix_told_events_workspace_id", ["workspace_id", "id"], unique=False)
        batch_op.create_index("ix_told_events_told_at", ["told_at"], unique=False)
    head = op.create_table(
        "event_head",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.Column("swept", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_event_head")),
    )
    op.bulk_insert(head, [{"id": 1, "last": 0, "swept": 0}])


def _number_the_outbox() -> None:
    """Make the table anew with a number as its key; what waits in it (as a rule, nothing) keeps its order."""
    kept = [sa.column("id"), sa.column("event"), sa.column("payload"), sa.column("created_at", sa.DateTime(timezone=True))]
    before = sa.table("outbox", *kept)
    rows = op.get_bind().execute(sa.select(before).order_by(before.c.created_at, before.c.id)).mappings().all()
    op.drop_table("outbox")
    outbox = op.create_table(
        "outbox",
        sa.Column("number", NUMBER, nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("event", sa.String(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_outbox")),
        sa.UniqueConstraint("id", name=op.f("uq_outbox_id")),
    )
    for row in rows:
        op.get_bind().execute(outbox.insert().values(dict(row)))
