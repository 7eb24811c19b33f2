"""What is forgotten after news of other rooms."""

from __future__ import annotations

from terrapod_core.jobs import Jobs
from terrapod_core.plugin.events import WorkspaceDeleted
from terrapod_core.registry.uses.consumers import Consumers


def register(jobs: Jobs, consumers: Consumers) -> None:
    """Listen."""
    jobs.on(WorkspaceDeleted, "registry-uses.forget", consumers.forget)
