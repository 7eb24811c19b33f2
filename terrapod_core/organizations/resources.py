"""What organizations and entitlement sets look like on the wire."""

from __future__ import annotations

from typing import Final

from terrapod_core.authz import Actor
from terrapod_core.jsonapi import Includes, Rendering, Resource, attr, to_one
from terrapod_core.organizations.models import ENTITLEMENTS, NAME, UNLIMITED, Organization
from terrapod_core.organizations.service import load


def _permissions(_organization: Organization, rendering: Rendering) -> dict[str, bool]:
    actor = rendering.actor
    admin = isinstance(actor, Actor) and actor.is_platform_admin
    return {
        "can-update": False,
        "can-destroy": False,
        "can-traverse": True,
        "can-create-workspace": True,
        "can-create-project": True,
        "can-create-team": False,
        "can-manage-users": admin,
        "can-manage-varsets": admin,
        "can-read-varsets": True,
        "can-manage-tags": admin,
        "can-update-agent-pools": admin,
        "can-update-oauth": admin,
    }


ORGANIZATION: Final = Resource(
    type="organizations",
    attributes=[
        attr("name"),
        attr("external_id"),
        attr("email", from_=lambda _organization: None),
        attr("default_execution_mode", from_=lambda _organization: "remote"),
        attr("collaborator_auth_policy", from_=lambda _organization: "password"),
        attr("cost_estimation_enabled", from_=lambda _organization: False),
        attr("assessments_enforced", from_=lambda _organization: False),
        attr("allow_force_delete_workspaces", from_=lambda _organization: True),
        attr("permissions", from_=_permissions),
    ],
    relationships=[
        to_one("default_project", "projects", related="/api/v2/projects/{default_project_id}"),
        to_one("entitlement_set", "entitlement-sets", id_from="external_id", related="/api/v2/organizations/{id}/entitlement-set"),
    ],
    links={"self": "/api/v2/organizations/{id}"},
    id_from="name",
)

ENTITLEMENT_SET: Final = Resource(
    type="entitlement-sets",
    attributes=[
        *(attr(name, from_=lambda _organization: True) for name in ENTITLEMENTS),
        *(attr(name, from_=lambda _organization: None) for name in UNLIMITED),
    ],
    links={"self": "/api/v2/organizations/{name}/entitlement-set"},
    id_from="external_id",
)


def includes(registry: Includes) -> None:
    """Let `include=organization` and `include=entitlement_set` work everywhere."""
    registry.add(ORGANIZATION, load)
    registry.add(ENTITLEMENT_SET, lambda session, actor, _ids: load(session, actor, [NAME]))
