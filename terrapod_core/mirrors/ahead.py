"""Zips that nobody asked for yet, of versions that somebody did: so that `terraform providers lock` finds the hashes of all platforms here.

They come one after the other, behind the answer, and whoever asks for one meanwhile shares its download.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Final

import structlog

from terrapod_core.errors import TerrapodError
from terrapod_core.mirrors.filling import Packages
from terrapod_core.mirrors.releases import Release, Releases
from terrapod_core.plugin import Platform

AGAIN_SECONDS: Final = 600.0
"""After which a version of which something could not be had is tried again, when somebody asks for it."""
MOST: Final = 1000
"""Versions that wait or were tried; further ones are not fetched ahead."""

log = structlog.get_logger("terrapod.mirrors")


class Ahead:
    """One per process."""

    def __init__(self, releases: Releases, packages: Packages, names: Sequence[str], *, sealed: bool) -> None:
        """`names` are platforms as `linux_amd64`."""
        self.names = tuple(names)
        self._platforms = [Platform(*each.split("_", 1)) for each in names]
        self._releases = releases
        self._packages = packages
        self._sealed = sealed
        self._seen: dict[str, float] = {}
        self._waiting: asyncio.Queue[Release] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    def see_to(self, release: Release) -> None:
        """Fetch what is missing of it, some time. Returns at once."""
        now = time.monotonic()
        if self._sealed or not self._missing(release) or now < self._seen.get(release.row.id, 0.0):
            return
        self._seen = {name: until for name, until in self._seen.items() if until > now} if len(self._seen) >= MOST else self._seen
        if len(self._seen) >= MOST:
            return
        self._seen[release.row.id] = now + AGAIN_SECONDS
        self._waiting.put_nowait(release)
        if self._task is None:
            self._task = asyncio.create_task(self._work(), name="mirror:ahead")

    async def close(self) -> None:
        """Fetch nothing more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    def _missing(self, release: Release) -> list[Platform]:
        """The platforms whose zips were never here. Of a signed release that is not made for one, it is not among them."""
        found = []
        for each in self._platforms:
            package = release.package(each)
            if (package is None and release.row.sums is None) or (package is not None and package.h1 is None):
                found.append(each)
        return found

    async def _work(self) -> None:
        while True:
            release = await self._waiting.get()
            for platform in self._missing(release):
                try:
                    found = await self._releases.of(release.source, release.row.version, platform)
                    await self._packages.whole(found, platform)
                except TerrapodError as error:
                    log.info("not fetched ahead", source=str(release.source), platform=str(platform), reason=error.detail)
                except Exception:
                    log.exception("fetching ahead failed", source=str(release.source), platform=str(platform))
