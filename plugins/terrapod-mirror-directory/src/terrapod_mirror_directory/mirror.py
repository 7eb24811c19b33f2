"""The mirror `directory`: what lies in directories of the operator's, on this machine or behind an address."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from terrapod_core.plugin import EngineSource, HTTPClients, Index, Package, Platform, ProviderSource, Source, UpstreamFailed
from terrapod_mirror_directory.engines import Engines
from terrapod_mirror_directory.places import place_of
from terrapod_mirror_directory.settings import DirectorySettings
from terrapod_mirror_directory.trees import Tree


class Directory:
    """A directory of engines, a tree of providers, or both."""

    name = "directory"

    def __init__(self, settings: DirectorySettings, http: HTTPClients) -> None:
        self._tools = frozenset(settings.engines)
        self._keys = settings.keys
        self._hosts = settings.host_names
        self._engines = Engines(*place_of(settings.engines_at, settings, http), not settings.unsigned) if settings.engines_at else None
        self._tree = Tree(*place_of(settings.providers_at, settings, http)) if settings.providers_at else None

    def serves(self, source: Source) -> bool:
        if isinstance(source, EngineSource):
            return self._engines is not None and source.tool in self._tools
        return isinstance(source, ProviderSource) and source.host in self._hosts

    def hosts(self) -> Sequence[str]:
        return self._hosts

    def keys(self, source: Source) -> Sequence[str]:
        return self._keys if isinstance(source, EngineSource) and self.serves(source) else ()

    async def index(self, source: Source, validator: str | None) -> Index | None:
        if isinstance(source, EngineSource):
            assert self._engines is not None, "not served"
            return await self._engines.index(source, validator)
        assert isinstance(source, ProviderSource), "not served"
        assert self._tree is not None, "not served"
        return await self._tree.index(source, validator)

    async def package(self, source: Source, version: str, platform: Platform | None) -> Package:
        assert platform is not None, "engines and providers are made for a platform"
        if isinstance(source, EngineSource):
            assert self._engines is not None, "not served"
            return await self._engines.package(source, version, platform)
        assert isinstance(source, ProviderSource), "not served"
        assert self._tree is not None, "not served"
        return await self._tree.package(source, version, platform)

    async def fetch(self, package: Package) -> AsyncIterator[bytes]:
        place = self._place_of(package)
        async for piece in place.upstream.stream(package.location, missing=f"{package.location} is not there any more."):
            yield piece

    def _place_of(self, package: Package) -> Engines | Tree:
        """Engines lie in their directory; what else there is, the tree named."""
        if self._engines is not None and package.location == f"{self._engines.url}{package.filename}":
            return self._engines
        if self._tree is None:
            raise UpstreamFailed(f"{package.location}: is in no directory that is set (mirror.directory)")
        return self._tree
