"""Jobs of plugins among the server's own."""

from __future__ import annotations

from collections.abc import Sequence

from terrapod_core.jobs import Jobs
from terrapod_core.plugin import Every, Job


def register(jobs: Jobs, found: Sequence[tuple[str, Job]]) -> None:
    """Under names that begin with the plugin's."""
    for plugin, job in found:
        name = f"{plugin}.{job.name}"
        if isinstance(job, Every):
            jobs.every(name, job.every, job.run)
        else:
            jobs.on(job.event, name, job.run, retries=job.retries)
