"""What was verified of a version, once: the sums that its publisher signed, and with which key. It holds for ever.

A key is allowed when the operator's settings name it, or when it is the one that the namespace was first seen with. Any other has to
be accepted, because a registry that was broken into names whatever key it likes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from terrapod_core import ids
from terrapod_core.db import Database, UnitOfWork
from terrapod_core.errors import Invalid, NotFound
from terrapod_core.mirrors import queries
from terrapod_core.mirrors.flights import Flights
from terrapod_core.mirrors.models import MirrorKey, MirrorPackage, MirrorRelease, key_of, source_of
from terrapod_core.mirrors.upstreams import Upstreams, UpstreamTrouble, named
from terrapod_core.packages import openpgp
from terrapod_core.packages.files import platform_of
from terrapod_core.packages.sums import named_sums
from terrapod_core.plugin import EngineSource, Package, Platform, ProviderSource, Source, Sums

FIRST_SEEN = "first seen"

log = structlog.get_logger("terrapod.mirrors")


@dataclass(frozen=True)
class Release:
    """A version, and its files: of a signed one all that the sums name, else those that were asked for so far."""

    source: Source
    row: MirrorRelease
    packages: Sequence[MirrorPackage]

    def package(self, platform: Platform | None) -> MirrorPackage | None:
        """The file of this platform, if there is one."""
        os, arch = platform or ("", "")
        return next((each for each in self.packages if (each.os, each.arch) == (os, arch)), None)


class Releases:
    """One per process."""

    def __init__(self, db: Database, upstreams: Upstreams, *, new_keys: bool) -> None:
        self._db = db
        self._upstreams = upstreams
        self._new_keys = new_keys
        self._asking = Flights[tuple[Source, str, Platform | None], Release]()

    async def find(self, source: Source, version: str) -> Release | None:
        """What is known of a version; nobody is asked."""
        return await self._db.read(lambda session: _read(session, source, version))

    async def of_package(self, package_id: str) -> tuple[Release, MirrorPackage]:
        """A file by its id, with its release. Raises `NotFound` when it was removed."""
        found = await self._db.read(lambda session: queries.release_of_package(session, package_id))
        if found is None:
            raise NotFound("the package was removed from the cache; ask for its version again")
        row, package = found
        return Release(source_of(row.source), row, [package]), package

    async def of(self, source: Source, version: str, platform: Platform | None) -> Release:
        """A version, with this platform among its files. What is not known yet is asked for and verified.

        Raises `NotFound` (also `Sealed`): no such version, or not for this platform; `UpstreamTrouble`: it cannot be had, or is not
        signed by a key that may. Then nothing is kept.
        """
        known = await self.find(source, version)
        if known is not None and (known.row.sums is not None or known.package(platform) is not None):
            return _with(known, platform)
        found = await self._asking.join((source, version, platform), lambda: self._ask(source, version, platform))
        return _with(found, platform)

    async def close(self) -> None:
        """Ask nobody any more."""
        await self._asking.close()

    async def _ask(self, source: Source, version: str, platform: Platform | None) -> Release:
        package = await self._upstreams.package(source, version, platform)
        try:
            key = None if package.sums is None else await self._verified(source, version, package.sums)
        except UpstreamTrouble:
            self._upstreams.forget(source, version, platform)
            raise
        try:
            async with self._db.uow() as uow:
                now = uow.now()
                row = await uow.run(lambda session: queries.release(session, source, version))
                if row is None:
                    row = _row(source, version, package, key, now)
                    uow.add(row)
                    await uow.flush()
                    if package.sums is not None:
                        uow.add(*_named(source, row, package.sums, now))
                    await self._pin(uow, source, key)
                if row.sums is None and package.sums is None:
                    await _add_unsigned(uow, row, platform, package, now)
                    row.revision += 1
                await uow.commit()
        except IntegrityError:
            pass  # another process was quicker; what it wrote down was verified too
        found = await self.find(source, version)
        assert found is not None
        return found

    async def _verified(self, source: Source, version: str, sums: Sums) -> openpgp.PublicKey | None:
        """The key that made the signature. Raises `UpstreamTrouble`."""
        pinned = list(self._upstreams.of(source).keys(source))
        known = [] if pinned else await self._db.read(lambda session: _armors(session, source))
        offered = pinned or (list(sums.keys) if self._new_keys or not known else known)
        now = self._db.clock.now()
        armor, why = await asyncio.to_thread(_signer, sums, offered, now)
        if armor is None:
            raise UpstreamTrouble(
                f"{named(source, version, None)} is refused: {why}{self._hint(source, sums, known, now)}", code="signature_refused"
            )
        return armor

    def _hint(self, source: Source, sums: Sums, known: Sequence[str], now: datetime) -> str:
        """What to do when another key signs than before."""
        armor, _ = _signer(sums, sums.keys, now) if known else (None, "")
        if armor is None:
            return ""
        return (
            f". Its registry names the key {armor.key_id} ({armor.user}), which {scope_of(source)} was not seen with before: "
            f"if its publisher says that it is theirs, accept it with `terrapod mirror keys accept {scope_of(source)} {armor.fingerprint}`"
        )

    async def _pin(self, uow: UnitOfWork, source: Source, key: openpgp.PublicKey | None) -> None:
        if key is None or self._upstreams.of(source).keys(source):
            return
        scope = scope_of(source)
        if all(each.fingerprint != key.fingerprint for each in await uow.run(lambda session: queries.keys(session, scope))):
            pin = MirrorKey(scope=scope, fingerprint=key.fingerprint, key_id=key.key_id, ascii_armor=key.armor)
            pin.pinned_at, pin.pinned_by = uow.now(), FIRST_SEEN
            uow.add(pin)
            log.info("a key is pinned", scope=scope, key=key.key_id, user=key.user)


def scope_of(source: Source) -> str:
    """What a key is pinned for."""
    return f"{source.host}/{source.namespace}" if not isinstance(source, EngineSource) else source.tool


def _with(release: Release, platform: Platform | None) -> Release:
    if platform is not None and release.package(platform) is None:
        there = ", ".join(str(each.platform) for each in release.packages)
        raise NotFound(f"{named(release.source, release.row.version, None)} is not made for {platform}, but for {there}")
    return release


def _read(session: Session, source: Source, version: str) -> Release | None:
    row = queries.release(session, source, version)
    return Release(source, row, queries.packages(session, row.id)) if row is not None else None


def _armors(session: Session, source: Source) -> list[str]:
    return [each.ascii_armor for each in queries.keys(session, scope_of(source))]


def _signer(sums: Sums, armors: Sequence[str], now: datetime) -> tuple[openpgp.PublicKey | None, str]:
    """The first of the keys that made the signature; without one, why the last did not."""
    why = "its upstream names no key that signs it"
    for armor in armors:
        try:
            # A release stays good when the key that signed it expires; terraform takes it so too.
            then = min(openpgp.made_at(sums.signature), now)
            openpgp.verify(sums.document, sums.signature, armor, then)
            return openpgp.read_key(armor, then), ""
        except Invalid as error:
            why = error.detail
    return None, why


def _row(source: Source, version: str, package: Package, key: openpgp.PublicKey | None, now: datetime) -> MirrorRelease:
    sums = package.sums
    return MirrorRelease(
        id=ids.new("mirrel"),
        source=key_of(source),
        version=version,
        protocols=list(package.protocols),
        sums=sums.document if sums is not None else None,
        signature=sums.signature if sums is not None else None,
        key_id=key.key_id if key is not None else None,
        ascii_armor=key.armor if key is not None else None,
        created_at=now,
    )


def _named(source: Source, row: MirrorRelease, sums: Sums, now: datetime) -> list[MirrorPackage]:
    """A file for each platform that the sums name. Raises `UpstreamTrouble` when they cannot be read."""
    try:
        found = named_sums(sums.document)
    except Invalid as error:
        raise UpstreamTrouble(f"{named(source, row.version, None)} is refused: {error.detail}", code="signature_refused") from error
    made = []
    for filename, digest in sorted(found.items()):
        platform = _platform(source, row.version, filename)
        if platform is not None:
            made.append(_package(row, platform, Package(filename, "", sha256=digest), now))
    return made


def _platform(source: Source, version: str, filename: str) -> Platform | None:
    if isinstance(source, ProviderSource):
        found = platform_of(filename, source.type, version)
        return Platform(*found) if found is not None else None
    head, tail = f"{source}_{version}_", ".zip"
    words = filename[len(head) : -len(tail)].split("_") if filename.startswith(head) and filename.endswith(tail) else []
    return Platform(*words) if len(words) == 2 else None


async def _add_unsigned(uow: UnitOfWork, row: MirrorRelease, platform: Platform | None, package: Package, now: datetime) -> None:
    if await uow.run(lambda session: queries.package(session, row.id, platform)) is None:
        uow.add(_package(row, platform, package, now))


def _package(row: MirrorRelease, platform: Platform | None, package: Package, now: datetime) -> MirrorPackage:
    os, arch = platform or ("", "")
    return MirrorPackage(
        id=ids.new("mirpkg"),
        release_id=row.id,
        os=os,
        arch=arch,
        filename=package.filename,
        sha256=package.sha256,
        h1=package.h1,
        root=package.root,
        created_at=now,
        last_used_at=now,
    )
