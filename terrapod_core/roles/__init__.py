"""Custom roles, and who holds which."""

from __future__ import annotations

from terrapod_core.roles.assignments import Assignments
from terrapod_core.roles.resources import ROLE, ROLE_ASSIGNMENT
from terrapod_core.roles.service import Roles
from terrapod_core.roles.views import AssignmentView, People, Person, RoleView

__all__ = ["ROLE", "ROLE_ASSIGNMENT", "AssignmentView", "Assignments", "People", "Person", "RoleView", "Roles"]
