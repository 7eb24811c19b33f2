"""When a version is whole: what it still waits for, and what happens when nothing is missing any more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from terrapod_core import audit
from terrapod_core.authz import Actor
from terrapod_core.db import UnitOfWork
from terrapod_core.errors import Conflict
from terrapod_core.packages.files import DEFAULT_PROTOCOLS, zip_name
from terrapod_core.packages.sums import read_sums
from terrapod_core.registry import publishing
from terrapod_core.registry.models import VersionStatus
from terrapod_core.registry.providers import queries
from terrapod_core.registry.providers.models import ProviderPlatform, ProviderVersion, RegistryProvider, Source


def named_by(provider: RegistryProvider, version: ProviderVersion) -> Mapping[tuple[str, str], str] | None:
    """The SHA-256 of each platform's zip, as `SHA256SUMS` says; `None` while it is not here."""
    return read_sums(version.sums, provider.name, version.version) if version.sums is not None else None


def awaited(provider: RegistryProvider, version: ProviderVersion, platforms: Sequence[ProviderPlatform]) -> list[str]:
    """The names of the files that a version waits for, and what else; empty when it waits for nothing."""
    if version.status != VersionStatus.PENDING:
        return []
    missing = [each.filename for each in platforms if not each.is_uploaded]
    if version.source == Source.TERRAPOD:
        if not platforms:
            return ["a zip"]
        return missing or ["to be published"]
    named = named_by(provider, version)
    there = {(each.os, each.arch) for each in platforms}
    if named is not None:
        missing += [zip_name(provider.name, version.version, *each) for each in named if each not in there]
    files = [("SHA256SUMS", version.sums), ("SHA256SUMS.sig", version.signature)]
    return [name for name, content in files if content is None] + sorted(missing)


async def complete_if_whole(uow: UnitOfWork, maker: Actor, provider: RegistryProvider, version: ProviderVersion) -> None:
    """Let a version be seen, or wait for a publisher, that its publisher signed and that waits for nothing more.

    Both rows are locked; `maker` is who made it, as they are now. Raises `Conflict` when the key is not there any more.
    """
    platforms = (await uow.run(lambda session: queries.platforms(session, [version.id]))).get(version.id, ())
    if version.source != Source.PUBLISHER or awaited(provider, version, platforms):
        return
    key_id = version.key_id or ""
    if await uow.run(lambda session: queries.gpg_key_for(session, provider, key_id)) is None:
        raise Conflict(f"the key {key_id} of this version was deleted; delete the version, and make it anew with another key")
    version.is_held = version.is_held or publishing.holds_back(provider, maker)
    complete(uow, maker, provider, version, platforms)


def complete(
    uow: UnitOfWork, actor: Actor, provider: RegistryProvider, version: ProviderVersion, platforms: Sequence[ProviderPlatform]
) -> None:
    """All that belongs to it is here, checked and signed."""
    version.protocols = version.protocols or list(DEFAULT_PROTOCOLS)
    version.complete(uow.now())
    if version.is_published:
        provider.tell(uow.now())
    audit.record(
        uow,
        actor,
        "registry-provider-version.publish" if version.is_published else "registry-provider-version.hold",
        "registry-provider-versions",
        version.id,
        provider=provider.address,
        version=version.version,
        source=version.source,
        key=version.key_id,
        platforms={f"{each.os}_{each.arch}": each.sha256 for each in platforms},
    )


def check_pending(version: ProviderVersion) -> None:
    """Raise `Conflict` for a version that takes nothing more."""
    if version.status != VersionStatus.PENDING:
        state = "is published" if version.is_published else "waits for a publisher to release it"
        raise Conflict(f"version {version.version} {state}, and what it consists of never changes", code="version_whole")
