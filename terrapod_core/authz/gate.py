"""The one gate. Everything that reads or changes a thing asks here first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, TypeVarTuple, runtime_checkable

from sqlalchemy import ColumnElement, Select, and_, false, not_, or_

from terrapod_core.authz.actor import ENGINE_MAY, Actor, ActorKind, EngineRights
from terrapod_core.authz.levels import NEEDS, GuardKind, Level, Permission, PlatformRole
from terrapod_core.authz.matching import Column, LabelColumns, Labels
from terrapod_core.errors import Forbidden, NotFound

Columns = TypeVarTuple("Columns")


class Guarded(Protocol):
    """A thing with an owner, and for most kinds a name and labels.

    Rows that belong to another (a run, a variable) are judged by that other.
    """

    @property
    def guarded_as(self) -> GuardKind:
        """Which levels of a role count."""
        ...

    @property
    def id(self) -> str:
        """What a narrowed token names it by."""
        ...

    @property
    def owner_id(self) -> str | None:
        """The id of the user who owns it; `None` when nobody does."""
        ...

    @property
    def name(self) -> str:
        """What roles allow and deny it by."""
        ...

    @property
    def labels(self) -> Labels:
        """Likewise."""
        ...


@runtime_checkable
class SharesState(Protocol):
    """A thing whose state the runs of others may read."""

    @property
    def global_remote_state(self) -> bool:
        """Of all others."""
        ...


@dataclass(frozen=True)
class Guard:
    """The columns of a kind of `Guarded`; declared beside the model."""

    kind: GuardKind
    id: Column
    owner_id: Column | None
    """`None` for a kind that nobody owns."""
    name: Column | None = None
    labels: LabelColumns | None = None
    """Both `None` for `GuardKind.OWNED`, which no role is about."""


class Authorizer:
    """Decides by platform role, ownership and roles. Pure: no clock, no database, so it can be asked anywhere."""

    def level(self, actor: Actor, on: Guarded) -> Level:
        """The highest level the actor has on the thing.

        Platform admin, else owner, else the higher of platform audit and roles; at last what a narrowed token leaves of it.
        A run's engine has none anywhere: what it may is asked of `allows`.
        """
        level = self._before_scope(actor, on)
        if actor.scope is None or level is Level.NONE:
            return level
        named = actor.scope.workspace_ids
        if named is not None and not (on.guarded_as is GuardKind.WORKSPACE and on.id in named):
            return Level.NONE
        return min(level, actor.scope.ceiling)

    def _before_scope(self, actor: Actor, on: Guarded) -> Level:
        if actor.user_id is None:
            return Level.ADMIN if actor.kind is ActorKind.SYSTEM else Level.NONE
        if PlatformRole.ADMIN in actor.platform:
            return Level.ADMIN
        if on.owner_id == actor.user_id:
            return Level.ADMIN
        floor = Level.READ if PlatformRole.AUDIT in actor.platform else Level.NONE
        if on.guarded_as is GuardKind.OWNED:
            return floor
        return max(floor, actor.roles.level(on.guarded_as, on.name, on.labels))

    def allows(self, actor: Actor, permission: Permission, on: Guarded) -> bool:
        """Whether the actor may."""
        if actor.engine is not None:
            if on.guarded_as is GuardKind.REGISTRY:
                return self._engine_reads(actor.engine, permission, on)
            return _engine_may(actor.engine, permission, on)
        return self.level(actor, on) >= NEEDS[permission]

    def _engine_reads(self, rights: EngineRights, permission: Permission, on: Guarded) -> bool:
        """Of the registry: what whoever answers for the run may read. Never more than that, whatever else they may."""
        if permission is not Permission.REGISTRY_READ or not rights.answering:
            return False
        return all(self.allows(each, permission, on) for each in rights.answering)

    def require(self, actor: Actor, permission: Permission, on: Guarded, *, noun: str = "workspace") -> None:
        """Pass or raise: `NotFound` when the actor may not even read the thing, `Forbidden` when it may not do this."""
        if self.allows(actor, permission, on):
            return
        level = self.level(actor, on)
        if level < Level.READ:
            hidden = missing(noun)
            hidden.refusal = True
            raise hidden
        needed = NEEDS[permission].name.lower()
        raise Forbidden(f"{permission} needs the level {needed} on this {noun}; you have {level.name.lower()}", code="level_too_low")

    def require_platform(self, actor: Actor, role: PlatformRole, *, to: str) -> None:
        """Pass when the actor holds the platform role (an admin holds all); else `Forbidden`, saying what `to` do."""
        if actor.is_platform_admin or (role is PlatformRole.AUDIT and actor.reads_everything):
            return
        if actor.scope is not None and actor.platform:
            raise Forbidden(f"this token is narrowed and may not {to}; show one without a scope", code="token_scope")
        raise Forbidden(f"only a platform {role} may {to}", code="platform_role_needed")

    def require_mirrors(self, actor: Actor) -> None:
        """Pass for whoever may take from the mirrors: every user, however narrow the token, and terraform itself within a run.

        What is there is no secret of anybody's; who asks is known, so that it is nobody's way out to the internet.
        """
        if actor.kind is ActorKind.LISTENER:
            raise Forbidden("a listener takes nothing from the mirrors for itself; the engines of its runs do", code="not_for_listeners")

    def require_unscoped(self, actor: Actor, *, to: str) -> None:
        """Pass unless a narrowed token was shown: for what is the user's own and has no level (making things, their account)."""
        if actor.scope is not None:
            raise Forbidden(f"this token is narrowed and may not {to}; show one without a scope", code="token_scope")

    def visible(self, query: Select[*Columns], actor: Actor, guard: Guard, *, at_least: Level = Level.READ) -> Select[*Columns]:
        """Narrow a query to the things on which the actor has this level. Agrees with `level`, on both databases.

        Costs a look at every row of `guard`: where a few rows are wanted by id, load them and ask `allows` for each.
        """
        condition = self._condition(actor, guard, at_least)
        return query if condition is None else query.where(condition)

    def _condition(self, actor: Actor, guard: Guard, at_least: Level) -> ColumnElement[bool] | None:
        """`None` lets everything pass."""
        within = self._within(actor, guard, at_least)
        if actor.user_id is None:
            return within if actor.kind is ActorKind.SYSTEM else false()
        if PlatformRole.ADMIN in actor.platform or (at_least <= Level.READ and PlatformRole.AUDIT in actor.platform):
            return within
        owned = guard.owner_id == actor.user_id if guard.owner_id is not None else false()
        reached = or_(owned, *_by_roles(actor, guard, at_least))
        return reached if within is None else and_(within, reached)

    def _within(self, actor: Actor, guard: Guard, at_least: Level) -> ColumnElement[bool] | None:
        """What a narrowed token leaves."""
        if actor.scope is None:
            return None
        if at_least > actor.scope.ceiling:
            return false()
        named = actor.scope.workspace_ids
        if named is None:
            return None
        return guard.id.in_(sorted(named)) if guard.kind is GuardKind.WORKSPACE else false()


def _by_roles(actor: Actor, guard: Guard, at_least: Level) -> list[ColumnElement[Any]]:
    allowed = actor.roles.allowed(guard.kind, at_least)
    if guard.name is None or guard.labels is None or not allowed:
        return []
    chosen = allowed.where(guard.id, guard.name, guard.labels)
    denied = actor.roles.denied
    return [and_(chosen, not_(denied.where(guard.id, guard.name, guard.labels))) if denied else chosen]


def _engine_may(rights: EngineRights, permission: Permission, on: Guarded) -> bool:
    if permission not in ENGINE_MAY or on.guarded_as is not GuardKind.WORKSPACE:
        return False
    with_all = rights.reads_shared_with_all and isinstance(on, SharesState) and on.global_remote_state
    return with_all or on.id == rights.workspace_id or on.id in rights.sharing_ids


def missing(noun: str) -> NotFound:
    """One sentence for absent and for invisible, so that asking tells nothing."""
    return NotFound(f"there is no such {noun}, or you may not see it")
