"""The mirror `registry`: providers and modules of any host that speaks the registry protocols."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from typing import Final
from urllib.parse import urlsplit

from terrapod_core.plugin import (
    HTTPClients,
    Index,
    ModuleSource,
    Package,
    Platform,
    ProviderSource,
    Source,
    UpstreamFailed,
    plain_host,
)
from terrapod_mirror_registry import modules, providers
from terrapod_mirror_registry.asking import Registry
from terrapod_mirror_registry.settings import RegistrySettings

REMEMBERED_SECONDS: Final = 60.0
"""For how long an archive is fetched from where it was said to be; later it is asked for anew: such addresses may be signed, and end."""

MOST_REMEMBERED: Final = 256


class Registries:
    """The registries of the hosts that the settings list."""

    name = "registry"

    def __init__(self, settings: RegistrySettings, http: HTTPClients) -> None:
        self._registries = {host: Registry(host, settings, http) for host in sorted(settings.host_names)}
        self._said: dict[str, tuple[float, str]] = {}

    def serves(self, source: Source) -> bool:
        return isinstance(source, (ProviderSource, ModuleSource)) and source.host in self._registries

    def hosts(self) -> Sequence[str]:
        return tuple(self._registries)

    def keys(self, source: Source) -> Sequence[str]:
        return ()

    async def index(self, source: Source, validator: str | None) -> Index | None:
        if isinstance(source, ProviderSource):
            return await providers.index(self._registries[source.host], source, validator)
        assert isinstance(source, ModuleSource), "an engine is not served"
        return await modules.index(self._registries[source.host], source, validator)

    async def package(self, source: Source, version: str, platform: Platform | None) -> Package:
        if isinstance(source, ProviderSource):
            assert platform is not None, "a provider is made for a platform"
            package, archive = await providers.package(self._registries[source.host], source, version, platform)
        else:
            assert isinstance(source, ModuleSource), "an engine is not served"
            package, archive = await modules.package(self._registries[source.host], source, version)
        self._remember(package.location, archive)
        return package

    async def fetch(self, package: Package) -> AsyncIterator[bytes]:
        registry = self._registry_of(package.location)
        archive = self._remembered(package.location) or await self._archive(registry, package.location)
        missing = f"{registry.host} names an archive for {package.filename} that is not there."
        async for piece in registry.stream(archive, missing=missing):
            yield piece

    async def _archive(self, registry: Registry, location: str) -> str:
        """Where the archive is now, by the document that names it."""
        if urlsplit(location).path.endswith("/download"):
            return (await modules.archive(registry, location.partition("#")[0], "the module")).url
        return await providers.archive(registry, location.partition("#")[0])

    def _registry_of(self, location: str) -> Registry:
        """A location is the URL of the document that names the archive; behind `#` stands the registry's host where that is another."""
        try:
            parts = urlsplit(location)
            return self._registries[parts.fragment or plain_host(parts.netloc)]
        except (KeyError, ValueError):
            shown = location.partition("://")[2].partition("/")[0][:100]
            raise UpstreamFailed(f"{shown or 'the upstream'}: is no registry that may be asked (mirror.registry.hosts)") from None

    def _remember(self, location: str, archive: str) -> None:
        self._said.pop(location, None)
        self._said[location] = time.monotonic() + REMEMBERED_SECONDS, archive
        if len(self._said) > MOST_REMEMBERED:
            del self._said[next(iter(self._said))]

    def _remembered(self, location: str) -> str | None:
        until, archive = self._said.pop(location, (0.0, ""))
        return archive if time.monotonic() < until else None
