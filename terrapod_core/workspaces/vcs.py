"""What a workspace shows of the repository that it follows, as go-tfe's clients know it."""

from __future__ import annotations

from collections.abc import Callable

from terrapod_core.jsonapi import Rendering
from terrapod_core.vcs.links import shown
from terrapod_core.workspaces.models import Workspace


def linked(name: str) -> Callable[[Workspace], str | None]:
    """One thing that is noted of the link; `None` without one."""
    return lambda workspace: (workspace.vcs_link or {}).get(name)


def repo(workspace: Workspace, rendering: Rendering) -> dict[str, object] | None:
    """`vcs-repo`. While there is one, terraform's command line plans, and refuses to apply."""
    link = workspace.vcs_link
    if link is None:
        return None
    return {**shown(link, rendering.base_url), "branch": workspace.vcs_branch or "", "tags-regex": workspace.vcs_tags_regex}
