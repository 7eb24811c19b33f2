"""Who may do what to which thing: actors, levels, roles, and the one gate."""

from __future__ import annotations

from terrapod_core.authz.actor import ENGINE_MAY, SYSTEM, Actor, ActorKind, EngineRights, Scope
from terrapod_core.authz.gate import Authorizer, Guard, Guarded
from terrapod_core.authz.holding import BUILT_IN, Held, held_by
from terrapod_core.authz.levels import NEEDS, GuardKind, Level, Permission, PlatformRole
from terrapod_core.authz.matching import LabelColumns, Selector
from terrapod_core.authz.models import BYTEWISE, ClaimedRole, ReservedName, Role, RoleAssignment
from terrapod_core.authz.rules import EVERYONE, EVERYONE_LABEL, NO_ROLES, RoleSet, Rule, role_set

__all__ = [
    "BUILT_IN",
    "BYTEWISE",
    "ENGINE_MAY",
    "EVERYONE",
    "EVERYONE_LABEL",
    "NEEDS",
    "NO_ROLES",
    "SYSTEM",
    "Actor",
    "ActorKind",
    "Authorizer",
    "ClaimedRole",
    "EngineRights",
    "Guard",
    "GuardKind",
    "Guarded",
    "Held",
    "LabelColumns",
    "Level",
    "Permission",
    "PlatformRole",
    "ReservedName",
    "Role",
    "RoleAssignment",
    "RoleSet",
    "Rule",
    "Scope",
    "Selector",
    "held_by",
    "role_set",
]
