"""Providers of others, as terraform asks for them: by the network mirror protocol, or by the registry's as if this were their registry."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import msgspec

from terrapod_core.authz import Actor, Authorizer
from terrapod_core.db import Database
from terrapod_core.errors import NotFound
from terrapod_core.mirrors import addresses, queries
from terrapod_core.mirrors.ahead import Ahead
from terrapod_core.mirrors.filling import Packages
from terrapod_core.mirrors.indexes import Indexes
from terrapod_core.mirrors.links import Links
from terrapod_core.mirrors.listed import Document, listed
from terrapod_core.mirrors.models import MirrorIndex, MirrorPackage, MirrorRelease, key_of
from terrapod_core.mirrors.releases import Release, Releases
from terrapod_core.packages.protocol import (
    MirroredArchive,
    OfferedVersion,
    OfferedVersions,
    ProviderPackage,
    SigningKey,
    SigningKeys,
    mirror_index,
    mirror_version,
    platforms_of,
)
from terrapod_core.plugin import Platform, ProviderSource
from terrapod_core.web.listings import Listings, etag

USUAL: Final = ("linux_amd64",)
ASKED_AT_ONCE: Final = 4
"""Platforms of one version, where each has to be asked for by itself."""


class Vouched(NamedTuple):
    """Sums that the server signed."""

    signature: bytes
    key_id: str
    armor: str


Vouch = Callable[[bytes], Awaitable[Vouched]]
"""Signs sums with the server's own key."""


@dataclass(frozen=True)
class ProviderMirror:
    """Both protocols. Whoever is known may ask; every method raises `NotFound` (also `Sealed`) and `UpstreamTrouble`."""

    db: Database
    authz: Authorizer
    indexes: Indexes
    releases: Releases
    packages: Packages
    links: Links
    listings: Listings
    ahead: Ahead
    vouch: Vouch

    async def index(self, actor: Actor, source: ProviderSource) -> Document:
        """`index.json` of the network mirror protocol."""
        self.authz.require_mirrors(actor)
        return await listed(
            self.indexes, self.listings, source, "network", lambda row: mirror_index(each["version"] for each in row.versions)
        )

    async def versions(self, actor: Actor, source: ProviderSource) -> Document:
        """`versions` of the registry protocol."""
        self.authz.require_mirrors(actor)
        return await listed(self.indexes, self.listings, source, "registry", lambda row: _versions(source, row))

    async def version(self, actor: Actor, source: ProviderSource, version: str) -> Document:
        """`<version>.json` of the network mirror protocol: every platform, with the hashes of its zip that are known."""
        self.authz.require_mirrors(actor)
        addresses.version(version)
        state = await self.db.look_up(queries.RELEASE_STATE, source=key_of(source), version=version)
        if state is not None:
            revision = f"{state.revision}.{self.links.window}"
            content = self.listings.get(state.id, revision)
            if content is not None:
                return Document(content, etag(state.id, revision))
        release = await self._release(source, version)
        self.ahead.see_to(release)
        revision = f"{release.row.revision}.{self.links.window}"
        content = self.listings.made(release.row.id, revision, lambda: self._archives(release.packages))
        return Document(content, etag(release.row.id, revision))

    def _archives(self, packages: Sequence[MirrorPackage]) -> bytes:
        return mirror_version({str(each.platform): MirroredArchive(self.links.archive(each.id), _hashes(each)) for each in packages})

    async def package(self, actor: Actor, source: ProviderSource, version: str, os: str, arch: str) -> bytes:
        """`<version>/download/<os>/<arch>` of the registry protocol. What its publisher did not sign the server signs, once it is here."""
        self.authz.require_mirrors(actor)
        release = await self.releases.of(source, addresses.version(version), addresses.platform(os, arch))
        found = release.package(Platform(os, arch))
        assert found is not None
        if release.row.sums is None:
            found = await self.packages.whole(release, found.platform)
        key = await self._key(release.row, found)
        self.ahead.see_to(release)
        phase_id = actor.id if actor.engine is not None else ""
        return msgspec.json.encode(
            ProviderPackage(
                protocols=release.row.protocols,
                os=os,
                arch=arch,
                filename=found.filename,
                download_url=self.links.archive(found.id, phase_id),
                shasums_url=self.links.sums(found.id),
                shasums_signature_url=self.links.signature(found.id),
                shasum=found.sha256 or "",
                signing_keys=SigningKeys([key]),
            )
        )

    async def sums(self, package_id: str) -> bytes:
        """The sums that name this file, as its publisher signed them; else as the server does."""
        release, package = await self.releases.of_package(package_id)
        return release.row.sums or _own_sums(package)

    async def signature(self, package_id: str) -> bytes:
        """The signature over the same."""
        release, package = await self.releases.of_package(package_id)
        return release.row.signature or (await self.vouch(_own_sums(package))).signature

    async def _key(self, row: MirrorRelease, package: MirrorPackage) -> SigningKey:
        if row.sums is not None:
            return SigningKey(row.key_id or "", row.ascii_armor or "")
        vouched = await self.vouch(_own_sums(package))
        return SigningKey(vouched.key_id, vouched.armor, source="terrapod")

    async def _release(self, source: ProviderSource, version: str) -> Release:
        """A version with all its platforms. One of them tells of all that are signed; where nothing is, each is asked for by itself."""
        known = await self.releases.find(source, version)
        if known is not None and known.row.sums is not None:
            return known
        there = {each.platform for each in known.packages} if known is not None else set()
        missing: NotFound | None = None
        for batch in _batches([each for each in await self._platforms(source, version) if each not in there], first=known is None):
            asked = await asyncio.gather(*(self.releases.of(source, version, each) for each in batch), return_exceptions=True)
            for failure in asked:
                if isinstance(failure, NotFound):
                    missing = failure
                elif isinstance(failure, BaseException):
                    raise failure
            known = await self.releases.find(source, version)
            if known is not None and known.row.sums is not None:
                return known
        if known is None or not known.packages:
            raise missing or NotFound(f"{source} has no version {version}", code="upstream_missing")
        return known

    async def _platforms(self, source: ProviderSource, version: str) -> list[Platform]:
        """Those that the index names, else those of its newest version that has any, else those that people have."""
        row = await self.indexes.of(source)
        by_version = {each["version"]: each["platforms"] for each in row.versions if each["platforms"]}
        named = by_version.get(version) or next(iter(by_version.values()), None) or self.ahead.names or USUAL
        return [Platform(*each.split("_", 1)) for each in named]


def _batches(platforms: list[Platform], *, first: bool) -> Iterator[list[Platform]]:
    """A few at a time; the `first` one alone, because it may tell of all."""
    at = 0
    while at < len(platforms):
        size = 1 if first and at == 0 else ASKED_AT_ONCE
        yield platforms[at : at + size]
        at += size


def _versions(source: ProviderSource, row: MirrorIndex) -> bytes:
    told = [OfferedVersion(each["version"], each["protocols"], platforms_of(each["platforms"] or ())) for each in row.versions]
    return msgspec.json.encode(OfferedVersions(f"{source.namespace}/{source.type}", told, list(row.warnings) or None))


def _hashes(package: MirrorPackage) -> list[str]:
    zipped = [f"zh:{package.sha256}"] if package.sha256 is not None else []
    return zipped + ([package.h1] if package.h1 is not None else [])


def _own_sums(package: MirrorPackage) -> bytes:
    return f"{package.sha256}  {package.filename}\n".encode()
