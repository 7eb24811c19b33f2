"""What terraform asks at `init`: which versions there are, and where the zip of one is.

Source: HashiCorp's provider registry protocol (`providers.v1`); what real clients need of it was observed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
from sqlalchemy.orm import Session

from terrapod_core.authz import Actor, Permission
from terrapod_core.errors import Conflict, NotFound
from terrapod_core.packages.protocol import OfferedPlatform, OfferedVersion, OfferedVersions, ProviderPackage, SigningKey, SigningKeys
from terrapod_core.registry.door import Door
from terrapod_core.registry.lifecycle import refuse_revoked
from terrapod_core.registry.models import Version
from terrapod_core.registry.providers import queries, server_key
from terrapod_core.registry.providers.links import Links
from terrapod_core.registry.providers.models import ProviderPlatform, ProviderVersion, RegistryProvider, Source
from terrapod_core.registry.providers.service import NOUN
from terrapod_core.registry.subjects import subject_of
from terrapod_core.web.listings import Listings

MOST_WARNINGS: Final = 20
"""terraform shows all of them to everybody who installs any version."""


@dataclass(frozen=True)
class Found:
    """A zip that the actor may install."""

    provider: RegistryProvider
    version: ProviderVersion
    platform: ProviderPlatform
    key_id: str
    armor: str


class Installs:
    """`providers.v1`."""

    def __init__(self, door: Door, links: Links, listings: Listings) -> None:
        self._door = door
        self._links = links
        self._listings = listings

    async def versions(self, actor: Actor, namespace: str, name: str) -> tuple[RegistryProvider, bytes]:
        """The provider, and the document of its versions: published ones that are not revoked, the highest first.

        `warnings` tells of those that are deprecated, and of those that are missing because they were revoked.
        """
        provider = await self._door.db.look_up(queries.BY_ADDRESS, namespace=namespace, name=name)
        provider = self._door.allowed(actor, Permission.REGISTRY_READ, provider, noun=NOUN)
        document = self._listings.get(provider.id, provider.revision)
        if document is None:
            document = await self._door.db.read(
                lambda session: self._listings.made(provider.id, provider.revision, lambda: _document(session, provider))
            )
        return provider, document

    async def find(self, actor: Actor, namespace: str, name: str, number: str, os: str, arch: str) -> Found:
        """The zip of a platform. Raises `NotFound`, which terraform explains itself, and `Gone` for a version that is revoked."""

        def look(session: Session) -> Found:
            provider = self._door.allowed(actor, Permission.REGISTRY_READ, queries.provider(session, namespace, name), noun=NOUN)
            version = queries.version(session, provider.id, number)
            if version is None or not version.is_published:
                raise NotFound(f"{provider.address} has no version {number}")
            if version.revocation is not None:
                refuse_revoked(provider, version, queries.newest_good(session, provider.id))
            platform = queries.platform(session, version.id, os, arch)
            if platform is None:
                there = queries.platforms(session, [version.id]).get(version.id, ())
                names = ", ".join(f"{each.os}_{each.arch}" for each in there)
                raise NotFound(f"version {version.version} of {provider.address} is not made for {os}_{arch}, but for {names}")
            return Found(provider, version, platform, *_key(session, provider, version))

        return await self._door.db.read(look)

    def package(self, actor: Actor, found: Found, base_url: str) -> bytes:
        """The document of a zip, for the actor; its links are absolute."""
        version, platform = found.version, found.platform
        source = "terrapod" if version.source == Source.TERRAPOD else ""
        return msgspec.json.encode(
            ProviderPackage(
                protocols=version.protocols or [],
                os=platform.os,
                arch=platform.arch,
                filename=platform.filename,
                download_url=base_url + self._links.archive(platform, subject_of(actor)),
                shasums_url=base_url + self._links.sums(version),
                shasums_signature_url=base_url + self._links.signature(version),
                shasum=platform.sha256 or "",
                signing_keys=SigningKeys([SigningKey(found.key_id, found.armor, source=source)]),
            )
        )


def _document(session: Session, provider: RegistryProvider) -> bytes:
    found = queries.installable(session, provider.id)
    platforms = queries.platforms(session, [each.id for each in found])
    versions = [
        OfferedVersion(each.version, each.protocols or [], [OfferedPlatform(one.os, one.arch) for one in platforms.get(each.id, ())])
        for each in found
        if each.revocation is None
    ]
    return msgspec.json.encode(OfferedVersions(provider.address, versions, _warnings(provider, found) or None))


def _warnings(provider: RegistryProvider, found: Sequence[Version]) -> list[str]:
    told = []
    for version in found:
        what, said = ("was revoked", version.revocation) if version.revocation is not None else ("is deprecated", version.deprecation)
        if said is not None:
            link = f" ({said['link']})" if said["link"] else ""
            told.append(f"{provider.address} {version.version} {what} since {said['at'][:10]}: {said['reason']}{link}")
    return told[:MOST_WARNINGS]


def _key(session: Session, provider: RegistryProvider, version: ProviderVersion) -> tuple[str, str]:
    """Id and armour of the key that signed the version."""
    own = server_key.own(session) if version.source == Source.TERRAPOD else None
    key = own or queries.gpg_key_for(session, provider, version.key_id or "")
    if key is None:
        raise Conflict(f"the GPG key {version.key_id} that signs version {version.version} of {provider.address} was deleted")
    return key.key_id, key.ascii_armor
