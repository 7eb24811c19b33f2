"""What alembic runs: the connection comes from `db.migrate`, which has begun the transaction."""

from __future__ import annotations

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    version_table=context.config.attributes["version_table"],
    target_metadata=context.config.attributes.get("metadata"),
    # SQLite changes a column by copying its table.
    render_as_batch=True,
    transactional_ddl=True,
)
context.run_migrations()
