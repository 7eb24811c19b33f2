"""One download for all who wait for it: passed on while it comes, completed only once it is verified, and kept.

Within one process those who ask meanwhile are given the bytes as they come. Of several processes one downloads, which the others wait
for: a lease keeps them apart, and the row is what counts.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Final

import structlog

from terrapod_core.coordination import MIRRORS
from terrapod_core.db import Database
from terrapod_core.errors import NotFound, TerrapodError, TooLarge, Unavailable
from terrapod_core.mirrors import queries
from terrapod_core.mirrors.inspecting import Found, inspected, rooted
from terrapod_core.mirrors.models import MirrorPackage
from terrapod_core.mirrors.releases import Release
from terrapod_core.mirrors.spool import Spool
from terrapod_core.mirrors.upstreams import Upstreams, UpstreamTrouble, named
from terrapod_core.plugin import CoordinationAway, Lease, Platform, Source
from terrapod_core.storage import ArchiveKind, Archives, Objects, Stored
from terrapod_core.storage.claims import Claim, Claims
from terrapod_core.storage.streams import opened

LEASE_SECONDS: Final = 60.0
LOOK_SECONDS: Final = 1.0
"""How often a process that waits for another's download looks, should it not be woken."""

Used = Callable[[str, bool], None]
"""Is told the id of a package that is given to somebody, and whether it was here."""

log = structlog.get_logger("terrapod.mirrors")


@dataclass(frozen=True)
class Wanted:
    """A file of a release."""

    source: Source
    version: str
    package: MirrorPackage

    @property
    def platform(self) -> Platform | None:
        """`None` for a module."""
        return self.package.platform

    @property
    def name(self) -> str:
        """What people call it."""
        return named(self.source, self.version, self.platform)


class Filling:
    """A download that goes on, whoever waits for it."""

    def __init__(self) -> None:
        self.spool: Spool | None = None
        """`None` while another process downloads."""
        self.size: int | None = None
        self.begun = asyncio.Event()
        self.task: asyncio.Task[MirrorPackage]


