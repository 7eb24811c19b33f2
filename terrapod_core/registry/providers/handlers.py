"""What happens to providers after news of other rooms."""

from __future__ import annotations

from terrapod_core.jobs import Jobs
from terrapod_core.plugin.events import UserDeleted
from terrapod_core.registry.providers.service import Providers


def register(jobs: Jobs, providers: Providers) -> None:
    """Listen."""
    jobs.on(UserDeleted, "registry-providers.disown", providers.disown)
