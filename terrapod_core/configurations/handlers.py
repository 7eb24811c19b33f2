"""What happens after a workspace was deleted, and by the clock."""

from __future__ import annotations

from datetime import timedelta

from terrapod_core.configurations.service import Configurations
from terrapod_core.jobs import Jobs
from terrapod_core.plugin.events import WorkspaceDeleted


def register(jobs: Jobs, configurations: Configurations) -> None:
    """Listen, and run by the clock."""
    jobs.on(WorkspaceDeleted, "configurations.remove_workspace", configurations.remove_workspace)
    jobs.every("configurations.expire", timedelta(minutes=1), configurations.expire)
