"""The releases of OpenTofu: a list at get.opentofu.org, files at GitHub."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from typing import Final

import msgspec

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
from terrapod_mirror_opentofu.settings import OpenTofuSettings

TOOL: Final = "tofu"
SUMS_BYTES: Final = 256 << 10
SIGNATURE_BYTES: Final = 64 << 10
SIGNATURE: Final = ".gpgsig"
"""What the signature by OpenPGP ends in; `.sig` is cosign's."""

_PLATFORM: Final = re.compile(r"([a-z0-9]{1,32})_([a-z0-9]{1,32})\.zip")


class _Release(msgspec.Struct):
    id: str
    files: list[str]


class _Releases(msgspec.Struct):
    versions: list[_Release]


class OpenTofuReleases:
    """The mirror `opentofu`: the engine `tofu`."""

    name = "opentofu"

    def __init__(self, settings: OpenTofuSettings, http: HTTPClients) -> None:
        self._index_url = settings.index_url
        self._url = settings.download_url.rstrip("/")
        self._keys = settings.keys
        self._upstream = Upstream(http, [self._index_url, self._url], "mirror.opentofu", settings)

    def serves(self, source: Source) -> bool:
        return source == EngineSource(TOOL)

    def hosts(self) -> Sequence[str]:
        return ()

    def keys(self, source: Source) -> Sequence[str]:
        return self._keys if self.serves(source) else ()

    async def index(self, source: Source, validator: str | None) -> Index | None:
        missing = f"{self._index_url} has no list of OpenTofu's versions."
        found = await self._upstream.document(self._index_url, _Releases, missing=missing, validator=validator)
        if found is None:
            return None
        found.check_count(found.value.versions)
        # Releases without this signature were made by hand, before the first that counts.
        signed = [each for each in found.value.versions if found.is_version(each.id) and f"{_sums(each.id)}{SIGNATURE}" in each.files]
        if len({each.id for each in signed}) != len(signed):
            raise found.odd("names a version twice")
        return Index(tuple(_offered(found, each) for each in signed), found.answer.validator)

    async def package(self, source: Source, version: str, platform: Platform | None) -> Package:
        assert platform is not None, "an engine is made for a platform"
        base = f"{self._url}/v{segments(version)}"
        missing = f"OpenTofu has no version {version} with signed checksums."
        document = await self._upstream.whole(f"{base}/{_sums(version)}", most=SUMS_BYTES, missing=missing)
        name = f"{TOOL}_{version}_{platform}.zip"
        if name.encode() not in document.split():
            raise UpstreamMissing(f"OpenTofu {version} is not made for {platform}.")
        signature = await self._upstream.whole(f"{base}/{_sums(version)}{SIGNATURE}", most=SIGNATURE_BYTES, missing=missing)
        return Package(name, f"{base}/{name}", Sums(document, signature, ()))

    async def fetch(self, package: Package) -> AsyncIterator[bytes]:
        async for piece in self._upstream.stream(package.location, missing=f"{package.location} is not there any more."):
            yield piece


def _sums(version: str) -> str:
    return f"{TOOL}_{version}_SHA256SUMS"


def _offered(document: Document[_Releases], release: _Release) -> Offered:
    head = f"{TOOL}_{release.id}_"
    found = [_PLATFORM.fullmatch(name.removeprefix(head)) for name in release.files if name.startswith(head)]
    return Offered(release.id, tuple(document.platform(match[1], match[2]) for match in found if match is not None))
