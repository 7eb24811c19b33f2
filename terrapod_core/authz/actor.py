"""The one who asks."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from terrapod_core.authz.levels import PlatformRole


class ActorKind(StrEnum):
    """What sort of party an actor is."""

    USER = "user"
    PHASE = "phase"
    SYSTEM = "system"


@dataclass(frozen=True)
class Actor:
    """A party with rights, resolved once per request.

    Everything a decision needs travels in here, so that the gate is a pure function and can be asked inside a query.
    """

    kind: ActorKind
    id: str
    """The user's id; for a phase, the id of its plan or apply; for the system, `system`."""
    name: str
    """What people call it: the user name, in audit entries and lock messages."""
    email: str | None = None
    platform: frozenset[PlatformRole] = field(default_factory=frozenset)
    token_id: str | None = None
    """The API token that was shown, if it was one."""
    session_id: str | None = None
    """The session that was shown, if it was one."""

    @property
    def user_id(self) -> str | None:
        """The user's id, or `None` when this is no user."""
        return self.id if self.kind is ActorKind.USER else None

    @property
    def is_platform_admin(self) -> bool:
        """Whether it may do everything."""
        return PlatformRole.ADMIN in self.platform or self.kind is ActorKind.SYSTEM


SYSTEM: Final = Actor(ActorKind.SYSTEM, "system", "Terrapod")
"""The server itself, in background work."""
