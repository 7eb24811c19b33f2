"""What alembic runs: the connection comes from `db.migrate`, which has begun the transaction."""

from __future__ import annotations

from typing import Any, Literal

from alembic import context
from sqlalchemy.types import TypeDecorator


def plain(kind: str, item: Any, _context: Any) -> str | Literal[False]:
    """Column types as what the database sees, so that a migration needs none of our classes."""
    if kind == "type" and isinstance(item, TypeDecorator):
        return f"sa.{item.impl!r}"
    return False


context.configure(
    connection=context.config.attributes["connection"],
    version_table=context.config.attributes["version_table"],
    target_metadata=context.config.attributes.get("metadata"),
    # SQLite changes a column by copying its table.
    render_as_batch=True,
    render_item=plain,
    transactional_ddl=True,
)
context.run_migrations()
