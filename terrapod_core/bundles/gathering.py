"""Brings what is wished for into the cache, and writes down what all of it is."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from terrapod_core import __version__
from terrapod_core.bundles import constraints
from terrapod_core.bundles.configuration import ConfigurationReader
from terrapod_core.bundles.manifest import FORMAT, BaseOf, FileOf, IndexOf, Manifest, PackageOf, ReleaseOf, SignedOf, VersionOf
from terrapod_core.bundles.problems import BundleError
from terrapod_core.bundles.reading import Bundle
from terrapod_core.bundles.wishes import Wish
from terrapod_core.db import Database
from terrapod_core.errors import Invalid, NotFound, TerrapodError
from terrapod_core.mirrors import queries
from terrapod_core.mirrors.filling import Packages
from terrapod_core.mirrors.indexes import Indexes
from terrapod_core.mirrors.models import MirrorPackage, key_of
from terrapod_core.mirrors.releases import Release, Releases
from terrapod_core.mirrors.upstreams import Upstreams, named
from terrapod_core.packages import openpgp
from terrapod_core.packages.versions import SemanticVersion
from terrapod_core.plugin import ModuleSource, Platform, Source
from terrapod_core.secrets.models import Instance

TOLD: Final = 20
"""How many missing things one message names."""

Progress = Callable[[str, int, int], None]
"""Told what is gathered, how many wishes are granted, and of how many that are known so far."""


@dataclass(frozen=True)
class Caches:
    """The services of `mirrors`."""

    db: Database
    upstreams: Upstreams
    indexes: Indexes
    releases: Releases
    packages: Packages


@dataclass
class Gathered:
    """What was found, and what could not be in a bundle."""

    releases: dict[tuple[Source, str], tuple[Release, dict[str, MirrorPackage]]] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)


class Gathering:
    """One export's."""

    def __init__(self, caches: Caches, reader: ConfigurationReader, platforms: Sequence[Platform], progress: Progress) -> None:
        self._caches = caches
        self._reader = reader
        self._platforms = platforms
        self._progress = progress
        self._found = Gathered()
        self._missing: dict[str, None] = {}

    async def gather(self, wishes: Sequence[Wish]) -> Gathered:
        """All that is wished for, and what modules call in turn. What is missing is fetched.

        Raises `BundleError` that names everything that cannot be had.
        """
        waiting = list(dict.fromkeys(wishes))
        known = set(waiting)
        done = 0
        while waiting:
            wish = waiting.pop(0)
            for further in await self._granted(wish):
                if further not in known:
                    known.add(further)
                    waiting.append(further)
            done += 1
            self._progress(str(wish.source), done, len(known))
        if self._missing:
            told = list(self._missing)
            more = f"; and {len(told) - TOLD} more" if len(told) > TOLD else ""
            raise BundleError("the bundle was not written: " + "; ".join(told[:TOLD]) + more)
        return self._found

    async def _granted(self, wish: Wish) -> list[Wish]:
        """What it needs in turn."""
        if wish.because and not await self._is_mirrored(wish.source):
            self._leave_out(f"{wish.because} uses {wish.source}, whose host is not mirrored here")
            return []
        try:
            version = wish.version or await self._newest(wish)
        except TerrapodError as error:
            self._missing[error.detail] = None
            return []
        if isinstance(wish.source, ModuleSource):
            row = await self._package(wish.source, version, None)
            return await self._called(wish.source, version, row) if row is not None else []
        for platform in self._platforms:
            await self._package(wish.source, version, platform)
        return []

    async def _is_mirrored(self, source: Source) -> bool:
        """A configuration also uses what is not: this server's own registry, perhaps."""
        try:
            self._caches.upstreams.of(source)
        except NotFound:
            return await self._caches.db.read(lambda session: queries.index(session, source)) is not None
        return True

    async def _newest(self, wish: Wish) -> str:
        index = await self._caches.indexes.of(wish.source)
        try:
            found = constraints.newest((each["version"] for each in index.versions), wish.constraint)
        except ValueError as error:
            raise BundleError(f"{wish.because} calls {wish.source} with a version that cannot be read: {error}") from None
        if found is None:
            raise BundleError(f"{wish.because} calls {wish.source} {wish.constraint or ''}, and no version that is known takes that")
        return found

    async def _package(self, source: Source, version: str, platform: Platform | None) -> MirrorPackage | None:
        try:
            release = await self._caches.releases.of(source, version, platform)
            row = await self._caches.packages.whole(release, platform)
        except TerrapodError as error:
            self._missing[error.detail] = None
            return None
        _, packages = self._found.releases.setdefault((source, version), (release, {}))
        packages[str(platform) if platform is not None else ""] = row
        return row

    async def _called(self, source: Source, version: str, row: MirrorPackage) -> list[Wish]:
        release, _ = self._found.releases[source, version]
        try:
            used = await self._reader.module(
                await self._caches.packages.read(release, None), row.filename, row.root, named(source, version, None)
            )
        except Invalid as error:
            self._leave_out(f"what {named(source, version, None)} calls is not known: {error.detail}")
            return []
        for each in used.left_out:
            self._leave_out(each)
        return used.wishes

    def _leave_out(self, what: str) -> None:
        if what not in self._found.left_out:
            self._found.left_out.append(what)


