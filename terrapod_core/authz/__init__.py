"""Who may do what to which thing: actors, levels, and the one gate."""

from __future__ import annotations

from terrapod_core.authz.actor import SYSTEM, Actor, ActorKind
from terrapod_core.authz.gate import Authorizer, Guarded
from terrapod_core.authz.levels import NEEDS, Level, Permission, PlatformRole
from terrapod_core.authz.models import PlatformRoleAssignment

__all__ = [
    "NEEDS",
    "SYSTEM",
    "Actor",
    "ActorKind",
    "Authorizer",
    "Guarded",
    "Level",
    "Permission",
    "PlatformRole",
    "PlatformRoleAssignment",
]
