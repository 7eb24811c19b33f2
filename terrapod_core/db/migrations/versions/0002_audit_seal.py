"""Audit entries are sealed"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# What an entry says. It may be added, and given its place in the chain once; after that nothing of it changes.
CONTENT = (
    "id", "at", "actor_kind", "actor_id", "actor_name", "action", "resource_type", "resource_id",
    "outcome", "detail", "request_id", "address",
)  # fmt: skip
APPEND_ONLY = {"audit_segments": "segment", "audit_checkpoints": "seal_no", "audit_archives": "first_seal_no"}
CHANGED = "audit entries are never changed"
DELETED = "audit entries are deleted only after they were archived"


def upgrade() -> None:
    """Audit entries are sealed"""
    _columns()
    _tables()
    if op.get_bind().dialect.name == "postgresql":
        _guard_postgresql()
    else:
        _guard_sqlite()


def _columns() -> None:
    with op.batch_alter_table("audit_entries", schema=None) as batch_op:
        batch_op.add_column(sa.Column("seal_no", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("hash", sa.String(), nullable=True))
        batch_op.drop_index("ix_audit_entries_at")
        batch_op.drop_index("ix_audit_entries_resource")
    _index("uq_audit_entries_seal_no", ["seal_no"], "seal_no IS NOT NULL", unique=True)
    _index("ix_audit_entries_unsealed", ["at", "id", "seal_no"], "seal_no IS NULL")
    _index("ix_audit_entries_at", ["at", "id", "seal_no"], "seal_no IS NOT NULL")
    for name in ("actor_id", "actor_name", "action", "resource_type", "resource_id", "outcome", "request_id", "address"):
        options = {"postgresql_ops": {"action": "text_pattern_ops"}} if name == "action" else {}
        _index(f"ix_audit_entries_{name}", [name, "at", "id", "seal_no"], "seal_no IS NOT NULL", **options)


def _index(name: str, columns: list[str], where: str, **options: Any) -> None:
    op.create_index(name, "audit_entries", columns, sqlite_where=sa.text(where), postgresql_where=sa.text(where), **options)


def _tables() -> None:
    op.create_table(
        "audit_segments",
        sa.Column("segment", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("chain_id", sa.String(), nullable=False),
        sa.Column("format", sa.Integer(), nullable=False),
        sa.Column("first_seal_no", sa.BigInteger(), nullable=False),
        sa.Column("previous_hash", sa.String(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("segment", name=op.f("pk_audit_segments")),
    )
    op.create_table(
        "audit_checkpoints",
        sa.Column("seal_no", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("chain_id", sa.String(), nullable=False),
        sa.Column("segment", sa.Integer(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("key_id", sa.String(), nullable=False),
        sa.Column("public_key", sa.String(), nullable=False),
        sa.Column("signature", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("seal_no", name=op.f("pk_audit_checkpoints")),
    )
    op.create_table(
        "audit_archives",
        sa.Column("first_seal_no", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("last_seal_no", sa.BigInteger(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("previous_hash", sa.String(), nullable=False),
        sa.Column("last_hash", sa.String(), nullable=False),
        sa.Column("object_id", sa.String(), nullable=False),
        sa.Column("object_key", sa.String(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("first_seal_no", name=op.f("pk_audit_archives")),
    )


def _guard_sqlite() -> None:
    same = " AND ".join(f"NEW.{name} IS OLD.{name}" for name in CONTENT)
    # REPLACE, in INSERT and in UPDATE, deletes what is in its way without asking the triggers for deletions.
    taken = "EXISTS (SELECT 1 FROM audit_entries WHERE seal_no = NEW.seal_no)"
    sealing = f"OLD.seal_no IS NULL AND OLD.hash IS NULL AND NEW.seal_no IS NOT NULL AND NEW.hash IS NOT NULL AND {same} AND NOT {taken}"
    archived = "EXISTS (SELECT 1 FROM audit_archives WHERE OLD.seal_no BETWEEN first_seal_no AND last_seal_no)"
    there = "EXISTS (SELECT 1 FROM audit_entries WHERE id = NEW.id OR seal_no = NEW.seal_no)"
    for moment, unless, problem in (
        ("UPDATE", f"({sealing})", CHANGED),
        ("DELETE", archived, DELETED),
        ("INSERT", f"NOT {there}", CHANGED),
    ):
        op.execute(
            f"CREATE TRIGGER audit_entries_{moment.lower()} BEFORE {moment} ON audit_entries WHEN NOT {unless} "
            f"BEGIN SELECT RAISE(ABORT, '{problem}'); END"
        )
    for table, key in APPEND_ONLY.items():
        there = f"WHEN EXISTS (SELECT 1 FROM {table} WHERE {key} = NEW.{key})"  # noqa: S608 - put together from the constants above
        for moment, when in (("UPDATE", ""), ("DELETE", ""), ("INSERT", there)):
            op.execute(
                f"CREATE TRIGGER {table}_{moment.lower()} BEFORE {moment} ON {table} {when} "
                f"BEGIN SELECT RAISE(ABORT, '{table} only grows'); END"
            )


def _guard_postgresql() -> None:
    same = " AND ".join(f"NEW.{name} IS NOT DISTINCT FROM OLD.{name}" for name in CONTENT)
    op.execute(
        f"""
        CREATE FUNCTION audit_entries_guard() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF TG_OP = 'UPDATE' THEN
                IF OLD.seal_no IS NULL AND OLD.hash IS NULL AND NEW.seal_no IS NOT NULL AND NEW.hash IS NOT NULL AND {same} THEN
                    RETURN NEW;
                END IF;
                RAISE EXCEPTION '{CHANGED}';
            END IF;
            IF TG_OP = 'DELETE' AND EXISTS (SELECT 1 FROM audit_archives WHERE OLD.seal_no BETWEEN first_seal_no AND last_seal_no) THEN
                RETURN OLD;
            END IF;
            RAISE EXCEPTION '{DELETED}';
        END $$
        """  # noqa: S608 - put together from the constants above
    )
    op.execute(
        "CREATE TRIGGER audit_entries_guard BEFORE UPDATE OR DELETE ON audit_entries FOR EACH ROW EXECUTE FUNCTION audit_entries_guard()"
    )
    op.execute(
        "CREATE TRIGGER audit_entries_truncate BEFORE TRUNCATE ON audit_entries FOR EACH STATEMENT EXECUTE FUNCTION audit_entries_guard()"
    )
    op.execute(
        """
        CREATE FUNCTION audit_only_grows() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION '% only grows', TG_TABLE_NAME;
        END $$
        """
    )
    for table in APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER {table}_guard BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION audit_only_grows()"
        )
