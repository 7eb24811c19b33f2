"""What happens after a workspace was deleted, and by the clock."""

from __future__ import annotations

from datetime import timedelta

from terrapod_core.jobs import Jobs
from terrapod_core.plugin.events import WorkspaceDeleted
from terrapod_core.states.service import States


def register(jobs: Jobs, states: States) -> None:
    """Listen, and run by the clock."""
    jobs.on(WorkspaceDeleted, "states.remove_workspace", states.remove_workspace)
    jobs.every("states.discard_overdue", timedelta(minutes=1), states.discard_overdue)
