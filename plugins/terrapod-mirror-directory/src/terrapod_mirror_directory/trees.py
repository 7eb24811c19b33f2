"""A tree that `terraform providers mirror` made: HOST/NAMESPACE/TYPE/index.json and VERSION.json, and zips beside them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import msgspec

from terrapod_core.plugin import Document, Index, Offered, Package, Platform, ProviderSource, Upstream, UpstreamMissing, segments

_H1: Final = re.compile(r"h1:[0-9A-Za-z+/]{43}=")
_ZH: Final = re.compile(r"zh:([0-9a-f]{64})")


class _Index(msgspec.Struct):
    versions: dict[str, dict[str, object]]


class _Archive(msgspec.Struct):
    url: str
    hashes: list[str] | None = None


class _Version(msgspec.Struct):
    archives: dict[str, _Archive]


@dataclass(frozen=True)
class Tree:
    """One of them. Nothing in it is signed: the operator vouches for it by the setting `provider_hosts`."""

    url: str
    upstream: Upstream

    async def index(self, source: ProviderSource, validator: str | None) -> Index | None:
        url = f"{self._folder(source)}/index.json"
        missing = f"There is no provider {source} in {self.url}."
        found = await self.upstream.document(url, _Index, missing=missing, validator=validator)
        if found is None:
            return None
        found.check_count(found.value.versions)
        return Index(tuple(Offered(each) for each in found.value.versions if found.is_version(each)), found.answer.validator)

    async def package(self, source: ProviderSource, version: str, platform: Platform) -> Package:
        url = f"{self._folder(source)}/{segments(version)}.json"
        found = await self.upstream.document(url, _Version, missing=f"There is no {source} {version} in {self.url}.")
        assert found is not None, "there was no condition"
        archive = found.value.archives.get(str(platform))
        if archive is None:
            made = ", ".join(str(_platform(found, each)) for each in found.value.archives) or "nothing"
            raise UpstreamMissing(f"{source} {version} is in {self.url} for {made}, and not for {platform}.")
        return Package(
            filename=f"terraform-provider-{source.type}_{version}_{platform}.zip",
            location=found.link(archive.url),
            sha256=next((match[1] for each in archive.hashes or () if (match := _ZH.fullmatch(each))), None),
            h1=next((each for each in archive.hashes or () if _H1.fullmatch(each)), None),
        )

    def _folder(self, source: ProviderSource) -> str:
        return f"{self.url}{source.host}/{segments(source.namespace, source.type)}"


def _platform(found: Document[_Version], text: str) -> Platform:
    os, _, arch = text.partition("_")
    return found.platform(os, arch)
