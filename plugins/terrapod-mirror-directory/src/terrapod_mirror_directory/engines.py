"""Engines in one directory: zips called as their publishers call them, with `SHA256SUMS` of all of them.

terraform_1.11.4_linux_amd64.zip
tofu_1.9.1_linux_amd64.zip
SHA256SUMS
SHA256SUMS.sig    a detached signature by OpenPGP, unless `unsigned` is set
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from typing import Final

from terrapod_core.plugin import (
    Answer,
    Document,
    EngineSource,
    Index,
    Offered,
    Package,
    Platform,
    Sums,
    Upstream,
    UpstreamMissing,
)
from terrapod_mirror_directory.places import LocalFiles

SUMS: Final = "SHA256SUMS"
SUMS_BYTES: Final = 1 << 20
SIGNATURE_BYTES: Final = 64 << 10

_LINE: Final = re.compile(r"([0-9a-fA-F]{64})[ \t]+\*?(\S+)")
_ZIP: Final = re.compile(r"(terraform|tofu)_([0-9A-Za-z.+~-]{1,128})_([a-z0-9]{1,32})_([a-z0-9]{1,32})\.zip")

Files = dict[str, str | None]
"""SHA-256 by name; `None` where it is not known."""


@dataclass(frozen=True)
class Engines:
    """One directory of them."""

    url: str
    upstream: Upstream
    signed: bool

    async def index(self, source: EngineSource, validator: str | None) -> Index | None:
        found = await self._listed(validator)
        if found is None:
            return None
        versions: dict[str, list[Platform]] = {}
        for match in filter(None, map(_ZIP.fullmatch, found.value)):
            if match[1] == source.tool and found.is_version(match[2]):
                versions.setdefault(match[2], []).append(Platform(match[3], match[4]))
        found.check_count(versions)
        return Index(tuple(Offered(name, tuple(platforms)) for name, platforms in versions.items()), found.answer.validator)

    async def package(self, source: EngineSource, version: str, platform: Platform) -> Package:
        found = await self._listed(None)
        assert found is not None, "there was no condition"
        name = f"{source.tool}_{version}_{platform}.zip"
        if name not in found.value or not _ZIP.fullmatch(name):
            raise UpstreamMissing(f"There is no {name} in {self.url}.")
        return Package(name, f"{self.url}{name}", await self._sums(found.answer), found.value[name])

    async def _sums(self, sums: Answer) -> Sums | None:
        if not self.signed:
            return None
        missing = f"There is no {SUMS}.sig in {self.url}, and engines from there must be signed (mirror.directory.unsigned lifts this)."
        return Sums(sums.body, await self.upstream.whole(f"{self.url}{SUMS}.sig", most=SIGNATURE_BYTES, missing=missing), ())

    async def _listed(self, validator: str | None) -> Document[Files] | None:
        url = f"{self.url}{SUMS}"
        try:
            found = await self.upstream.get(url, most=SUMS_BYTES, missing=f"There is no {SUMS} in {self.url}.", validator=validator)
        except UpstreamMissing:
            if self.signed or not isinstance(self.upstream, LocalFiles):
                raise
            names: Files = dict.fromkeys(await asyncio.to_thread(self.upstream.names))
            return Document(names, Answer(b"", url, {}))
        return None if found is None else _read(found)


def _read(sums: Answer) -> Document[Files]:
    """Every line; raises `UpstreamFailed` for one that is none."""
    found = Document[Files]({}, sums)
    for number, line in enumerate(sums.body.decode("utf-8", "replace").splitlines(), start=1):
        match = _LINE.fullmatch(line.strip())
        if match is not None:
            found.value[match[2]] = match[1].lower()
        elif line.strip():
            raise found.odd(f"has a {SUMS} whose line {number} is not a SHA-256 and a file's name")
    return found