class Packages:
    """The files of releases: from the cache, or from upstream by way of it. One per process."""

    def __init__(
        self, db: Database, upstreams: Upstreams, archives: Archives, objects: Objects, *, limit: int, used: Used = lambda _id, _hit: None
    ) -> None:
        """`limit` is of one file, in bytes."""
        self._db = db
        self._upstreams = upstreams
        self._archives = archives
        self._claims = Claims(objects)
        self._limit = limit
        self._used = used
        self._going: dict[str, Filling] = {}
        self._moved: dict[str, asyncio.Event] = {}
        db.wakeups.on(MIRRORS, self._woken)

    async def whole(self, release: Release, platform: Platform | None) -> MirrorPackage:
        """The file's row once its bytes are here, verified. Raises `NotFound` (also `Sealed`) and `UpstreamTrouble`."""
        wanted = await self._wanted(release, platform)
        self._used(wanted.package.id, wanted.package.object_key is not None)
        if wanted.package.object_key is not None:
            return wanted.package
        return await asyncio.shield(self._fill(wanted).task)

    async def read(self, release: Release, platform: Platform | None) -> AsyncIterator[bytes]:
        """The file's bytes; what is not here is passed on while it comes, but for its end, which waits until all of it is verified.

        Raises as `whole` does, when nothing has come yet. Later a failure breaks the stream off.
        """
        wanted = await self._wanted(release, platform)
        self._used(wanted.package.id, wanted.package.object_key is not None)
        if wanted.package.object_key is not None:
            try:
                return await opened(self._archives.read(wanted.package.object_key))
            except NotFound:
                await self.lost(wanted.package)
        filling = self._fill(wanted)
        begun = asyncio.ensure_future(filling.begun.wait())
        await asyncio.wait([begun, filling.task], return_when=asyncio.FIRST_COMPLETED)
        begun.cancel()
        if filling.spool is not None:
            return await opened(filling.spool.read())
        package = await asyncio.shield(filling.task)
        assert package.object_key is not None
        return await opened(self._archives.read(package.object_key))

    def given(self, package: MirrorPackage) -> None:
        """Note that somebody is given a file that is here by another way than `read`."""
        self._used(package.id, True)

    def received(self, package_id: str) -> int | None:
        """Bytes that this process has of a file that it fetches now; `None` when it fetches none."""
        going = self._going.get(package_id)
        return going.spool.size if going is not None and going.spool is not None else None

    async def close(self) -> None:
        """Give up downloads that go on."""
        tasks = [each.task for each in self._going.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _wanted(self, release: Release, platform: Platform | None) -> Wanted:
        known = release.package(platform)
        assert known is not None
        package = await self._db.read(lambda session: queries.package_by_id(session, known.id))
        if package is None:
            raise NotFound(f"{named(release.source, release.row.version, platform)} was removed from the cache just now; ask again")
        return Wanted(release.source, release.row.version, package)

    def _fill(self, wanted: Wanted) -> Filling:
        going = self._going.get(wanted.package.id)
        if going is None:
            going = self._going[wanted.package.id] = Filling()
            going.task = asyncio.create_task(self._filled(wanted, going), name=f"mirror:{wanted.package.id}")
            going.task.add_done_callback(lambda task: self._ended(wanted, task))
        return going

    def _ended(self, wanted: Wanted, task: asyncio.Task[MirrorPackage]) -> None:
        del self._going[wanted.package.id]
        if not task.cancelled() and (error := task.exception()) is not None:
            self._upstreams.forget(wanted.source, wanted.version, wanted.platform)
            log.warning("a package was not cached", package=wanted.name, error=str(error))

    async def _filled(self, wanted: Wanted, filling: Filling) -> MirrorPackage:
        name = f"mirror:{wanted.package.id}"
        while True:
            lease = await self._lease(name)
            there = await self._db.read(lambda session: queries.package_by_id(session, wanted.package.id))
            if there is None:
                raise NotFound(f"{wanted.name} was removed from the cache just now; ask again")
            if there.object_key is not None or lease is not None:
                break
            await self._moves(wanted.package.id)
        try:
            if there.object_key is not None:
                return there
            return await self._download(Wanted(wanted.source, wanted.version, there), filling, lease)
        finally:
            await self._let_go(lease)

    async def _download(self, wanted: Wanted, filling: Filling, lease: Lease | None) -> MirrorPackage:
        spool = Spool()
        try:
            package = await self._upstreams.package(wanted.source, wanted.version, wanted.platform)
            chunks = await opened(self._upstreams.fetch(wanted.source, package))
            filling.spool = spool
            filling.begun.set()
            await self._spooled(wanted, chunks, spool, lease)
            found = await inspected(wanted.source, wanted.package, spool, wanted.name)
            root = rooted(wanted.package.root, found, wanted.name)
            spool.release()
            stored = await self._archives.put(ArchiveKind.MIRRORED, wanted.package.id, spool.read(), limit=None)
        except BaseException as error:
            spool.fail(error if isinstance(error, TerrapodError) else Unavailable(f"{wanted.name} was given up; ask again", retry_after=1))
            raise
        finally:
            filling.spool = None
            spool.let_go()
        return await self._claims.settle(stored, lambda claim: self._kept(wanted, stored, found, root, claim))

    async def _spooled(self, wanted: Wanted, chunks: AsyncIterator[bytes], spool: Spool, lease: Lease | None) -> None:
        renew = asyncio.get_running_loop().time() + LEASE_SECONDS / 3
        async for chunk in chunks:
            await spool.write(chunk)
            if spool.size > self._limit:
                raise TooLarge(f"{wanted.name} is larger than {self._limit} bytes, the most that is cached (mirrors.package_bytes)")
            if lease is not None and asyncio.get_running_loop().time() > renew:
                renew += LEASE_SECONDS / 3
                with contextlib.suppress(CoordinationAway):
                    await self._db.wakeups.backend.renew(lease, LEASE_SECONDS)

    async def _kept(self, wanted: Wanted, stored: Stored, found: Found, root: str, claim: Claim) -> MirrorPackage:
        async with self._db.uow() as uow:
            row = await uow.run(lambda session: session.get(MirrorPackage, wanted.package.id, with_for_update=True))
            if row is None:
                raise NotFound(f"{wanted.name} was removed from the cache just now; ask again")
            if row.sha256 not in (None, stored.sha256):
                raise UpstreamTrouble(f"{wanted.name} came twice, and not the same; the first is kept", code="package_refused")
            if row.object_key is None:
                row.object_key, row.size, row.sha256 = stored.key, stored.size, stored.sha256
                if row.h1 is None and found.h1 is not None:
                    await uow.run(lambda session: queries.raise_revision(session, row.release_id))
                row.h1, row.root, row.fetched_at = row.h1 or found.h1, root, uow.now()
                uow.wake(MIRRORS, row.id)
                claim.make()
            await uow.commit()
            return row

    async def lost(self, package: MirrorPackage) -> None:
        """The store does not have what the row says: fetch it anew."""
        async with self._db.uow() as uow:
            row = await uow.run(lambda session: session.get(MirrorPackage, package.id, with_for_update=True))
            if row is not None and row.object_key == package.object_key:
                row.object_key = None
            await uow.commit()
        log.warning("a cached package is not in the store any more", package=package.filename)

    # -- several processes

    async def _lease(self, name: str) -> Lease | None:
        try:
            return await self._db.wakeups.backend.acquire(name, LEASE_SECONDS)
        except CoordinationAway:
            return Lease(name, "")  # then each downloads for itself, and the row takes the first

    async def _let_go(self, lease: Lease | None) -> None:
        if lease is not None and lease.holder:
            with contextlib.suppress(CoordinationAway):
                await self._db.wakeups.backend.release(lease)

    async def _moves(self, package_id: str) -> None:
        """Wait until another process has brought it, or a moment."""
        event = self._moved.setdefault(package_id, asyncio.Event())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOOK_SECONDS):
                await event.wait()

    def _woken(self, package_id: str) -> None:
        for each in [package_id] if package_id else list(self._moved):
            event = self._moved.pop(each, None)
            if event is not None:
                event.set()
