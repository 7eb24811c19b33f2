"""Tables: variables, the sets that hold some of them, and what the sets are assigned to."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Final

from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from terrapod_core.authz import BYTEWISE
from terrapod_core.db import Base, Sealed
from terrapod_core.secrets import SEALED

COLUMN: Final = "variables.value"
"""What the sealed values authenticate as their place; it never changes."""


class Category(StrEnum):
    """Two separate spaces of names."""

    TERRAFORM = "terraform"
    ENV = "env"


class Variable(Base):
    """One variable, of a workspace or of a set. Every value is sealed, sensitive or not: what is a secret is not always marked as one."""

    __tablename__ = "variables"
    __table_args__ = (
        Index("uq_variables_workspace_id_category_key", "workspace_id", "category", "key", unique=True),
        Index("uq_variables_varset_id_category_key", "varset_id", "category", "key", unique=True),
        CheckConstraint("(workspace_id IS NULL) <> (varset_id IS NULL)", name="one_holder"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    workspace_id: Mapped[str | None] = mapped_column(ForeignKey("workspaces.id", ondelete="CASCADE"))
    varset_id: Mapped[str | None] = mapped_column(ForeignKey("variable_sets.id", ondelete="CASCADE"))
    category: Mapped[str]
    key: Mapped[str] = mapped_column(BYTEWISE)
    value_sealed: Mapped[bytes] = mapped_column(Sealed)
    hcl: Mapped[bool]
    sensitive: Mapped[bool]
    description: Mapped[str | None]
    version_id: Mapped[str]
    """Another one after every write, so that a client sees a sensitive value change without seeing it."""
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


SEALED.add(Variable, "value_sealed", COLUMN)


class VariableSet(Base):
    """Variables that several workspaces share. A global one reaches all of them and is assigned to none."""

    __tablename__ = "variable_sets"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(BYTEWISE, unique=True)
    description: Mapped[str]
    is_global: Mapped[bool]
    priority: Mapped[bool]
    """Whether it beats what workspaces and runs say."""
    unadmitted_workspaces: Mapped[bool]
    """Whether it reaches, where it is shared with everybody, also workspaces that no platform admin has admitted."""
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class AssignedWorkspace(Base):
    """A set that one workspace gets."""

    __tablename__ = "variable_set_workspaces"
    __table_args__ = (Index("ix_variable_set_workspaces_workspace_id", "workspace_id"),)

    varset_id: Mapped[str] = mapped_column(ForeignKey("variable_sets.id", ondelete="CASCADE"), primary_key=True)
    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspaces.id", ondelete="CASCADE"), primary_key=True)


class AssignedProject(Base):
    """A set that all workspaces of a project get."""

    __tablename__ = "variable_set_projects"
    __table_args__ = (Index("ix_variable_set_projects_project_id", "project_id"),)

    varset_id: Mapped[str] = mapped_column(ForeignKey("variable_sets.id", ondelete="CASCADE"), primary_key=True)
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"), primary_key=True)
