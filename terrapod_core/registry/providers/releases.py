"""Versions of providers: create, read, list, delete; what is said of published ones; who lets them be seen."""

from __future__ import annotations

from typing import Final

from msgspec import UNSET
from sqlalchemy import delete
from sqlalchemy.orm import Session

from terrapod_core import audit, ids
from terrapod_core.authz import Actor, Permission
from terrapod_core.authz.gate import missing
from terrapod_core.db import UnitOfWork
from terrapod_core.errors import Conflict, Invalid, InvalidTransition
from terrapod_core.jsonapi import Page, PageRequest
from terrapod_core.packages.sums import written_sums
from terrapod_core.registry import lifecycle, publishing
from terrapod_core.registry.door import Door
from terrapod_core.registry.lifecycle import UpdateVersion
from terrapod_core.registry.models import VersionStatus
from terrapod_core.registry.providers import queries
from terrapod_core.registry.providers.completion import awaited, complete
from terrapod_core.registry.providers.documents import CreateProviderVersion
from terrapod_core.registry.providers.links import Links
from terrapod_core.registry.providers.models import KIND, ProviderPlatform, ProviderVersion, RegistryProvider, Source
from terrapod_core.registry.providers.queries import Address
from terrapod_core.registry.providers.server_key import ServerKey
from terrapod_core.registry.providers.service import NOUN, VERSION_NOUN, Providers, check_maker, placed, visible
from terrapod_core.storage.discards import discard

TYPE: Final = "registry-provider-versions"
KEY: Final = "/data/attributes/key-id"


