"""The one who asks."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from terrapod_core.authz.levels import Level, Permission, PlatformRole
from terrapod_core.authz.rules import NO_ROLES, RoleSet


class ActorKind(StrEnum):
    """What sort of party an actor is."""

    USER = "user"
    PHASE = "phase"
    LISTENER = "listener"
    SYSTEM = "system"


@dataclass(frozen=True)
class Scope:
    """What a token is narrowed to, whatever its user may."""

    ceiling: Level = Level.ADMIN
    """The highest level it gives on anything."""
    workspace_ids: frozenset[str] | None = None
    """The workspaces it is for; `None` for all. With a list it gives nothing on any other kind of thing."""


ENGINE_MAY: Final = frozenset(
    {Permission.WORKSPACE_READ, Permission.STATE_READ, Permission.STATE_DOWNLOAD, Permission.OUTPUT_READ_SENSITIVE}
)
"""What the engine of a run may do to a workspace whose state it may read. It has no level: a level would give more."""


@dataclass(frozen=True)
class EngineRights:
    """What terraform itself may read while a run's phase goes on."""

    workspace_id: str
    """The run's own workspace."""
    sharing_ids: frozenset[str] = frozenset()
    """The workspaces that name it among those they share their state with."""
    reads_shared_with_all: bool = False
    """Whether it also reads of those that share with everybody; they may be many, and say it themselves."""
    answering: tuple[Actor, ...] = ()
    """Those who answer for what the run executes: it reads of the registry what each of them may read, and nothing without any."""


@dataclass(frozen=True)
class Actor:
    """A party with rights, resolved once per request.

    Everything a decision needs travels in here, so that the gate is a pure function and can be asked inside a query.
    """

    kind: ActorKind
    id: str
    """The user's id; for a phase, the id of its plan or apply; for a listener, its own; for the system, `system`."""
    name: str
    """What people call it: the user name, in audit entries and lock messages."""
    email: str | None = None
    platform: frozenset[PlatformRole] = field(default_factory=frozenset)
    """The platform roles of the user, also when a token narrows them: ask `is_platform_admin`, or the gate."""
    token_id: str | None = None
    """The API token that was shown, if it was one."""
    session_id: str | None = None
    """The session that was shown, if it was one."""
    roles: RoleSet = field(default=NO_ROLES, repr=False)
    scope: Scope | None = None
    """What the token that was shown is narrowed to; `None` gives all that the user may."""
    via: str | None = None
    """The plugin that acts in their name; `None` when they act themselves."""
    engine: EngineRights | None = field(default=None, repr=False)
    """Set when this is terraform itself, within a run; then these rights are all it has."""

    @property
    def user_id(self) -> str | None:
        """The user's id, or `None` when this is no user."""
        return self.id if self.kind is ActorKind.USER else None

    @property
    def rights(self) -> tuple[object, ...]:
        """All that decisions are made from, beside who it is: equal as long as it may do the same."""
        return self.platform, self.roles, self.scope, self.engine

    @property
    def is_platform_admin(self) -> bool:
        """Whether it may do everything; a narrowed token may not, whoever made it."""
        if self.kind is not ActorKind.USER:
            return self.kind is ActorKind.SYSTEM
        return PlatformRole.ADMIN in self.platform and self.scope is None

    @property
    def reads_everything(self) -> bool:
        """Whether it may see everything: platform admins and auditors, unless a token is narrowed to some workspaces."""
        if self.kind is not ActorKind.USER:
            return self.kind is ActorKind.SYSTEM
        everywhere = self.scope is None or (self.scope.workspace_ids is None and self.scope.ceiling >= Level.READ)
        return everywhere and bool(self.platform)


SYSTEM: Final = Actor(ActorKind.SYSTEM, "system", "Terrapod")
"""The server itself, in background work."""
