"""The one gate. Everything that reads or changes a thing asks here first."""

from __future__ import annotations

from typing import Any, Protocol, TypeVarTuple

from sqlalchemy import ColumnElement, Select, false

from terrapod_core.authz.actor import Actor
from terrapod_core.authz.levels import NEEDS, Level, Permission, PlatformRole
from terrapod_core.errors import Forbidden, NotFound

Columns = TypeVarTuple("Columns")


class Guarded(Protocol):
    """A thing with an owner. Rows that belong to another (a run, a variable) are judged by that other."""

    @property
    def owner_id(self) -> str | None:
        """The id of the user who owns it; `None` when nobody does."""
        ...


class Owned(Protocol):
    """A mapped class whose rows are `Guarded`."""

    owner_id: Any


class Authorizer:
    """Decides by ownership and platform role. Pure: no clock, no database, so it can be asked anywhere."""

    def level(self, actor: Actor, on: Guarded) -> Level:
        """The highest level the actor has on the thing: platform admin, else owner, else platform audit, else none."""
        if actor.is_platform_admin or (actor.user_id is not None and on.owner_id == actor.user_id):
            return Level.ADMIN
        if PlatformRole.AUDIT in actor.platform:
            return Level.READ
        return Level.NONE

    def allows(self, actor: Actor, permission: Permission, on: Guarded) -> bool:
        """Whether the actor may."""
        return self.level(actor, on) >= NEEDS[permission]

    def require(self, actor: Actor, permission: Permission, on: Guarded, *, noun: str = "workspace") -> None:
        """Pass or raise: `NotFound` when the actor may not even read the thing, `Forbidden` when it may not do this."""
        level = self.level(actor, on)
        if level >= NEEDS[permission]:
            return
        if level < Level.READ:
            hidden = missing(noun)
            hidden.refusal = True
            raise hidden
        needed = NEEDS[permission].name.lower()
        raise Forbidden(f"{permission} needs the level {needed} on this {noun}; you have {level.name.lower()}", code="level_too_low")

    def require_platform(self, actor: Actor, role: PlatformRole, *, to: str) -> None:
        """Pass when the actor holds the platform role (an admin holds all); else `Forbidden`, saying what `to` do."""
        if not (actor.is_platform_admin or role in actor.platform):
            raise Forbidden(f"only a platform {role} may {to}", code="platform_role_needed")

    def visible(self, query: Select[*Columns], actor: Actor, owner: ColumnElement[Any] | Any) -> Select[*Columns]:
        """Narrow a query to what the actor may read; `owner` is the column that holds the owner's id. Agrees with `allows`."""
        if actor.is_platform_admin or PlatformRole.AUDIT in actor.platform:
            return query
        return query.where(owner == actor.user_id) if actor.user_id is not None else query.where(false())


def missing(noun: str) -> NotFound:
    """One sentence for absent and for invisible, so that asking tells nothing."""
    return NotFound(f"there is no such {noun}, or you may not see it")
