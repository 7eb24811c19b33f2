"""Releases that did not come from an upstream: somebody carried them here, and vouches for them by a signature of their own.

Nothing is believed for that: what a publisher signed is verified against the same keys as if it had come from upstream, what is pinned
stays, and a release is there with everything that was brought of it, or it is not there.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from terrapod_core.db import Database, UnitOfWork
from terrapod_core.errors import Conflict, Invalid, NotFound
from terrapod_core.mirrors import queries
from terrapod_core.mirrors.inspecting import inspected
from terrapod_core.mirrors.models import MirrorIndex, MirrorKey, MirrorPackage, MirrorRelease, key_of
from terrapod_core.mirrors.releases import named_packages, package_row, release_row, scope_of, signer_of
from terrapod_core.mirrors.spool import Spool
from terrapod_core.mirrors.upstreams import Upstreams, UpstreamTrouble, named
from terrapod_core.packages import openpgp
from terrapod_core.packages.sums import named_sums
from terrapod_core.packages.versions import SemanticVersion
from terrapod_core.plugin import ModuleSource, Package, Platform, Source, Sums
from terrapod_core.storage import ArchiveKind, Archives, Objects, Stored
from terrapod_core.storage.claims import Claim, Claims

BROUGHT: Final = "bundle"
"""Who pinned a key that was accepted with a bundle."""


@dataclass(frozen=True)
class BroughtPackage:
    """One file of a release."""

    platform: Platform | None
    filename: str
    sha256: str
    size: int
    root: str
    comes: bool
    """Whether its bytes come along; else they must be here."""


@dataclass(frozen=True)
class Brought:
    """A release as it is carried."""

    source: Source
    version: str
    protocols: Sequence[str]
    sums: Sums | None
    """With the one key that signed it."""
    packages: Sequence[BroughtPackage]
    checked_at: datetime
    """When its upstream had it last."""
    warnings: Sequence[str] = ()

    @property
    def name(self) -> str:
        """What people call it."""
        return named(self.source, self.version, None)


@dataclass(frozen=True)
class Standing:
    """How what is brought and what is here go together."""

    there: bool
    """All of it is here."""
    missing: Sequence[str] = ()
    """Packages that neither come along nor are here."""
    new_key: openpgp.PublicKey | None = None
    """The key that signed it, when its namespace was not seen with it."""


class Bringing:
    """One per process."""

    def __init__(self, db: Database, upstreams: Upstreams, archives: Archives, objects: Objects, *, new_keys: bool) -> None:
        """`new_keys` as in the settings."""
        self._db = db
        self._upstreams = upstreams
        self._archives = archives
        self._claims = Claims(objects)
        self._new_keys = new_keys

    async def look(self, brought: Brought) -> Standing:
        """Raises `Conflict` when it is not what is pinned here, `Invalid` when its publisher did not sign it."""
        release, rows = await self._db.read(lambda session: _known(session, brought))
        for package in brought.packages:
            _check_pinned(brought, package, release, rows.get(_platform(package)))
        new_key = None
        if brought.sums is not None:
            new_key = await self._key(brought, brought.sums)
        else:
            await self._refuse_unsigned(brought)
        here = {platform for platform, row in rows.items() if row.object_key is not None}
        return Standing(
            there=release is not None and all(_platform(package) in here for package in brought.packages),
            missing=[
                named(brought.source, brought.version, package.platform)
                for package in brought.packages
                if not package.comes and _platform(package) not in here
            ],
            new_key=new_key,
        )

    async def load(self, brought: Brought, files: AsyncIterator[tuple[BroughtPackage, AsyncIterator[bytes]]], *, accept: bool) -> None:
        """Store what comes along, and then let all of it be seen at once. `files` come in the order of the packages that come.

        Raises as `look` does, also for packages that are not what they must be; then nothing of it is here. A key that its namespace was
        not seen with is pinned when `accept` is set, and else refused.
        """
        standing = await self.look(brought)
        if standing.new_key is not None and not (accept or self._new_keys):
            raise Invalid(f"{brought.name} is signed with a key that {scope_of(brought.source)} was not seen with", code="key_not_accepted")
        stored: list[tuple[BroughtPackage, Stored, str | None]] = []
        try:
            async for package, content in files:
                stored.append((package, *await self._store(brought, package, content)))
        except BaseException:
            await self._claims.settle_all([each for _, each, _ in stored], _nothing)
            raise
        try:
            await self._claims.settle_all(
                [each for _, each, _ in stored], lambda claim: self._keep(brought, stored, standing.new_key, claim)
            )
        except IntegrityError:
            if not (await self.look(brought)).there:
                raise Conflict(f"{brought.name} came here in another way at the same moment; import the bundle again") from None

    async def _store(self, brought: Brought, package: BroughtPackage, content: AsyncIterator[bytes]) -> tuple[Stored, str | None]:
        row = MirrorPackage(filename=package.filename, sha256=package.sha256, h1=None)
        with ExitStack() as stack:
            spool = Spool()
            stack.callback(spool.let_go)
            async for piece in content:
                await spool.write(piece)
            try:
                found = await inspected(brought.source, row, spool, named(brought.source, brought.version, package.platform))
            except UpstreamTrouble as error:
                raise Invalid(error.detail, code=error.code) from error
            spool.release()
            name = f"brought-{package.sha256[:32]}"
            return await self._archives.put(ArchiveKind.MIRRORED, name, spool.read(), limit=None), found.h1

    async def _keep(
        self,
        brought: Brought,
        stored: Sequence[tuple[BroughtPackage, Stored, str | None]],
        new_key: openpgp.PublicKey | None,
        claim: Claim,
    ) -> None:
        async with self._db.uow() as uow:
            now = uow.now()
            release, rows = await uow.run(lambda session: _known(session, brought, lock=True))
            if release is None:
                release, rows = await self._add_release(uow, brought, now)
            for package in brought.packages:
                row = rows.get(_platform(package))
                _check_pinned(brought, package, release, row)
                if row is None:
                    announced = Package(package.filename, "", sha256=package.sha256, root=package.root)
                    rows[_platform(package)] = row = package_row(release, package.platform, announced, now)
                    uow.add(row)
            let_go = [_fill(rows[_platform(package)], it, h1, now) for package, it, h1 in stored]
            if new_key is not None:
                await _pin(uow, brought, new_key)
            await uow.flush()
            await uow.run(lambda session: _index(session, brought, now))
            await uow.run(lambda session: queries.raise_revision(session, release.id))
            claim.make()
            await uow.commit()
        # Somebody else's bytes were here already.
        await self._claims.settle_all([each for each in let_go if each is not None], _nothing)

    async def _add_release(
        self, uow: UnitOfWork, brought: Brought, now: datetime
    ) -> tuple[MirrorRelease, dict[tuple[str, str], MirrorPackage]]:
        sums = brought.sums
        key = None
        if sums is not None:
            key = await asyncio.to_thread(openpgp.read_key, sums.keys[0], min(openpgp.made_at(sums.signature), now))
        about = Package("", "", sums, protocols=tuple(brought.protocols))
        release = release_row(brought.source, brought.version, about, key, now)
        uow.add(release)
        await uow.flush()
        rows = named_packages(brought.source, release, sums, now) if sums is not None else []
        uow.add(*rows)
        return release, {(row.os, row.arch): row for row in rows}

    async def _key(self, brought: Brought, sums: Sums) -> openpgp.PublicKey | None:
        """The key that signed it when that is not one that may already. Raises `Invalid` when none did."""
        allowed, settled = await self._allowed(brought.source)
        now = self._db.clock.now()
        new = None
        found, why = await asyncio.to_thread(signer_of, sums, allowed, now)
        if found is None and not settled:
            new, why = await asyncio.to_thread(signer_of, sums, sums.keys, now)
        if found is None and new is None:
            raise Invalid(f"{brought.name} is refused: {why}", code="signature_refused")
        if new is not None and new.fingerprint in map(openpgp.fingerprint_of, allowed):
            new = None  # a newer copy of one that may
        digests = named_sums(sums.document)
        for package in brought.packages:
            if digests.get(package.filename) != package.sha256:
                raise Invalid(f"{brought.name} is refused: its publisher did not sign {package.filename} with this SHA-256")
        return new

    async def _refuse_unsigned(self, brought: Brought) -> None:
        """Raises `Invalid` for what should be signed."""
        allowed, _ = await self._allowed(brought.source)
        if allowed:
            scope = scope_of(brought.source)
            raise Invalid(f"{brought.name} is refused: it is not signed, and what is of {scope} is", code="signature_refused")

    async def _allowed(self, source: Source) -> tuple[list[str], bool]:
        """The keys that may sign, in ASCII armour, and whether the operator's settings name them."""
        try:
            settled = list(self._upstreams.of(source).keys(source))
        except NotFound:
            settled = []  # a sealed server needs no plugin for what is carried to it
        if settled or isinstance(source, ModuleSource):
            return settled, True
        pinned = await self._db.read(lambda session: queries.keys(session, scope_of(source)))
        return [each.ascii_armor for each in pinned], False


