"""The platforms of a version: announced one by one, each with the zip that is uploaded for it."""

from __future__ import annotations

from typing import Final

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from terrapod_core import audit, ids
from terrapod_core.authz import Actor, Permission
from terrapod_core.authz.gate import missing
from terrapod_core.db import UnitOfWork
from terrapod_core.errors import Conflict, Invalid
from terrapod_core.jsonapi import Page, PageRequest
from terrapod_core.packages.files import zip_name
from terrapod_core.registry.door import Door
from terrapod_core.registry.providers import queries
from terrapod_core.registry.providers.completion import check_pending, named_by
from terrapod_core.registry.providers.documents import CreatePlatform
from terrapod_core.registry.providers.links import Links
from terrapod_core.registry.providers.models import ProviderPlatform, ProviderVersion, RegistryProvider
from terrapod_core.registry.providers.queries import Address
from terrapod_core.registry.providers.releases import Releases
from terrapod_core.registry.providers.service import check_maker, placed
from terrapod_core.storage.discards import discard

TYPE: Final = "registry-provider-platforms"
PLATFORM: Final = "platform of this version"
MOST: Final = 100


class Platforms:
    """go-tfe's `RegistryProviderPlatforms`."""

    def __init__(self, door: Door, releases: Releases, links: Links) -> None:
        self._door = door
        self._releases = releases
        self._links = links

    async def create(self, actor: Actor, address: Address, number: str, new: CreatePlatform) -> ProviderPlatform:
        """Announce the zip of one more platform; needs the level write, and a version that is not whole.

        Raises `Invalid` for a platform that is there, or that `SHA256SUMS` does not name so.
        """
        async with self._door.db.uow() as uow:
            provider, version = await self._locked(uow, actor, address, number)
            new.check(provider.name, version.version)
            await uow.run(lambda session: _check_new(session, version, new))
            platform = ProviderPlatform(
                id=ids.new("provpltfrm"),
                version_id=version.id,
                os=new.os,
                arch=new.arch,
                filename=zip_name(provider.name, version.version, new.os, new.arch),
                sha256=_announced(provider, version, new),
                created_at=uow.now(),
            )
            uow.add(platform)
            _record(uow, actor, "create", provider, version, platform)
            await uow.commit()
        placed(actor, provider, version, [platform])
        return self._links.of_platform(platform, version)

    async def read(self, actor: Actor, address: Address, number: str, os: str, arch: str) -> ProviderPlatform:
        """One platform."""

        def read(session: Session) -> ProviderPlatform:
            provider, version = self._releases.found(session, actor, address, number)
            platform = queries.platform(session, version.id, os, arch)
            if platform is None:
                raise missing(PLATFORM)
            placed(actor, provider, version, [platform])
            return self._links.of_platform(platform, version)

        return await self._door.db.read(read)

    async def list(self, actor: Actor, address: Address, number: str, page: PageRequest) -> Page[ProviderPlatform]:
        """One page of a version's platforms."""

        def read(session: Session) -> Page[ProviderPlatform]:
            provider, version = self._releases.found(session, actor, address, number)
            found = queries.platform_page(session, version.id, page)
            placed(actor, provider, version, found.items)
            for platform in found.items:
                self._links.of_platform(platform, version)
            return found

        return await self._door.db.read(read)

    async def delete(self, actor: Actor, address: Address, number: str, os: str, arch: str) -> None:
        """Take a platform back while its version is not whole; needs the level write."""
        async with self._door.db.uow() as uow:
            provider, version = await self._locked(uow, actor, address, number)
            platform = await uow.run(lambda session: queries.platform(session, version.id, os, arch))
            if platform is None:
                raise missing(PLATFORM)
            discard(uow, [platform.object_key])
            await uow.session.execute(delete(ProviderPlatform).where(ProviderPlatform.id == platform.id))
            _record(uow, actor, "delete", provider, version, platform)
            await uow.commit()

    async def _locked(self, uow: UnitOfWork, actor: Actor, address: Address, number: str) -> tuple[RegistryProvider, ProviderVersion]:
        """The version and its provider, both rows locked, while it takes something of this actor."""
        provider, version = await self._releases.locked(uow, actor, address, number, Permission.REGISTRY_PUBLISH)
        check_pending(version)
        check_maker(actor, version)
        return provider, version


def _check_new(session: Session, version: ProviderVersion, new: CreatePlatform) -> None:
    if queries.platform(session, version.id, new.os, new.arch) is not None:
        raise Invalid(f"version {version.version} has the platform {new.os}_{new.arch} already", pointer="/data/attributes/os")
    if session.execute(select(func.count()).where(ProviderPlatform.version_id == version.id)).scalar_one() >= MOST:
        raise Conflict(f"a version has at most {MOST} platforms")


def _announced(provider: RegistryProvider, version: ProviderVersion, new: CreatePlatform) -> str | None:
    """The SHA-256 that its zip must have; `None` when nobody said."""
    sent = new.shasum.lower() if new.shasum else None
    named = named_by(provider, version)
    if named is None:
        return sent
    expected = named.get((new.os, new.arch))
    if expected is None:
        raise Invalid(f"SHA256SUMS of version {version.version} names no zip for {new.os}_{new.arch}", pointer="/data/attributes/os")
    if sent is not None and sent != expected:
        raise Invalid(f"SHA256SUMS says {expected} for {new.os}_{new.arch}, and not {sent}", pointer="/data/attributes/shasum")
    return expected


def _record(
    uow: UnitOfWork, actor: Actor, action: str, provider: RegistryProvider, version: ProviderVersion, platform: ProviderPlatform
) -> None:
    what = {"provider": provider.address, "version": version.version, "platform": f"{platform.os}_{platform.arch}"}
    audit.record(uow, actor, f"registry-provider-platform.{action}", TYPE, platform.id, **what)
