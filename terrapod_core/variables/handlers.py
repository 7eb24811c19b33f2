"""What follows from what happens in other rooms."""

from __future__ import annotations

from terrapod_core.jobs import Jobs
from terrapod_core.plugin.events import WorkspaceDeleted
from terrapod_core.variables.service import Variables


def handlers(jobs: Jobs, variables: Variables) -> None:
    """Register it."""
    jobs.on(WorkspaceDeleted, "variables.forget", variables.forget)
