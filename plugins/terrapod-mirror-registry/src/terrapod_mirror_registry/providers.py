"""Providers, by the provider registry protocol."""

from __future__ import annotations

import asyncio
import re
from typing import Final

import msgspec

from terrapod_core.plugin import (
    Index,
    Offered,
    Package,
    Platform,
    ProviderSource,
    Sums,
    segments,
)
from terrapod_mirror_registry.asking import Found, Registry

SUMS_BYTES: Final = 256 << 10
SIGNATURE_BYTES: Final = 64 << 10
KEY_BYTES: Final = 256 << 10
MOST_KEYS: Final = 20
MOST_WARNINGS: Final = 20
WARNING_CHARACTERS: Final = 1000

_SHA256: Final = re.compile(r"[0-9a-fA-F]{64}")
_PROTOCOL: Final = re.compile(r"\d{1,3}\.\d{1,3}")


class _Platform(msgspec.Struct):
    os: str
    arch: str


class _Version(msgspec.Struct):
    version: str
    protocols: list[str] | None = None
    platforms: list[_Platform] | None = None


class _Versions(msgspec.Struct):
    versions: list[_Version]
    warnings: list[str] | None = None


class _Key(msgspec.Struct):
    ascii_armor: str


class _Keys(msgspec.Struct):
    gpg_public_keys: list[_Key] | None = None


class _Download(msgspec.Struct):
    os: str
    arch: str
    filename: str
    download_url: str
    shasum: str
    shasums_url: str = ""
    shasums_signature_url: str = ""
    protocols: list[str] | None = None
    signing_keys: _Keys | None = None


class _Location(msgspec.Struct):
    download_url: str


async def index(registry: Registry, source: ProviderSource, validator: str | None) -> Index | None:
    """Of one provider."""
    url = f"{await registry.providers()}{segments(source.namespace, source.type)}/versions"
    found = await registry.document(url, _Versions, missing=f"{source.host} has no provider {source}.", validator=validator)
    if found is None:
        return None
    found.check_count(found.value.versions)
    versions = tuple(_offered(found, each) for each in found.value.versions if found.is_version(each.version))
    if len({each.version for each in versions}) != len(versions):
        raise found.odd("names a version twice")
    warnings = [text[:WARNING_CHARACTERS] for text in found.value.warnings or () if text.isprintable()]
    return Index(versions, found.answer.validator, tuple(warnings[:MOST_WARNINGS]))


async def package(registry: Registry, source: ProviderSource, version: str, platform: Platform) -> tuple[Package, str]:
    """One zip, and where it is."""
    base = f"{await registry.providers()}{segments(source.namespace, source.type, version)}"
    url = f"{base}/download/{segments(*platform)}"
    missing = f"{source.host} has no {source} {version} for {platform}."
    found = await registry.document(url, _Download, missing=missing)
    assert found is not None, "there was no condition"
    _check(found, source, version, platform)
    made = Package(
        filename=found.value.filename,
        location=location_of(registry, url),
        sums=await _sums(registry, found, f"{source} {version}"),
        sha256=found.value.shasum.lower(),
        protocols=_protocols(found, found.value.protocols),
    )
    return made, found.link(found.value.download_url)


async def archive(registry: Registry, url: str) -> str:
    """Where the zip is that the document at this URL names."""
    found = await registry.document(url, _Location, missing=f"{registry.host} does not have it any more.")
    assert found is not None, "there was no condition"
    return found.link(found.value.download_url)


def location_of(registry: Registry, url: str) -> str:
    """What a package of this registry is fetched by."""
    return url if url.startswith(f"https://{registry.host}/") else f"{url}#{registry.host}"


def _offered(found: Found[_Versions], version: _Version) -> Offered:
    platforms = tuple(found.platform(each.os, each.arch) for each in version.platforms or ())
    return Offered(version.version, platforms or None, _protocols(found, version.protocols))


def _protocols(found: Found[_Versions] | Found[_Download], said: list[str] | None) -> tuple[str, ...]:
    if any(not _PROTOCOL.fullmatch(each) for each in said or ()):
        raise found.odd("names a protocol of plugins that is none")
    return tuple(said or ())


def _check(found: Found[_Download], source: ProviderSource, version: str, platform: Platform) -> None:
    said = found.value
    if (said.os, said.arch) != tuple(platform):
        raise found.odd(f"answered with a package for {f'{said.os}_{said.arch}'[:40]}, and was asked for {platform}")
    expected = f"terraform-provider-{source.type}_{version}_{platform}.zip"
    if said.filename != expected:
        raise found.odd(f"names a file {said.filename[:100]!r}, which should be {expected}")
    if not _SHA256.fullmatch(said.shasum):
        raise found.odd("names a checksum that is no SHA-256")


async def _sums(registry: Registry, found: Found[_Download], what: str) -> Sums:
    said = found.value
    if not said.shasums_url or not said.shasums_signature_url:
        raise found.odd(f"names no checksums that are signed for {what}, so nothing shows that a file is the publisher's")
    keys = [each.ascii_armor for each in (said.signing_keys.gpg_public_keys if said.signing_keys is not None else None) or ()]
    if not keys:
        raise found.odd(f"names no signing keys for {what}, so nothing shows who made it")
    if len(keys) > MOST_KEYS or any(len(key) > KEY_BYTES or not key.isascii() for key in keys):
        raise found.odd("names signing keys that cannot be read")
    missing = f"{registry.host} names checksums for {what} that are not there."
    document, signature = await asyncio.gather(
        registry.whole(found.link(said.shasums_url), most=SUMS_BYTES, missing=missing),
        registry.whole(found.link(said.shasums_signature_url), most=SIGNATURE_BYTES, missing=missing),
    )
    return Sums(document, signature, tuple(keys))
