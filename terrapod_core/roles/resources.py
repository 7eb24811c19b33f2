"""What roles and assignments look like on the wire."""

from __future__ import annotations

from typing import Final

from terrapod_core.authz import Actor
from terrapod_core.jsonapi import Rendering, Resource, attr, to_one
from terrapod_core.roles.views import AssignmentView, RoleView


def _is_admin(rendering: Rendering) -> bool:
    return isinstance(rendering.actor, Actor) and rendering.actor.is_platform_admin


def _role_permissions(role: RoleView, rendering: Rendering) -> dict[str, bool]:
    may = _is_admin(rendering) and not role.built_in
    return {"can-update": may, "can-destroy": may, "can-assign": _is_admin(rendering) and role.name != "everyone"}


def _assignment_permissions(_assignment: AssignmentView, rendering: Rendering) -> dict[str, bool]:
    may = _is_admin(rendering)
    return {"can-update": may, "can-destroy": may}


ROLE: Final = Resource(
    type="roles",
    attributes=[
        attr("name", writable=True),
        attr("description", writable=True),
        attr("built_in"),
        attr("workspace_permission", writable=True),
        attr("registry_permission", writable=True),
        attr("pool_permission", writable=True),
        attr("allow_labels", writable=True),
        attr("allow_names", writable=True),
        attr("deny_labels", writable=True),
        attr("deny_names", writable=True),
        attr("created_at"),
        attr("updated_at"),
        attr("permissions", from_=_role_permissions),
    ],
    links={"self": "/api/v2/roles/{id}"},
    id_from="name",
)

ROLE_ASSIGNMENT: Final = Resource(
    type="role-assignments",
    attributes=[
        attr("provider_name", writable=True, from_=lambda assignment: assignment.provider),
        attr("email", writable=True),
        attr("roles", writable=True),
        attr("bound"),
        attr("created_at"),
        attr("permissions", from_=_assignment_permissions),
    ],
    relationships=[to_one("user", "users", id_from="user_id")],
)
