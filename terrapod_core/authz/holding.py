"""Which roles a user holds now: assigned ones, and those that the last sign-in brought."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import literal, select, union
from sqlalchemy.orm import Session

from terrapod_core.authz.levels import PlatformRole
from terrapod_core.authz.models import ClaimedRole, Role, RoleAssignment
from terrapod_core.authz.rules import NO_ROLES, RoleSet, role_set


@dataclass(frozen=True)
class Held:
    """What somebody may, before anybody asks what for."""

    platform: frozenset[PlatformRole] = frozenset()
    roles: RoleSet = NO_ROLES


def held_by(session: Session, user_id: str, *, claims_count: bool) -> Held:
    """The roles of a user, in one query; `claims_count` is false when the sign-in that brought the claimed ones is too old."""
    names = select(RoleAssignment.role.label("name")).where(RoleAssignment.user_id == user_id)
    claimed = select(ClaimedRole.role.label("name")).where(ClaimedRole.user_id == user_id, literal(claims_count))
    every = union(names, claimed).subquery()
    rows = session.execute(select(every.c.name, Role).outerjoin(Role, Role.name == every.c.name)).all()
    if not rows:
        return Held()
    platform = frozenset(PlatformRole(name) for name, _ in rows if name in BUILT_IN)
    return Held(platform, role_set(role.rule() for _, role in rows if role is not None))


BUILT_IN = frozenset(role.value for role in PlatformRole)
"""Names of roles over the whole installation; no custom role has one of them, nor `everyone`."""