class Releases:
    """go-tfe's `RegistryProviderVersions`."""

    def __init__(self, door: Door, providers: Providers, links: Links, server_key: ServerKey) -> None:
        self._door = door
        self._providers = providers
        self._links = links
        self._server_key = server_key

    async def create(self, actor: Actor, address: Address, new: CreateProviderVersion) -> ProviderVersion:
        """Make a version that waits for its files; needs the level write. With a key its publisher signs it, else the server.

        Raises `Conflict` for a number that is taken, or was, `Invalid` for a key that is not for this provider, or verifies no more.
        """
        async with self._door.db.uow() as uow:
            provider = await self._changeable(uow, actor, address)
            number, protocols = new.number(), new.checked_protocols()
            if new.key_id:
                await uow.run(lambda session: self._check_key(session, provider, str(new.key_id)))
            there = await uow.run(lambda session: queries.version(session, provider.id, new.version))
            await uow.run(lambda session: publishing.check_number_free(session, KIND, provider, number, there))
            version = ProviderVersion(
                id=ids.new("provver"),
                provider_id=provider.id,
                version=new.version,
                version_order=number.order,
                status=VersionStatus.PENDING.value,
                is_held=publishing.holds_back(provider, actor),
                source=(Source.PUBLISHER if new.key_id else Source.TERRAPOD).value,
                key_id=new.key_id.upper() if new.key_id else None,
                protocols=protocols,
                created_by_id=actor.user_id,
                created_by_name=actor.name,
                created_at=uow.now(),
                updated_at=uow.now(),
            )
            uow.add(version)
            self._record(uow, actor, "create", provider, version, source=version.source, key=version.key_id)
            await uow.commit()
        return self._links.of_version(placed(actor, self._providers.shown(actor, provider), version, ()))

    async def read(self, actor: Actor, address: Address, number: str) -> ProviderVersion:
        """One version with its platforms; those that are not published only for who may publish."""

        def read(session: Session) -> ProviderVersion:
            provider, version = self.found(session, actor, address, number)
            return self._links.of_version(placed(actor, provider, version, _platforms(session, version)))

        return await self._door.db.read(read)

    async def list(self, actor: Actor, address: Address, page: PageRequest) -> Page[ProviderVersion]:
        """One page of the versions, the highest first."""

        def read(session: Session) -> Page[ProviderVersion]:
            provider = self._readable(session, actor, address)
            found = queries.versions(session, provider.id, page, all_of_them=provider.can_publish)
            platforms = queries.platforms(session, [each.id for each in found.items])
            for version in found.items:
                self._links.of_version(placed(actor, provider, version, platforms.get(version.id, ())))
            return found

        return await self._door.db.read(read)

    async def update(self, actor: Actor, address: Address, number: str, changes: UpdateVersion) -> ProviderVersion:
        """Deprecate a published version, revoke it, or take that back. Revoking needs the level admin, deprecating write."""
        needed = Permission.REGISTRY_PUBLISH if changes.revocation is UNSET else Permission.REGISTRY_UPDATE
        async with self._door.db.uow() as uow:
            provider, version = await self.locked(uow, actor, address, number, needed)
            changes.check()
            was_revoked = version.revocation is not None
            detail = lifecycle.change(version, changes, uow.now())
            if was_revoked and version.revocation is None:
                await uow.run(lambda session: self._check_key_is_there(session, provider, version))
            if detail:
                provider.tell(uow.now())
                self._record(uow, actor, "update", provider, version, **detail)
            await uow.commit()
        return await self.read(actor, address, number)

    async def delete(self, actor: Actor, address: Address, number: str) -> None:
        """Remove a version: the level write for one that nobody could see yet, else admin. A published number is never given away again."""
        async with self._door.db.uow() as uow:
            provider, version = await self.locked(uow, actor, address, number, Permission.REGISTRY_PUBLISH)
            if version.is_published:
                self._door.allowed(actor, Permission.REGISTRY_UPDATE, provider, noun=NOUN)
                provider.tell(uow.now())
            publishing.burn_number(uow, KIND, provider, version)
            platforms = await uow.run(lambda session: _platforms(session, version))
            discard(uow, [each.object_key for each in platforms])
            await uow.session.execute(delete(ProviderVersion).where(ProviderVersion.id == version.id))
            self._record(uow, actor, "delete", provider, version)
            await uow.commit()

    async def publish(self, actor: Actor, address: Address, number: str) -> ProviderVersion:
        """Sign a version with the server's key and let it be seen, when all of its zips are there; for who made it.

        Raises `InvalidTransition` for one that is not pending, or waits for files, or that its publisher signs.
        """

        def look(session: Session) -> bytes:
            provider, version = self.found(session, actor, address, number)
            self._door.allowed(actor, Permission.REGISTRY_PUBLISH, provider, noun=NOUN)
            sums = _to_sign(provider, version, _platforms(session, version))
            check_maker(actor, version)
            return sums

        sums = await self._door.db.read(look)
        signature, key_id = await self._server_key.sign(sums)
        async with self._door.db.uow() as uow:
            provider, version = await self.locked(uow, actor, address, number, Permission.REGISTRY_PUBLISH)
            platforms = await uow.run(lambda session: _platforms(session, version))
            if _to_sign(provider, version, platforms) != sums:
                raise Conflict("the zips of this version changed just now; publish it again")
            version.sums, version.signature, version.key_id = sums, signature, key_id
            version.is_held = version.is_held or publishing.holds_back(provider, actor)
            complete(uow, actor, provider, version, platforms)
            await uow.commit()
        return await self.read(actor, address, number)

    async def release(self, actor: Actor, address: Address, number: str) -> ProviderVersion:
        """Let a version be seen that is held; for publishers."""
        async with self._door.db.uow() as uow:
            provider, version = await self.locked(uow, actor, address, number, Permission.REGISTRY_PUBLISH)
            publishing.check_release(provider, version, actor)
            await uow.run(lambda session: self._check_key_is_there(session, provider, version))
            version.release(uow.now())
            provider.tell(uow.now())
            self._record(uow, actor, "release", provider, version, made_by=version.created_by_name)
            await uow.commit()
        return await self.read(actor, address, number)

    # -- for the rest of the room

    def found(self, session: Session, actor: Actor, address: Address, number: str) -> tuple[RegistryProvider, ProviderVersion]:
        """The version and its provider, for an actor who may see it; else `NotFound`."""
        provider = self._readable(session, actor, address)
        return provider, visible(provider, queries.version(session, provider.id, number))

    # -- inside

    def _readable(self, session: Session, actor: Actor, address: Address) -> RegistryProvider:
        provider = self._door.allowed(actor, Permission.REGISTRY_READ, queries.provider(session, address), noun=NOUN)
        return self._providers.shown(actor, provider)

    async def _changeable(self, uow: UnitOfWork, actor: Actor, address: Address) -> RegistryProvider:
        """The provider with its row locked, for an actor with the level write."""
        provider = await uow.run(lambda session: queries.for_update(session, address))
        return self._door.allowed(actor, Permission.REGISTRY_PUBLISH, provider, noun=NOUN)

    async def locked(
        self, uow: UnitOfWork, actor: Actor, address: Address, number: str, permission: Permission
    ) -> tuple[RegistryProvider, ProviderVersion]:
        """The version and its provider, both rows locked, for an actor with this permission."""

        def find(session: Session) -> tuple[RegistryProvider, ProviderVersion]:
            provider, version = self.found(session, actor, address, number)
            self._door.allowed(actor, permission, provider, noun=NOUN)
            locked = queries.version_for_update(session, version.id)
            if locked is None:  # it was deleted while we waited
                raise missing(VERSION_NOUN)
            return locked

        return await uow.run(find)

    def _check_key(self, session: Session, provider: RegistryProvider, key_id: str) -> None:
        key = queries.gpg_key_for(session, provider, key_id)
        if key is None:
            raise Invalid(f"there is no GPG key {key_id.upper()} for {provider.address}; add it to gpg-keys first", pointer=KEY)
        if key.expires_at is not None and key.expires_at <= self._door.db.clock.now():
            raise Invalid(f"the GPG key {key.key_id} expired on {key.expires_at:%Y-%m-%d}; name another one", pointer=KEY)

    def _check_key_is_there(self, session: Session, provider: RegistryProvider, version: ProviderVersion) -> None:
        if version.source == Source.PUBLISHER and queries.gpg_key_for(session, provider, version.key_id or "") is None:
            raise Conflict(f"the GPG key {version.key_id} that signs it was deleted, and without it nobody could verify this version")

    def _record(
        self, uow: UnitOfWork, actor: Actor, action: str, provider: RegistryProvider, version: ProviderVersion, **detail: object
    ) -> None:
        what = {"provider": provider.address, "version": version.version, **detail}
        audit.record(uow, actor, f"registry-provider-version.{action}", TYPE, version.id, **what)


def _platforms(session: Session, version: ProviderVersion) -> list[ProviderPlatform]:
    return list(queries.platforms(session, [version.id]).get(version.id, ()))


def _to_sign(provider: RegistryProvider, version: ProviderVersion, platforms: list[ProviderPlatform]) -> bytes:
    """The sums that the server is to sign. Raises `InvalidTransition` when they are not its to sign, or not all there."""
    if version.status != VersionStatus.PENDING:
        raise InvalidTransition(f"version {version.version} of {provider.address} is {version.status} already")
    waits_for = [each for each in awaited(provider, version, platforms) if each != "to be published"]
    if waits_for:
        raise InvalidTransition(f"version {version.version} of {provider.address} waits for {', '.join(waits_for)}")
    if version.source != Source.TERRAPOD:
        raise InvalidTransition(f"version {version.version} of {provider.address} is signed by its publisher")
    return written_sums({(each.os, each.arch): each.sha256 or "" for each in platforms}, provider.name, version.version)
