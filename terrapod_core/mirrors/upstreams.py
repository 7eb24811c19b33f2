"""Which plugin answers for an address, and whether anybody may be asked at all.

What goes wrong there becomes an error that names the host and the reason.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

import structlog

from terrapod_core.errors import NotFound, TerrapodError
from terrapod_core.mirrors.troubles import Sealed, Troubles, UpstreamTrouble
from terrapod_core.plugin import (
    EngineSource,
    Index,
    ModuleSource,
    OutgoingError,
    Package,
    Platform,
    ProviderSource,
    RegistryMirror,
    Source,
    UpstreamFailed,
    UpstreamMissing,
)

__all__ = ["Sealed", "UpstreamTrouble", "Upstreams", "named", "told"]

PACKAGE_SECONDS: Final = 60.0
"""How long an upstream's word on where a package is counts: between asking for its sums and fetching it."""
MOST_PACKAGES: Final = 1000

log = structlog.get_logger("terrapod.mirrors")


@dataclass(frozen=True)
class Upstreams:
    """The mirror plugins, by name."""

    mirrors: Mapping[str, RegistryMirror]
    sealed: bool
    own: frozenset[str] = frozenset()
    """The hosts that are this server itself, as they are in addresses."""
    troubles: Troubles = field(default_factory=Troubles, repr=False)
    _packages: dict[tuple[Source, str, Platform | None], tuple[float, Package]] = field(default_factory=dict, repr=False)

    def of(self, source: Source) -> RegistryMirror:
        """The plugin that answers for this address. Raises `NotFound` that says which hosts are mirrored."""
        if not isinstance(source, EngineSource) and source.host in self.own:
            raise NotFound(
                f"{source.host} is this server itself, which does not mirror what it publishes: terraform asks it for that without a mirror"
            )
        for _, mirror in sorted(self.mirrors.items()):
            if mirror.serves(source):
                return mirror
        if isinstance(source, (ProviderSource, ModuleSource)):
            hosts = ", ".join(self.hosts) or "none"
            raise NotFound(f"{source.host} is not mirrored here; these hosts are: {hosts} (the plugins mirror-… decide by their settings)")
        raise NotFound(f"no mirror plugin here has releases of {source}")

    @property
    def hosts(self) -> Sequence[str]:
        """The registry hosts that are mirrored, in their order of letters."""
        return sorted({host for mirror in self.mirrors.values() for host in mirror.hosts()} - self.own)

    def refuse_if_sealed(self, what: str) -> None:
        """Raise `Sealed` when no upstream may be asked. `what` is what is missing: `version 1.2.0 of …`."""
        if self.sealed:
            raise Sealed(
                f"{what} is not in the cache, and this server is sealed (mirrors.sealed): bring it with `terrapod bundle import`",
                code="sealed",
            )

    async def index(self, source: Source, validator: str | None) -> Index | None:
        """What the upstream has; `None` when that is as it was. Raises `Sealed`, `NotFound` or `UpstreamTrouble`."""
        self.refuse_if_sealed(f"the list of versions of {source}")
        mirror = self.of(source)
        with self.troubles.of(source), told(source, mirror.name):
            return await mirror.index(source, validator)

    async def package(self, source: Source, version: str, platform: Platform | None) -> Package:
        """What the upstream says of one file; for a minute it is not asked again. Raises as `index` does."""
        key = (source, version, platform)
        until, known = self._packages.get(key, (0.0, None))
        if known is not None and time.monotonic() < until:
            return known
        self.refuse_if_sealed(named(source, version, platform))
        mirror = self.of(source)
        with self.troubles.of(source, version, platform), told(source, mirror.name):
            package = await mirror.package(source, version, platform)
        while len(self._packages) >= MOST_PACKAGES:
            del self._packages[next(iter(self._packages))]
        self._packages[key] = (time.monotonic() + PACKAGE_SECONDS, package)
        return package

    def forget(self, source: Source, version: str, platform: Platform | None) -> None:
        """Ask the upstream again the next time: what it said led nowhere."""
        self._packages.pop((source, version, platform), None)

    async def fetch(self, source: Source, package: Package) -> AsyncIterator[bytes]:
        """The bytes of a file, as they come. Raises as `index` does."""
        self.refuse_if_sealed(package.filename)
        mirror = self.of(source)
        with told(source, mirror.name):
            async for chunk in mirror.fetch(package):
                yield chunk


def named(source: Source, version: str, platform: Platform | None) -> str:
    """What people call a package."""
    return f"version {version} of {source}" + (f" for {platform}" if platform is not None else "")


@contextmanager
def told(source: Source, mirror: str) -> Iterator[None]:
    """Turn what a plugin raises into errors that a person can act on. What is not in its contract is logged and told without detail."""
    try:
        yield
    except UpstreamMissing as error:
        raise NotFound(str(error) or f"the upstream of {source} has no such thing", code="upstream_missing") from error
    except (UpstreamFailed, OutgoingError) as error:
        log.warning("an upstream failed", source=str(source), mirror=mirror, error=str(error))
        raise UpstreamTrouble(f"{source} cannot be had from its upstream now: {error}", code="upstream_failed") from error
    except TerrapodError:
        raise
    except Exception as error:
        log.exception("a mirror plugin failed", source=str(source), mirror=mirror)
        said = f"the mirror plugin {mirror} failed for {source}; the server's log says how"
        raise UpstreamTrouble(said, code="upstream_failed") from error
