"""The doors of the pages of providers and of the keys that verify them, over the services of providers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy.orm import Session

from terrapod_core.authz import Actor
from terrapod_core.db import Database
from terrapod_core.jsonapi import Page, PageRequest
from terrapod_core.registry.providers import queries, server_key
from terrapod_core.registry.providers.completion import awaited
from terrapod_core.registry.providers.keys import GPGKeys
from terrapod_core.registry.providers.models import GPGKey, ProviderPlatform, ProviderVersion, RegistryProvider, Source
from terrapod_core.registry.providers.queries import Address
from terrapod_core.registry.providers.releases import Releases
from terrapod_core.registry.providers.service import Providers
from terrapod_core.registry.uses.kinds import PROVIDERS
from terrapod_core.ui.registry_doors import UsesDoor, asked, changes, chosen_number, line, named, names, numbers, offered, paged, row
from terrapod_core.ui.registry_views import (
    ItemRow,
    KeyLine,
    PlatformLine,
    ProviderView,
    RegistryAction,
    Search,
    VersionLine,
)

KIND: Final = "providers"


@dataclass(frozen=True)
class ProviderDoor:
    """Providers, for their pages."""

    providers: Providers
    releases: Releases
    uses: UsesDoor
    db: Database

    async def list(self, actor: Actor, page: PageRequest, search: Search) -> Page[ItemRow]:
        """Those the actor may see, by address."""
        found = await self.providers.list(actor, asked(page, search))
        known = await self.db.read(lambda session: _numbers(session, found.items))
        return paged(found, [row(each, KIND, known.get(each.id, ())) for each in found.items])

    async def show(self, actor: Actor, address: Sequence[str], number: str | None, versions: PageRequest, part: str) -> ProviderView:
        """A provider as its page shows it; it has no parts."""
        wanted = Address(*address)
        provider = await self.providers.read(actor, wanted)
        page = await self.releases.list(actor, wanted, versions)
        if number is None:
            found = await self.db.read(lambda session: _numbers(session, [provider]))
            number = chosen_number(found.get(provider.id, ()))
        version = await self.releases.read(actor, wanted, number) if number is not None else None

        def more(session: Session) -> tuple[Mapping[str, str], KeyLine | None]:
            return names(session, [provider.owner_id, *provider.publishers]), _key_of(session, provider, version)

        known, key = await self.db.read(more)
        return ProviderView(
            address=provider.address,
            kind=KIND,
            owner=known.get(provider.owner_id or ""),
            publishers=named(known, provider.publishers),
            labels=provider.labels,
            versions=paged(page, [line(each) for each in page.items]),
            shown=line(version) if version is not None else None,
            used_by=await self.uses.of(actor, PROVIDERS, wanted),
            offered=offered(actor, provider, version, publishes=provider.can_publish, updates=provider.can_update),
            may_publish=provider.can_publish,
            may_delete=provider.can_update,
            platforms=[_platform(each) for each in version.platforms] if version is not None else (),
            protocols=(version.protocols or ()) if version is not None else (),
            signed_by_server=version is not None and version.source == Source.TERRAPOD,
            key_id=version.key_id if version is not None else None,
            key=key,
            waits_for=awaited(provider, version, version.platforms) if version is not None and provider.can_publish else (),
        )

    async def act(self, actor: Actor, address: Sequence[str], number: str, action: RegistryAction, fields: Mapping[str, str]) -> None:
        """Do it, by the same service as the API."""
        wanted = Address(*address)
        match action:
            case RegistryAction.RELEASE:
                await self.releases.release(actor, wanted, number)
            case RegistryAction.DELETE:
                await self.releases.delete(actor, wanted, number)
            case _:
                await self.releases.update(actor, wanted, number, changes(action, fields))

    async def delete(self, actor: Actor, address: Sequence[str]) -> None:
        """Delete a provider with all of its versions."""
        wanted = Address(*address)
        await self.providers.delete(actor, wanted)


@dataclass(frozen=True)
class KeyDoor:
    """The keys, for their page."""

    keys: GPGKeys
    db: Database

    async def list(self, actor: Actor, page: PageRequest) -> Page[KeyLine]:
        """Those of publishers that the actor may see."""
        found = await self.keys.list(actor, (), page)
        return paged(found, [_key(each) for each in found.items])

    async def own(self) -> KeyLine | None:
        """The server's own; `None` before it signed anything."""
        return await self.db.read(_own)


def _numbers(session: Session, providers: Sequence[RegistryProvider]) -> Mapping[str, Sequence[VersionLine]]:
    return numbers(session, ProviderVersion.provider_id, providers, {each.id for each in providers if each.can_publish})


def _platform(platform: ProviderPlatform) -> PlatformLine:
    return PlatformLine(platform.os, platform.arch, platform.filename, platform.size, platform.sha256, platform.h1)


def _key_of(session: Session, provider: RegistryProvider, version: ProviderVersion | None) -> KeyLine | None:
    if version is None or version.key_id is None:
        return None
    if version.source == Source.TERRAPOD:
        return _own(session)
    key = queries.gpg_key_for(session, provider, version.key_id)
    return _key(key) if key is not None else None


def _own(session: Session) -> KeyLine | None:
    key = server_key.own(session)
    if key is None:
        return None
    return KeyLine(key.key_id, server_key.USER, key.ascii_armor, created_at=key.created_at)


def _key(key: GPGKey) -> KeyLine:
    return KeyLine(
        key_id=key.key_id,
        user=key.user,
        armor=key.ascii_armor,
        fingerprint=key.fingerprint,
        namespace=key.namespace,
        providers=[each.address for each in key.providers],
        whole_namespace=key.whole_namespace,
        created_at=key.created_at,
        expires_at=key.expires_at,
    )
