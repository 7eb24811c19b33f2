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
from terrapod_core.registry.modules.tag_publishing import TagPublishing
from terrapod_core.registry.modules.tag_working import TagLoop
from terrapod_core.registry.modules.tags import TagsFollower
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
    module_tags: TagLoop

    def start(self) -> None:
        """Begin background work."""
        self.poller.start()
        self.loop.start()
        self.module_tags.start()

    async def stop(self) -> None:
        """End it."""
        await self.poller.stop()
        await self.loop.stop()
        await self.module_tags.stop()


def opened(parts: Services) -> IngressParts:
    """Over the services of the rooms below."""
    settings, limits = parts.settings.vcs, parts.settings.limits
    archives = ArchiveLimits(entries=limits.archive_entries, unpacked_bytes=limits.unpacked_bytes)
    fetching = Fetching(
        parts.db,
        parts.forges,
        FetchedConfigurations(parts.db, parts.workspaces, parts.objects, limits),
        settings,
        archives,
        parts.actor_of,
    )
    telling = Telling(parts.db, parts.forges, settings, addresses(parts.settings)[0])
    starting = Starting(parts.db, parts.runs, parts.actor_of, parts.trial.isolation)
    module_tags = TagPublishing(parts.db, parts.forges, parts.module_versions, settings, archives, parts.actor_of)
    return IngressParts(
        Changes(parts.db, parts.authz),
        telling,
        Ingress(parts.db, fetching, starting, telling, fetch_at_once=settings.fetch_at_once),
        Poller(parts.db, parts.forges, settings, [Watching(parts.db, parts.trial.isolation), TagsFollower(parts.db)]),
        TagLoop(parts.db, module_tags, at_once=settings.fetch_at_once),
    )
