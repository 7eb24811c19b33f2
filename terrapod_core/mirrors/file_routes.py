"""The bytes behind signed links: from the store, or passed on while they come from upstream."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from quart import Response, request

from terrapod_core.errors import NotFound, TerrapodError
from terrapod_core.mirrors.filling import Packages
from terrapod_core.mirrors.models import MirrorPackage
from terrapod_core.mirrors.refusals import Noted
from terrapod_core.mirrors.releases import Release, Releases
from terrapod_core.storage import Archives, Capability
from terrapod_core.web.archives import Archive, answer, begins
from terrapod_core.web.download import stream

TYPES: Final = {".zip": "application/zip", ".tar.gz": "application/gzip", ".tgz": "application/gzip"}
BINARY: Final = "application/octet-stream"


class Files:
    """Answers for the links of packages."""

    def __init__(self, releases: Releases, packages: Packages, archives: Archives, noted: Noted) -> None:
        self._releases = releases
        self._packages = packages
        self._archives = archives
        self._noted = noted

    async def answer(self, capability: Capability) -> Response:
        """The file. Raises `NotFound` (also `Sealed`) and `UpstreamTrouble` before anything is sent; later it breaks off."""
        try:
            release, package = await self._releases.of_package(capability.object_id)
            response = await self._stored(release, package)
            if response is None:
                response = await self._passed_on(release, package, capability.subject)
            response.headers.set("Content-Disposition", "attachment", filename=package.filename)
            return response
        except TerrapodError as error:
            await self._note(capability.subject, error)
            raise

    async def _stored(self, release: Release, package: MirrorPackage) -> Response | None:
        """From the store; `None` when it is not there."""
        package = await self._packages.touched(package)
        if package.object_key is None:
            return None
        archive = Archive(package.object_key, package.size or 0, package.sha256 or "", _type(package))
        try:
            response = await answer(self._archives, archive)
        except NotFound:
            await self._packages.lost(package)
            return None
        if begins(response):
            self._packages.given(release.source, package)
        return response

    async def _passed_on(self, release: Release, package: MirrorPackage, phase_id: str) -> Response:
        if request.method == "HEAD":
            # go-getter asks first whether there are ranges. There are none yet, and nobody waits to learn how many bytes there will be.
            response = Response(b"", content_type=_type(package), headers={"Cache-Control": "no-store"})
            del response.headers["Content-Length"]
            return response
        if request.http_version == "1.0":
            # An answer without its length ends there as a broken one does.
            stored = await self._stored(release, await self._packages.whole(release, package.platform))
            if stored is not None:
                return stored
        chunks = await self._packages.read(release, package.platform)
        return stream(self._attended(chunks, phase_id), size=None, content_type=_type(package))

    async def _attended(self, chunks: AsyncIterator[bytes], phase_id: str) -> AsyncIterator[bytes]:
        try:
            async for chunk in chunks:
                yield chunk
        except TerrapodError as error:
            await self._note(phase_id, error)
            raise

    async def _note(self, phase_id: str, error: TerrapodError) -> None:
        if phase_id:
            await self._noted(phase_id, error.detail)


def _type(package: MirrorPackage) -> str:
    return next((each for end, each in TYPES.items() if package.filename.endswith(end)), BINARY)
