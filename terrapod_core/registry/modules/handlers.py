"""Background work of modules."""

from __future__ import annotations

from terrapod_core.jobs import Jobs
from terrapod_core.plugin.events import UserDeleted, VCSConnectionDeleted
from terrapod_core.registry.modules.service import Modules


def register(jobs: Jobs, modules: Modules) -> None:
    """Register it."""
    jobs.on(UserDeleted, "registry-modules.disown", modules.disown)
    jobs.on(VCSConnectionDeleted, "registry-modules.unlink", modules.unlink)
