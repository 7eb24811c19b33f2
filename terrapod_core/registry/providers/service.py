"""Providers: create, read, list, update, delete."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import delete
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from terrapod_core import audit, ids
from terrapod_core.authz import Actor, Permission
from terrapod_core.authz.gate import missing
from terrapod_core.db import UnitOfWork
from terrapod_core.errors import Conflict, Forbidden
from terrapod_core.jsonapi import Page, Query
from terrapod_core.plugin.events import UserDeleted
from terrapod_core.registry import changes, publishing
from terrapod_core.registry.documents import UpdateItem
from terrapod_core.registry.door import Door
from terrapod_core.registry.models import VersionStatus
from terrapod_core.registry.providers import queries
from terrapod_core.registry.providers.documents import CreateProvider
from terrapod_core.registry.providers.models import KIND, ProviderLabel, ProviderPlatform, ProviderVersion, RegistryProvider
from terrapod_core.registry.providers.queries import Address
from terrapod_core.storage.discards import discard

NOUN: Final = "provider"
VERSION_NOUN: Final = "version of this provider"
TYPE: Final = "registry-providers"


class Providers:
    """go-tfe's `RegistryProviders`."""

    def __init__(self, door: Door) -> None:
        self._door = door

    async def create(self, actor: Actor, new: CreateProvider) -> RegistryProvider:
        """Make a provider that its maker owns and publishes; for those who may give this name.

        Raises `Conflict` for an address that is taken, or was.
        """
        labels = new.labels_or({})
        publishing.check_new_name(self._door.authz, actor, new.name, labels, noun=NOUN)
        namespace = new.checked_namespace()
        async with self._door.db.uow() as uow:
            now = uow.now()
            provider = RegistryProvider(
                id=ids.new("prov"),
                namespace=namespace,
                name=new.name,
                owner_id=actor.user_id,
                labels={},
                publishers=[actor.user_id] if actor.user_id is not None else [],
                revision=0,
                created_at=now,
                updated_at=now,
            )
            uow.add(provider)
            await self._flush(uow, provider.address)
            await uow.run(lambda session: publishing.check_name_unburnt(session, KIND, provider))
            labelled = await changes.label(uow, ProviderLabel, provider, labels)
            more = UpdateItem(publishers=new.publishers, owner=new.owner)
            detail = await changes.update_item(uow, self._door.authz, actor, ProviderLabel, provider, more, noun=NOUN)
            if labelled:
                detail |= {"old_labels": {}, "new_labels": provider.labels}
            audit.record(uow, actor, "registry-provider.create", TYPE, provider.id, provider=provider.address, **detail)
            await changes.seen(uow)
            await uow.commit()
        return self.shown(actor, provider)

    async def read(self, actor: Actor, wanted: str | Address) -> RegistryProvider:
        """The provider of this id or address; `NotFound` when it is not there or not for this actor."""
        look_up, values = queries.parameters(wanted)
        provider = await self._door.db.look_up(look_up, **values)
        return self.shown(actor, self._door.allowed(actor, Permission.REGISTRY_READ, provider, noun=NOUN))

    async def list(self, actor: Actor, query: Query) -> Page[RegistryProvider]:
        """One page of the providers that the actor may read."""
        page = await self._door.db.read(lambda session: queries.providers(session, self._door.authz, actor, query))
        for provider in page.items:
            self.shown(actor, provider)
        return page

    async def labels(self, actor: Actor, wanted: str | Address) -> Sequence[ProviderLabel]:
        """The labels of a provider, as tag bindings."""

        def read(session: Session) -> Sequence[ProviderLabel]:
            provider = self._door.allowed(actor, Permission.REGISTRY_READ, queries.provider(session, wanted), noun=NOUN)
            return changes.labels_of(ProviderLabel, provider)

        return await self._door.db.read(read)

    async def update(self, actor: Actor, address: Address, changed: UpdateItem) -> RegistryProvider:
        """Change labels, publishers, owner; needs the level admin."""
        async with self._door.db.uow() as uow:
            provider = await self._locked(uow, actor, address)
            detail = await changes.update_item(uow, self._door.authz, actor, ProviderLabel, provider, changed, noun=NOUN)
            if detail:
                audit.record(uow, actor, "registry-provider.update", TYPE, provider.id, provider=provider.address, **detail)
                await changes.seen(uow)
            await uow.commit()
        return self.shown(actor, provider)

    async def delete(self, actor: Actor, address: Address) -> None:
        """Remove a provider with all of its versions; needs the level admin. Nobody ever has its address again."""
        async with self._door.db.uow() as uow:
            provider = await self._locked(uow, actor, address)
            discard(uow, await uow.run(lambda session: queries.keys_of_provider(session, provider.id)))
            publishing.burn_name(uow, KIND, provider)
            await uow.session.execute(delete(RegistryProvider).where(RegistryProvider.id == provider.id))
            audit.record(uow, actor, "registry-provider.delete", TYPE, provider.id, provider=provider.address)
            await uow.flush()
            await changes.seen(uow)
            await uow.commit()

    async def disown(self, event: UserDeleted) -> None:
        """Leave what a deleted user owned to platform admins and roles."""
        await changes.disown(self._door.db, RegistryProvider.id, RegistryProvider.owner_id, event.user_id, "registry-provider.disown")

    # -- for the rest of the room

    def shown(self, actor: Actor, provider: RegistryProvider) -> RegistryProvider:
        """The provider with what the actor may do to it."""
        allows = self._door.authz.allows
        provider.can_publish = allows(actor, Permission.REGISTRY_PUBLISH, provider)
        provider.can_update = allows(actor, Permission.REGISTRY_UPDATE, provider)
        return provider

    def load_versions(self, session: Session, actor: Any, providers: Sequence[RegistryProvider]) -> Sequence[ProviderVersion]:
        """The published versions of providers, for `include`; each provider knows their ids from then on."""
        found = queries.published(session, [each.id for each in providers])
        platforms = queries.platforms(session, [each.id for each in found])
        by_id = {each.id: each for each in providers}
        for provider in providers:
            provider.version_ids = [each.id for each in found if each.provider_id == provider.id]
        return [placed(actor, by_id[each.provider_id], each, platforms.get(each.id, ())) for each in found]

    async def _locked(self, uow: UnitOfWork, actor: Actor, address: Address) -> RegistryProvider:
        """The provider with its row locked, for an actor with the level admin."""
        provider = await uow.run(lambda session: queries.for_update(session, address))
        return self._door.allowed(actor, Permission.REGISTRY_UPDATE, provider, noun=NOUN)

    async def _flush(self, uow: UnitOfWork, address: str) -> None:
        try:
            await uow.flush()
        except IntegrityError as error:
            raise Conflict(f"there is a provider {address} already", code="name_taken") from error


