"""Roles and assignments as they are shown, and what this room asks of the one that knows users."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Protocol

from sqlalchemy.orm import Session

from terrapod_core.authz import EVERYONE, EVERYONE_LABEL, PlatformRole, Role
from terrapod_core.authz.matching import ANY
from terrapod_core.db import UnitOfWork


@dataclass(frozen=True)
class RoleView:
    """A role, built-in or custom."""

    name: str
    description: str | None
    workspace_permission: str
    registry_permission: str | None
    """`None` takes the level on workspaces, where `plan` counts as `read`."""
    pool_permission: str
    built_in: bool = True
    allow_labels: Mapping[str, Any] = field(default_factory=dict)
    allow_names: Sequence[str] = ()
    deny_labels: Mapping[str, Any] = field(default_factory=dict)
    deny_names: Sequence[str] = ()
    created_at: datetime | None = None
    """`None` for a built-in one, which was always there."""
    updated_at: datetime | None = None

    @classmethod
    def of(cls, role: Role) -> RoleView:
        """A custom one."""
        return cls(
            name=role.name,
            description=role.description,
            workspace_permission=role.workspace_permission,
            registry_permission=role.registry_permission,
            pool_permission=role.pool_permission,
            built_in=False,
            allow_labels=role.allow_labels,
            allow_names=role.allow_names,
            deny_labels=role.deny_labels,
            deny_names=role.deny_names,
            created_at=role.created_at,
            updated_at=role.updated_at,
        )


BUILT_IN_ROLES: Final = (
    RoleView(PlatformRole.ADMIN.value, "May do everything, whatever other roles deny.", "admin", "admin", "admin", allow_names=(ANY,)),
    RoleView(PlatformRole.AUDIT.value, "May read everything, whatever other roles deny.", "read", "read", "read", allow_names=(ANY,)),
    RoleView(
        EVERYONE.name,
        "Held by everybody who is signed in: may read what its owner labelled access=everyone, unless another role of theirs denies it.",
        "read",
        "read",
        "read",
        allow_labels=dict((EVERYONE_LABEL,)),
    ),
)
"""In the order of the list."""


class Person(Protocol):
    """A user, as far as assignments go."""

    @property
    def id(self) -> str: ...
    @property
    def provider(self) -> str: ...
    @property
    def email(self) -> str: ...
    @property
    def email_key(self) -> str: ...
    @property
    def email_verified(self) -> bool: ...


class People(Protocol):
    """What this room asks about users. Rooms of one line do not know each other: `app` hands it over."""

    def providers(self, session: Session) -> frozenset[str]:
        """Names of the providers that users have or may have."""
        ...

    def with_address(self, session: Session, provider: str | None, email_key: str) -> Sequence[Person]:
        """The users of a provider, or of any, who have this address now, verified or not, by id."""
        ...

    def by_id(self, session: Session, user_ids: Sequence[str]) -> Mapping[str, Person]:
        """Those of the users who are there."""
        ...

    async def keep_an_admin(self, uow: UnitOfWork, user_id: str) -> None:
        """Raise `Conflict` when nobody who can sign in would be platform admin without this user; hold that until the commit."""
        ...

    def forget(self) -> None:
        """Resolve everybody's roles anew at their next request to this process."""
        ...


@dataclass(frozen=True)
class AssignmentView:
    """The roles of one person: of a user, or of whoever first shows the address verified."""

    provider: str
    email: str
    email_key: str
    roles: tuple[str, ...]
    """By name."""
    user_id: str | None = None
    """`None` as long as nobody is known by the address."""
    created_at: datetime | None = None
    """When the first of the roles was given; `None` without any."""

    @property
    def id(self) -> str:
        """Provider and address; neither a provider's name nor anything before it holds a colon."""
        return f"{self.provider}:{self.email_key}"

    @property
    def bound(self) -> bool:
        """Whether it is a user's already."""
        return self.user_id is not None
