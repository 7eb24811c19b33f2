"""The table of workspace variables."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Final

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from terrapod_core.db import Base, Sealed
from terrapod_core.secrets import SEALED

COLUMN: Final = "variables.value"
"""What the sealed values authenticate as their place; it never changes."""


class Category(StrEnum):
    """Two separate spaces of names."""

    TERRAFORM = "terraform"
    ENV = "env"


class Variable(Base):
    """One variable of one workspace. Every value is sealed, sensitive or not: what is a secret is not always marked as one."""

    __tablename__ = "variables"
    __table_args__ = (Index("uq_variables_workspace_id_category_key", "workspace_id", "category", "key", unique=True),)

    id: Mapped[str] = mapped_column(primary_key=True)
    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspaces.id", ondelete="CASCADE"))
    category: Mapped[str]
    key: Mapped[str] = mapped_column(String().with_variant(String(collation="C"), "postgresql"))
    value_sealed: Mapped[bytes] = mapped_column(Sealed)
    hcl: Mapped[bool]
    sensitive: Mapped[bool]
    description: Mapped[str | None]
    version_id: Mapped[str]
    """Another one after every write, so that a client sees a sensitive value change without seeing it."""
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


SEALED.add(Variable, "value_sealed", COLUMN)