async def _nothing(_claim: Claim) -> None:
    """Name nothing: what was stored is removed."""


def _known(session: Session, brought: Brought, *, lock: bool = False) -> tuple[MirrorRelease | None, dict[tuple[str, str], MirrorPackage]]:
    release = queries.release(session, brought.source, brought.version)
    if release is None:
        return None, {}
    if lock:
        session.refresh(release, with_for_update=True)
    return release, {(row.os, row.arch): row for row in queries.packages(session, release.id)}


def _platform(package: BroughtPackage) -> tuple[str, str]:
    return package.platform or ("", "")


def _check_pinned(brought: Brought, package: BroughtPackage, release: MirrorRelease | None, row: MirrorPackage | None) -> None:
    name = named(brought.source, brought.version, package.platform)
    if row is not None and row.sha256 not in (None, package.sha256):
        raise Conflict(
            f"{name} is known here with the SHA-256 {row.sha256}, and the bundle has {package.sha256}: what was seen first stays",
            code="digest_conflict",
        )
    if row is not None and row.root != package.root:
        raise Conflict(f"{name} is known here with another folder in its archive than in the bundle", code="digest_conflict")
    if row is None and release is not None and release.sums is not None:
        raise Conflict(f"{name} is not among what its publisher signed for the version that is known here", code="digest_conflict")


