"""Tables of a plugin's own, kept by alembic beside the core's and apart from them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy.orm import DeclarativeBase


@dataclass(frozen=True)
class Migrations:
    """Where a plugin's migrations are. They run after the core's, one plugin after the other, by name."""

    package: str
    """Importable package whose modules are alembic revisions with `upgrade()`: `terrapod_sync.migrations`."""
    version_table: str
    """Where alembic notes how far they are; must be the plugin's alone: `sync_migrations`."""
    base: type[DeclarativeBase] | None = None
    """Of the models of these tables: `context.tables` knows what it declares and nothing else. `None` for a plugin that has no models."""

    def __post_init__(self) -> None:
        if not all(part.isidentifier() for part in self.package.split(".")):
            raise ValueError(f"{self.package!r} is no package name; give an importable one, as terrapod_sync.migrations")
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,62}", self.version_table) or self.version_table == "alembic_version":
            raise ValueError(
                f"{self.version_table!r} cannot be a version table; use lower-case letters, digits and _, at most 63, "
                "and not alembic_version, which is the core's"
            )
