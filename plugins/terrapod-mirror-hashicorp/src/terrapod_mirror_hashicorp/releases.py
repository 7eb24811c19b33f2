"""The releases of terraform, as releases.hashicorp.com has them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Final

import msgspec
from pysequoia import Cert

from terrapod_core.plugin import (
    Document,
    EngineSource,
    HTTPClients,
    Index,
    Offered,
    Package,
    Platform,
    Source,
    Sums,
    Upstream,
    UpstreamMissing,
    segments,
)
from terrapod_mirror_hashicorp.settings import HashiCorpSettings

TOOL: Final = "terraform"
SUMS_BYTES: Final = 256 << 10
SIGNATURE_BYTES: Final = 64 << 10


class _Build(msgspec.Struct):
    os: str
    arch: str
    filename: str


class _Release(msgspec.Struct):
    version: str
    builds: list[_Build]
    shasums_signatures: list[str] = []
    """Names of files; releases of before 2021 have the signature of a revoked key beside that of the present one."""


class _Releases(msgspec.Struct):
    name: str
    versions: dict[str, _Release]


class HashiCorpReleases:
    """The mirror `hashicorp`: the engine `terraform`."""

    name = "hashicorp"

    def __init__(self, settings: HashiCorpSettings, http: HTTPClients) -> None:
        self._url = settings.url.rstrip("/")
        self._keys = settings.keys
        self._upstream = Upstream(http, [self._url], "mirror.hashicorp", settings)

    def serves(self, source: Source) -> bool:
        return source == EngineSource(TOOL)

    def hosts(self) -> Sequence[str]:
        return ()

    def keys(self, source: Source) -> Sequence[str]:
        return self._keys if self.serves(source) else ()

    async def index(self, source: Source, validator: str | None) -> Index | None:
        missing = f"{self._url} has no index of terraform's releases."
        found = await self._upstream.document(f"{self._url}/{TOOL}/index.json", _Releases, missing=missing, validator=validator)
        if found is None:
            return None
        if found.value.name != TOOL:
            raise found.odd("answered with the releases of something else than terraform")
        found.check_count(found.value.versions)
        versions = [_offered(found, name, release) for name, release in found.value.versions.items() if found.is_version(name)]
        return Index(tuple(versions), found.answer.validator)

    async def package(self, source: Source, version: str, platform: Platform | None) -> Package:
        assert platform is not None, "an engine is made for a platform"
        base = f"{self._url}/{TOOL}/{segments(version)}"
        missing = f"HashiCorp has no terraform {version}."
        found = await self._upstream.document(f"{base}/index.json", _Release, missing=missing)
        assert found is not None, "there was no condition"
        platforms = _offered(found, version, found.value).platforms or ()
        if platform not in platforms:
            made = ", ".join(map(str, platforms)) or "nothing"
            raise UpstreamMissing(f"HashiCorp has terraform {version} for {made}, and not for {platform}.")
        name = _zip_name(version, platform)
        return Package(name, f"{base}/{name}", await self._sums(base, version, found.value))

    async def fetch(self, package: Package) -> AsyncIterator[bytes]:
        async for piece in self._upstream.stream(package.location, missing=f"{package.location} is not there any more."):
            yield piece

    async def _sums(self, base: str, version: str, release: _Release) -> Sums:
        sums = f"{TOOL}_{version}_SHA256SUMS"
        by_key = [f"{sums}.{Cert.from_bytes(key.encode()).fingerprint[-8:].upper()}.sig" for key in self._keys]
        signature = next((each for each in by_key if each in release.shasums_signatures), f"{sums}.sig")
        missing = f"terraform {version} has no signed checksums at {self._url}."
        document = await self._upstream.whole(f"{base}/{sums}", most=SUMS_BYTES, missing=missing)
        return Sums(document, await self._upstream.whole(f"{base}/{signature}", most=SIGNATURE_BYTES, missing=missing), ())


def _offered(document: Document[_Releases] | Document[_Release], version: str, release: _Release) -> Offered:
    if release.version != version:
        raise document.odd(f"has a version {release.version[:40]!r} in the place of {version}")
    builds = [(document.platform(each.os, each.arch), each.filename) for each in release.builds]
    return Offered(version, tuple(platform for platform, name in builds if name == _zip_name(version, platform)))


def _zip_name(version: str, platform: Platform) -> str:
    return f"{TOOL}_{version}_{platform}.zip"
