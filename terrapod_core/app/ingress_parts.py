"""What carries pushes, tags and pull requests to runs, put together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from terrapod_core.configurations.fetched import FetchedConfigurations
from terrapod_core.ingress.fetching import Fetching
from terrapod_core.ingress.service import Changes
from terrapod_core.ingress.starting import Starting
from terrapod_core.ingress.telling import Telling
from terrapod_core.ingress.watching import Watching
from terrapod_core.ingress.working import Ingress
from terrapod_core.runs.material import addresses
from terrapod_core.tarballs import ArchiveLimits
from terrapod_core.vcs.polling import Poller

if TYPE_CHECKING:
    from terrapod_core.app.services import Services


@dataclass(frozen=True)
class IngressParts:
    """The parts that others know."""

    changes: Changes
    telling: Telling
    loop: Ingress
    poller: Poller

    def start(self) -> None:
        """Begin background work."""
        self.poller.start()
        self.loop.start()

    async def stop(self) -> None:
        """End it."""
        await self.poller.stop()
        await self.loop.stop()


def opened(parts: Services) -> IngressParts:
    """Over the services of the rooms below."""
    settings, limits = parts.settings.vcs, parts.settings.limits
    fetching = Fetching(
        parts.db,
        parts.forges,
        FetchedConfigurations(parts.db, parts.workspaces, parts.objects, limits),
        settings,
        ArchiveLimits(entries=limits.archive_entries, unpacked_bytes=limits.unpacked_bytes),
        parts.actor_of,
    )
    telling = Telling(parts.db, parts.forges, settings, addresses(parts.settings)[0])
    starting = Starting(parts.db, parts.runs, parts.actor_of, parts.trial.isolation)
    return IngressParts(
        Changes(parts.db, parts.authz),
        telling,
        Ingress(parts.db, fetching, starting, telling, fetch_at_once=settings.fetch_at_once),
        Poller(parts.db, parts.forges, settings, [Watching(parts.db, parts.trial.isolation)]),
    )
