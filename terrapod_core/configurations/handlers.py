"""What happens after a workspace was deleted, and by the clock."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

from terrapod_core.configurations.service import Configurations
from terrapod_core.jobs import Jobs
from terrapod_core.plugin.events import WorkspaceDeleted
from terrapod_core.settings import Retention


def register(jobs: Jobs, configurations: Configurations, retention: Retention) -> None:
    """Listen, and run by the clock."""
    jobs.on(WorkspaceDeleted, "configurations.remove_workspace", configurations.remove_workspace)
    jobs.every("configurations.expire", timedelta(minutes=1), configurations.expire)
    if retention.configuration_days is not None:
        jobs.every("configurations.archive-old", timedelta(hours=1), partial(configurations.archive_old, retention.configuration_days))
