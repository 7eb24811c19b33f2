"""Modules, by the module registry protocol."""

from __future__ import annotations

import msgspec

from terrapod_core.plugin import Index, ModuleSource, Offered, Package, segments
from terrapod_mirror_registry.asking import Registry
from terrapod_mirror_registry.providers import location_of
from terrapod_mirror_registry.sources import Archive, Unusable, archive_of


class _Version(msgspec.Struct):
    version: str


class _Module(msgspec.Struct):
    versions: list[_Version]


class _Modules(msgspec.Struct):
    modules: list[_Module]


async def index(registry: Registry, source: ModuleSource, validator: str | None) -> Index | None:
    """Of one module."""
    url = f"{await registry.modules()}{_path(source)}/versions"
    found = await registry.document(url, _Modules, missing=f"{source.host} has no module {source}.", validator=validator)
    if found is None:
        return None
    if not found.value.modules:
        raise found.odd(f"answered with no module in the place of {source}")
    versions = found.value.modules[0].versions  # terraform looks at the first alone
    found.check_count(versions)
    names = dict.fromkeys(each.version for each in versions if found.is_version(each.version))
    return Index(tuple(map(Offered, names)), found.answer.validator)


async def package(registry: Registry, source: ModuleSource, version: str) -> tuple[Package, str]:
    """One archive, and where it is."""
    url = f"{await registry.modules()}{_path(source)}/{segments(version)}/download"
    found = await archive(registry, url, f"{source} {version}")
    name = f"{source.namespace}-{source.name}-{source.system}_{version}.{found.kind}"
    return Package(name, location_of(registry, url), sha256=found.sha256, root=found.root), found.url


async def archive(registry: Registry, url: str, what: str) -> Archive:
    """What the download at this URL leads to."""
    found = await registry.head(url, missing=f"{registry.host} has no {what}.")
    get = found.answer.headers.get("x-terraform-get")
    if not get:
        raise found.odd(f"says nowhere where {what} is fetched from (there is no X-Terraform-Get)")
    try:
        return archive_of(get, found.base)
    except Unusable as reason:
        raise found.odd(f"{what} {reason}") from None


def _path(source: ModuleSource) -> str:
    return segments(source.namespace, source.name, source.system)
