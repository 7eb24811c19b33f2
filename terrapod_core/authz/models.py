"""Tables: roles, who holds them, names that stay taken, and how often what is visible has changed."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from terrapod_core.authz.matching import Selector
from terrapod_core.authz.rules import Rule, levels_of
from terrapod_core.db import Base, JSONValue

BYTEWISE = String().with_variant(String(collation="C"), "postgresql")
"""Sorted and compared by bytes on both databases."""


class Role(Base):
    """A custom role."""

    __tablename__ = "roles"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(BYTEWISE, unique=True)
    description: Mapped[str | None]
    workspace_permission: Mapped[str]
    """`read`, `plan`, `write` or `admin`."""
    registry_permission: Mapped[str | None]
    """`read`, `write` or `admin`; `None` takes the workspaces' one, where `plan` counts as `read`."""
    pool_permission: Mapped[str]
    """`read`, `write` or `admin`."""
    allow_labels: Mapped[dict[str, Any]] = mapped_column(JSONValue)
    """Values are texts, or lists of texts of which each will do."""
    allow_names: Mapped[list[str]] = mapped_column(JSONValue)
    deny_labels: Mapped[dict[str, Any]] = mapped_column(JSONValue)
    deny_names: Mapped[list[str]] = mapped_column(JSONValue)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]

    def rule(self) -> Rule:
        """What the gate makes of it."""
        return Rule(
            name=self.name,
            levels=levels_of(self.workspace_permission, self.registry_permission, self.pool_permission),
            allow=Selector.of(self.allow_names, self.allow_labels),
            deny=Selector.of(self.deny_names, self.deny_labels),
        )


class RoleAssignment(Base):
    """One role for one person, named by provider and e-mail address, who may not have signed in yet.

    `user_id` is filled when the person is known: at once for users that are there, else at the first sign-in with the
    address verified. From then on it is that user's, whatever becomes of the address.
    """

    __tablename__ = "role_assignments"
    __table_args__ = (
        UniqueConstraint("provider", "email_key", "role"),
        Index("ix_role_assignments_user_id", "user_id"),
        Index("ix_role_assignments_role", "role"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    provider: Mapped[str]
    email: Mapped[str]
    email_key: Mapped[str]
    role: Mapped[str] = mapped_column(BYTEWISE)
    """The name of a custom role, or `admin` or `audit`."""
    user_id: Mapped[str | None] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    created_at: Mapped[datetime]


class ClaimedRole(Base):
    """A role that the last sign-in brought, by the settings' mapping of groups. Counts for as long as the settings say."""

    __tablename__ = "claimed_roles"

    user_id: Mapped[str] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    role: Mapped[str] = mapped_column(BYTEWISE, primary_key=True)


class ReservedName(Base):
    """A name that something had. Clouds trust names, so only a platform admin gives one away again."""

    __tablename__ = "reserved_names"

    kind: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(BYTEWISE, primary_key=True)
    reserved_at: Mapped[datetime]


class Visibility(Base):
    """A number that grows with every change of what somebody may see of one kind of thing: lists remembered under it stay true."""

    __tablename__ = "visibility"

    kind: Mapped[str] = mapped_column(primary_key=True)
    generation: Mapped[int]
