"""What projects look like on the wire."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from terrapod_core.authz import Actor, Authorizer, Permission
from terrapod_core.jsonapi import Includes, Rendering, Resource, attr, to_one
from terrapod_core.organizations import NAME
from terrapod_core.projects.models import Project
from terrapod_core.projects.queries import WorkspacesInProjects, visible, with_counts

_AUTHZ: Final = Authorizer()
_OVERWRITES: Final = {"default-execution-mode": True, "default-agent-pool": True}
"""Each project has its own: the organization's never changes, so that there is nothing to follow."""


def _permissions(project: Project, rendering: Rendering) -> dict[str, bool]:
    actor = rendering.actor
    admin = isinstance(actor, Actor) and _AUTHZ.allows(actor, Permission.PROJECT_UPDATE, project)
    return {
        "can-read": True,
        "can-update": admin,
        "can-destroy": admin and not project.is_default,
        "can-create-workspace": admin or project.is_default,
        "can-move-workspace": admin,
        "can-manage-tags": False,
        "can-manage-teams": False,
        "can-read-teams": False,
        "can-manage-varsets": isinstance(actor, Actor) and actor.is_platform_admin,
    }


PROJECT: Final = Resource(
    type="projects",
    attributes=[
        attr("name", writable=True),
        attr("description", writable=True),
        attr("created_at"),
        attr("updated_at"),
        attr("default_execution_mode", writable=True),
        attr("default_agent_pool_id", writable=True),
        attr("setting_overwrites", writable=True, from_=lambda _project: _OVERWRITES),
        attr("workspace_count"),
        attr("is_default"),
        attr("permissions", from_=_permissions),
    ],
    relationships=[
        to_one("organization", "organizations", id_from=lambda _project: NAME, related=f"/api/v2/organizations/{NAME}"),
        to_one("default_agent_pool", "agent-pools", writable=True),
    ],
    links={"self": "/api/v2/projects/{id}"},
)


def includes(registry: Includes, authz: Authorizer, workspaces: WorkspacesInProjects) -> None:
    """Let `include=project` work everywhere."""

    def load(session: Any, actor: Any, wanted: Sequence[str]) -> Sequence[Project]:
        found = session.execute(visible(authz, workspaces, actor).where(Project.id.in_(wanted))).scalars().all()
        return with_counts(session, workspaces, actor, found)

    registry.add(PROJECT, load)
