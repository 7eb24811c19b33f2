"""What a workspace shows of the repository that it follows, as go-tfe's clients know it."""

from __future__ import annotations

from collections.abc import Callable

from terrapod_core.jsonapi import Rendering
from terrapod_core.vcs.names import INSTALLATION, TOKEN, named
from terrapod_core.workspaces.models import Workspace


def linked(name: str) -> Callable[[Workspace], str | None]:
    """One thing that is noted of the link; `None` without one."""
    return lambda workspace: (workspace.vcs_link or {}).get(name)


def repo(workspace: Workspace, rendering: Rendering) -> dict[str, object] | None:
    """`vcs-repo`. While there is one, terraform's command line plans, and refuses to apply."""
    link = workspace.vcs_link
    if link is None:
        return None
    connection_id = link["connection-id"]
    return {
        "identifier": link["identifier"],
        "display-identifier": link["identifier"],
        "branch": workspace.vcs_branch or "",
        "ingress-submodules": False,
        "oauth-token-id": None if link["app"] else named(TOKEN, connection_id),
        "github-app-installation-id": named(INSTALLATION, connection_id) if link["app"] else None,
        "repository-http-url": link["http-url"],
        "service-provider": link["service-provider"] or link["provider"],
        "tags-regex": workspace.vcs_tags_regex,
        "webhook-url": f"{rendering.base_url}/api/v2/vcs-events/{link['provider']}/{connection_id}",
    }
