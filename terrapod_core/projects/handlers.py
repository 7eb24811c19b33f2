"""Background work of this room."""

from __future__ import annotations

from terrapod_core.jobs import Jobs
from terrapod_core.plugin.events import UserDeleted
from terrapod_core.projects.service import Projects


def handlers(jobs: Jobs, projects: Projects) -> None:
    """Register it."""
    jobs.on(UserDeleted, "projects.disown", projects.disown)