def placed(actor: Actor, provider: RegistryProvider, version: ProviderVersion, platforms: Sequence[ProviderPlatform]) -> ProviderVersion:
    """A version that knows whose it is, what the actor may do to it, and its platforms; `provider` is `shown` to the actor."""
    version.provider_namespace, version.provider_name = provider.namespace, provider.name
    version.can_publish, version.can_update = provider.can_publish, provider.can_update
    version.can_upload = version.status == VersionStatus.PENDING and provider.can_publish and made_by(actor, version)
    version.platforms = platforms
    for platform in platforms:
        platform.version = version
    return version


def made_by(actor: Actor, version: ProviderVersion) -> bool:
    """Whether the actor made the version: whatever it comes to consist of is published, or held, in their name."""
    return actor.user_id is not None and actor.user_id == version.created_by_id


def check_maker(actor: Actor, version: ProviderVersion) -> None:
    """Raise `Forbidden` for anybody but who made the version."""
    if not made_by(actor, version):
        raise Forbidden(
            f"only {version.created_by_name}, who made version {version.version}, adds to it: it is published in that name; "
            "delete it to make it in yours",
            code="maker_needed",
        )


def visible(provider: RegistryProvider, version: ProviderVersion | None) -> ProviderVersion:
    """The version when it is there, and published or the provider's own affair; `provider` is `shown`."""
    if version is None or not (version.status == VersionStatus.PUBLISHED or provider.can_publish):
        raise missing(VERSION_NOUN)
    return version
