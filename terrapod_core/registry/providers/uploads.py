"""What arrives behind signed links: `SHA256SUMS`, its signature, and zips. Each is looked through before it counts."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from typing import Final

from sqlalchemy.orm import Session

from terrapod_core import audit
from terrapod_core.authz import Actor
from terrapod_core.db import UnitOfWork
from terrapod_core.errors import Conflict, Gone, Invalid, NotFound
from terrapod_core.packages import openpgp
from terrapod_core.packages.sums import read_sums
from terrapod_core.packages.zips import Expected, Package, PackageInspector, PackageLimits
from terrapod_core.registry import publishing
from terrapod_core.registry.door import Door
from terrapod_core.registry.providers import queries
from terrapod_core.registry.providers.completion import check_pending, complete_if_whole
from terrapod_core.registry.providers.models import ProviderPlatform, ProviderVersion, RegistryProvider, Source
from terrapod_core.storage import ArchiveKind, Archives, Objects, Stored
from terrapod_core.storage.claims import Claim, Claims
from terrapod_core.storage.streams import inspected, is_same

_GONE: Final = "the version that this link is of is gone"


class Uploads:
    """For whoever has shown the link. A version that these uploads make whole is seen, or held, when they return."""

    def __init__(self, door: Door, archives: Archives, objects: Objects, actor_of: publishing.ActorOf, *, limit: int) -> None:
        """`limit` is of a zip, in bytes."""
        self._db = door.db
        self._authz = door.authz
        self._actor_of = actor_of
        self._archives = archives
        self._claims = Claims(objects)
        self._limit = limit

    async def sums(self, version_id: str, document: bytes) -> None:
        """Take `SHA256SUMS`; the same again is fine. `Invalid` when it does not say what was announced of platforms."""
        async with self._db.uow() as uow:
            provider, version = await self._locked(uow, version_id)
            if version.sums == document:
                return
            check_pending(version)
            maker = await self._maker(uow, provider, version)
            if version.source != Source.PUBLISHER:
                raise Conflict("this version is signed by the server, which writes its SHA256SUMS itself")
            named = read_sums(document, provider.name, version.version)
            platforms = (await uow.run(lambda session: queries.platforms(session, [version.id]))).get(version.id, ())
            for platform in platforms:
                said = named.get((platform.os, platform.arch))
                if said is None:
                    raise Invalid(f"SHA256SUMS is refused: it misses {platform.filename}", code="bad_sums")
                if platform.sha256 not in (None, said):
                    raise Invalid(
                        f"SHA256SUMS is refused: it says {said} for {platform.filename}, and {platform.sha256} was announced",
                        code="bad_sums",
                    )
                platform.sha256 = said
            version.sums, version.signature, version.updated_at = document, None, uow.now()
            self._record(uow, maker, "version.upload-sums", provider, version, sha256=hashlib.sha256(document).hexdigest())
            await uow.commit()

    async def signature(self, version_id: str, signature: bytes) -> None:
        """Take the signature of the sums that are there; `Invalid` when the version's key did not make it over these bytes."""

        def look(session: Session) -> tuple[bytes, str]:
            version = queries.version_by_id(session, version_id)
            provider = queries.provider(session, version.provider_id) if version is not None else None
            if version is None or provider is None:
                raise NotFound(_GONE)
            if version.source != Source.PUBLISHER:
                raise Conflict("this version is signed by the server itself")
            if version.sums is None:
                raise Conflict("upload SHA256SUMS first, and then its signature")
            key = queries.gpg_key_for(session, provider, version.key_id or "")
            if key is None:
                raise Conflict(f"the GPG key {version.key_id} of this version was deleted; make it anew with another key")
            return version.sums, key.ascii_armor

        sums, armor = await self._db.read(look)
        binary = await asyncio.to_thread(openpgp.verify, sums, signature, armor, self._db.clock.now())
        async with self._db.uow() as uow:
            provider, version = await self._locked(uow, version_id)
            if version.signature == binary and version.sums == sums:
                return
            check_pending(version)
            if version.sums != sums:
                raise Conflict("SHA256SUMS changed just now; upload its signature again")
            maker = await self._maker(uow, provider, version)
            version.signature, version.updated_at = binary, uow.now()
            self._record(uow, maker, "version.upload-signature", provider, version, key=version.key_id)
            await complete_if_whole(uow, maker, provider, version)
            await uow.commit()

    async def zip(self, platform_id: str, chunks: AsyncIterator[bytes], declared: int | None = None) -> None:
        """Take the zip of a platform. `declared` is the announced length, if any.

        The first whole one that is as it should be wins. The same bytes again are fine, others are a `Conflict`. `Invalid` says what is
        wrong with one, and leaves the platform waiting for a right one.
        """
        platform, version, provider = await self._db.read(lambda session: _of_platform(session, platform_id))
        if platform.is_uploaded:
            if not await is_same(chunks, declared, platform.size or 0, platform.sha256 or ""):
                raise _other(platform)
            return
        check_pending(version)
        expected = Expected(provider.name, version.version, platform.os, platform.sha256)
        with PackageInspector(expected, PackageLimits()) as inspector:
            looked_through = inspected(chunks, inspector, small=0)
            stored = await self._archives.put(ArchiveKind.PROVIDER, platform_id, looked_through, limit=self._limit)
        await self._claims.settle(stored, lambda claim: self._uploaded(platform_id, stored, inspector.package, claim))

    async def files_of(self, version_id: str) -> ProviderVersion:
        """The version whose sums and signature are fetched. Raises `NotFound`, and `Gone` for one that is revoked."""
        return await self._db.read(lambda session: _given(queries.version_by_id(session, version_id)))

    async def zip_of(self, platform_id: str) -> ProviderPlatform:
        """The platform whose zip is fetched. Likewise."""

        def read(session: Session) -> ProviderPlatform:
            platform = queries.platform_by_id(session, platform_id)
            if platform is None or not platform.is_uploaded:
                raise NotFound(_GONE)
            _given(queries.version_by_id(session, platform.version_id))
            return platform

        return await self._db.read(read)

    async def _uploaded(self, platform_id: str, stored: Stored, package: Package, claim: Claim) -> None:
        async with self._db.uow() as uow:
            platform, version, _ = await uow.run(lambda session: _of_platform(session, platform_id))
            provider, version = await self._locked(uow, version.id)
            found = await uow.run(lambda session: queries.platform_by_id(session, platform_id))
            if found is None:
                raise NotFound(_GONE)
            platform = found
            if platform.is_uploaded and platform.sha256 == stored.sha256:
                return
            check_pending(version)
            if platform.is_uploaded or platform.sha256 not in (None, stored.sha256):
                raise _other(platform)
            maker = await self._maker(uow, provider, version)
            platform.object_key, platform.size, platform.sha256 = stored.key, stored.size, stored.sha256
            platform.h1, platform.uploaded_at = package.h1, uow.now()
            version.protocols = version.protocols or (list(package.protocols) if package.protocols else None)
            what = {"platform": f"{platform.os}_{platform.arch}", "size": stored.size, "sha256": stored.sha256, "h1": package.h1}
            self._record(uow, maker, "platform.upload", provider, version, **what)
            await uow.flush()
            await complete_if_whole(uow, maker, provider, version)
            claim.make()
            await uow.commit()

    async def _locked(self, uow: UnitOfWork, version_id: str) -> tuple[RegistryProvider, ProviderVersion]:
        found = await uow.run(lambda session: queries.version_for_update(session, version_id))
        if found is None:
            raise NotFound(_GONE)
        return found

    async def _maker(self, uow: UnitOfWork, provider: RegistryProvider, version: ProviderVersion) -> Actor:
        return await uow.run(lambda session: publishing.maker(session, self._authz, self._actor_of, provider, version))

    def _record(
        self, uow: UnitOfWork, maker: Actor, action: str, provider: RegistryProvider, version: ProviderVersion, **detail: object
    ) -> None:
        what = {"provider": provider.address, "version": version.version, **detail}
        audit.record(uow, maker, f"registry-provider-{action}", "registry-provider-versions", version.id, **what)


def _given(version: ProviderVersion | None) -> ProviderVersion:
    if version is None:
        raise NotFound(_GONE)
    if version.revocation is not None:
        raise Gone(f"version {version.version} was revoked: {version.revocation['reason']}", code="version_revoked")
    return version


def _of_platform(session: Session, platform_id: str) -> tuple[ProviderPlatform, ProviderVersion, RegistryProvider]:
    platform = queries.platform_by_id(session, platform_id)
    version = queries.version_by_id(session, platform.version_id) if platform is not None else None
    provider = queries.provider(session, version.provider_id) if version is not None else None
    if platform is None or version is None or provider is None:
        raise NotFound(_GONE)
    return platform, version, provider


def _other(platform: ProviderPlatform) -> Conflict:
    return Conflict(f"{platform.filename} is here already, and this is another one; its bytes never change", code="other_bytes")