async def described(caches: Caches, gathered: Gathered, base: Bundle | None) -> Manifest:
    """The manifest of what was gathered; what `base` has already is named, and not in it again."""
    had = _held(base)
    now = caches.db.clock.now()
    files: list[FileOf] = []
    releases: list[ReleaseOf] = []
    keys: dict[str, str] = {}
    for (source, version), (release, packages) in sorted(gathered.releases.items(), key=_order):
        signed = _signed(release, keys)
        told = []
        for platform, row in sorted(packages.items()):
            told.append(_told(source, version, platform, row, had, files))
        releases.append(
            ReleaseOf(source=key_of(source), version=version, packages=told, protocols=list(release.row.protocols), signed=signed)
        )
    return Manifest(
        format=FORMAT,
        made_at=now,
        server=await caches.db.read(lambda session: session.execute(select(Instance.name)).scalar_one()),
        terrapod=__version__,
        releases=releases,
        indexes=await caches.db.read(lambda session: _indexes(session, caches, releases, base)),
        files=files,
        keys=keys,
        base=BaseOf(id=base.id, made_at=base.manifest.made_at) if base is not None else None,
    )


def _order(item: tuple[tuple[Source, str], object]) -> tuple[str, str]:
    (source, version), _ = item
    number = SemanticVersion.parse(version)
    return key_of(source), number.order if number is not None else version


def _held(base: Bundle | None) -> set[tuple[str, str, str, str]]:
    if base is None:
        return set()
    return {
        (release.source, release.version, package.platform, package.sha256)
        for release in base.manifest.releases
        for package in release.packages
    }


def _told(
    source: Source, version: str, platform: str, row: MirrorPackage, had: set[tuple[str, str, str, str]], files: list[FileOf]
) -> PackageOf:
    assert row.sha256 is not None
    assert row.size is not None
    file = None
    if (key_of(source), version, platform, row.sha256) not in had:
        file = len(files)
        files.append(FileOf(size=row.size, sha256=row.sha256))
    return PackageOf(platform=platform, filename=row.filename, sha256=row.sha256, size=row.size, root=row.root, file=file)


def _signed(release: Release, keys: dict[str, str]) -> SignedOf | None:
    row = release.row
    if row.sums is None:
        return None
    assert row.signature is not None
    assert row.ascii_armor is not None
    fingerprint = openpgp.fingerprint_of(row.ascii_armor)
    assert fingerprint is not None, "it was read when the release was verified"
    keys[fingerprint] = row.ascii_armor
    return SignedOf(sums=row.sums.decode("ascii"), signature=row.signature, key=fingerprint)


def _indexes(session: Session, caches: Caches, releases: Sequence[ReleaseOf], base: Bundle | None) -> list[IndexOf]:
    """Of each source: the versions of this bundle, and of what it is based on."""
    before: Mapping[str, IndexOf] = {each.source: each for each in base.manifest.indexes} if base is not None else {}
    by_source: dict[str, list[ReleaseOf]] = {}
    for release in releases:
        by_source.setdefault(release.source, []).append(release)
    found = []
    for key, its in by_source.items():
        known = queries.index(session, its[0].address)
        versions = {each.version: each for each in (before[key].versions if key in before else [])}
        for release in its:
            old = versions.get(release.version)
            platforms = {package.platform for package in release.packages if package.platform}
            platforms |= set(old.platforms or []) if old is not None else set()
            versions[release.version] = VersionOf(release.version, sorted(platforms) or None, release.protocols)
        found.append(
            IndexOf(
                source=key,
                versions=list(versions.values()),
                warnings=known.warnings if known is not None else [],
                checked_at=known.checked_at if known is not None else caches.db.clock.now(),
            )
        )
    return found


def request_of(wishes: Sequence[Wish], platforms: Sequence[Platform], base: Bundle | None) -> str:
    """The same for the same request: an export that was interrupted is gone on with only by the one that began it."""
    parts = [f"{key_of(wish.source)} {wish.version or wish.constraint or ''}" for wish in wishes]
    parts = [*sorted(set(parts)), *map(str, platforms), base.id if base is not None else ""]
    return base64.b32encode(hashlib.sha256("\n".join(parts).encode()).digest()).decode().rstrip("=").lower()


async def content(caches: Caches, release: ReleaseOf, package: PackageOf) -> AsyncIterator[bytes]:
    """The bytes of a package, from the cache; what was evicted meanwhile is fetched anew."""
    found = await caches.releases.of(release.address, release.version, package.made_for)
    async for piece in await caches.packages.read(found, package.made_for):
        yield piece