def _fill(row: MirrorPackage, stored: Stored, h1: str | None, now: datetime) -> Stored | None:
    """What was stored for nothing."""
    if row.object_key is not None:
        return stored
    row.object_key, row.size, row.sha256 = stored.key, stored.size, stored.sha256
    row.h1, row.fetched_at, row.last_used_at = row.h1 or h1, now, now
    return None


async def _pin(uow: UnitOfWork, brought: Brought, key: openpgp.PublicKey) -> None:
    scope = scope_of(brought.source)
    if all(each.fingerprint != key.fingerprint for each in await uow.run(lambda session: queries.keys(session, scope))):
        uow.add(
            MirrorKey(
                scope=scope,
                fingerprint=key.fingerprint,
                key_id=key.key_id,
                ascii_armor=key.armor,
                pinned_at=uow.now(),
                pinned_by=BROUGHT,
            )
        )


def _index(session: Session, brought: Brought, now: datetime) -> None:
    """Let the source's index have this version, with the platforms that came; what it has already stays."""
    row = session.get(MirrorIndex, key_of(brought.source), with_for_update=True)
    if row is None:
        row = MirrorIndex(source=key_of(brought.source), versions=[], warnings=list(brought.warnings), revision=0, changed_at=now)
        # Its upstream is asked at once where there is one: what was brought is not all that there is.
        row.checked_at, row.is_missing, row.validator, row.failed_at, row.failure = brought.checked_at, False, None, None, None
        session.add(row)
    versions = _merged(row.versions, brought)
    if versions != row.versions:
        row.versions, row.revision, row.changed_at = versions, row.revision + 1, now
        row.is_missing, row.validator = False, None


def _merged(versions: Sequence[dict[str, Any]], brought: Brought) -> list[dict[str, Any]]:
    found = {each["version"]: each for each in versions}
    platforms = [str(package.platform) for package in brought.packages if package.platform is not None]
    known = found.get(brought.version)
    if known is None:
        found[brought.version] = {"version": brought.version, "platforms": sorted(platforms) or None, "protocols": list(brought.protocols)}
    elif known["platforms"] is not None:
        found[brought.version] = {**known, "platforms": sorted({*known["platforms"], *platforms})}
    numbers = [(SemanticVersion.parse(name), each) for name, each in found.items()]
    ordered = sorted(((number.order, each) for number, each in numbers if number is not None), key=lambda pair: pair[0], reverse=True)
    return [each for _, each in ordered]
