"""The doors of the pages of providers and of the keys that verify them, over the services of providers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from terrapod_core.authz import Actor
from terrapod_core.db import Database
from terrapod_core.jsonapi import Page, PageRequest
from terrapod_core.registry.providers import queries, server_key
from terrapod_core.registry.providers.completion import awaited
from terrapod_core.registry.providers.keys import GPGKeys
from terrapod_core.registry.providers.models import GPGKey, ProviderPlatform, ProviderVersion, RegistryProvider, Source
from terrapod_core.registry.uses.kinds import PROVIDERS
from terrapod_core.ui.registry_doors import ItemDoor, paged
from terrapod_core.ui.registry_views import KeyLine, PlatformLine, ProviderView


class ProviderDoor(ItemDoor[RegistryProvider, ProviderVersion]):
    """Providers, for their pages."""

    kind = PROVIDERS
    lists = "providers"

    async def show(self, actor: Actor, address: Sequence[str], number: str | None, versions: PageRequest, part: str) -> ProviderView:
        """A provider as its page shows it; it has no parts."""
        view, provider, version = await self.look(actor, address, number, versions)
        if version is None:
            return ProviderView(**vars(view))
        return ProviderView(
            **vars(view),
            platforms=[_platform(each) for each in version.platforms],
            protocols=version.protocols or (),
            signed_by_server=version.source == Source.TERRAPOD,
            key_id=version.key_id,
            key=await self.db.read(lambda session: _key_of(session, provider, version)),
            waits_for=awaited(provider, version, version.platforms) if view.may_publish else (),
        )


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


def _platform(platform: ProviderPlatform) -> PlatformLine:
    return PlatformLine(platform.os, platform.arch, platform.filename, platform.size, platform.sha256, platform.h1)


def _key_of(session: Session, provider: RegistryProvider, version: ProviderVersion) -> KeyLine | None:
    if version.key_id is None:
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
