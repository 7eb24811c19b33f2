"""Work that outlives the request: events become jobs, jobs are tried until they succeed or are laid aside where people see them."""

from __future__ import annotations

from terrapod_core.jobs.models import Job
from terrapod_core.jobs.registry import Jobs
from terrapod_core.jobs.worker import Worker

__all__ = ["Job", "Jobs", "Worker"]
