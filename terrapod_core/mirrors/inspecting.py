"""Whether what came is what was announced: its digest, and that it is an archive at all."""

from __future__ import annotations

import asyncio
import re
import zipfile
from dataclasses import dataclass
from typing import Final

from terrapod_core.errors import TerrapodError
from terrapod_core.mirrors.models import MirrorPackage
from terrapod_core.mirrors.spool import PIECE, Spool
from terrapod_core.mirrors.upstreams import UpstreamTrouble
from terrapod_core.packages.zips import PackageLimits, dirhash
from terrapod_core.plugin import ModuleSource, Source
from terrapod_core.tarballs import ArchiveInspector, ArchiveLimits, Entry

LIMITS: Final = PackageLimits(entries=100_000)
MODULE_LIMITS: Final = ArchiveLimits(entries=100_000, unpacked_bytes=2 << 30)


@dataclass(frozen=True)
class Found:
    """What is known of a file now that it is here."""

    h1: str | None
    """`None` for what is no zip."""
    top: str = ""
    """The one folder that everything is in; empty when there is none, or several."""


async def inspected(source: Source, package: MirrorPackage, spool: Spool, name: str) -> Found:
    """Raises `UpstreamTrouble`, with the reason, for anything that must not be kept."""
    if spool.size == 0:
        raise _refused(name, "it is empty")
    if package.sha256 is not None and spool.sha256 != package.sha256:
        raise _refused(name, f"its SHA-256 is {spool.sha256}, and it must be {package.sha256}")
    try:
        found = await asyncio.to_thread(_looked_through, source, package.filename, spool)
    except TerrapodError as error:
        raise _refused(name, error.detail) from error
    if package.h1 is not None and found.h1 != package.h1:
        raise _refused(name, f"its hash is {found.h1}, and it must be {package.h1}")
    return found


def _looked_through(source: Source, filename: str, spool: Spool) -> Found:
    spool.file.seek(0)
    if not isinstance(source, ModuleSource):
        return Found(dirhash(spool.file, LIMITS))
    tops: set[str] = set()
    if filename.endswith(".zip"):
        h1 = dirhash(spool.file, LIMITS)
        with zipfile.ZipFile(spool.file) as archive:
            tops = {_top(each) for each in archive.namelist()}
        return Found(h1, _only(tops))

    def noted(entry: Entry) -> bool:
        tops.add(_top(entry.path.decode(errors="replace")))
        return False  # its content is not wanted

    inspector = ArchiveInspector(MODULE_LIMITS, "module", noted)
    while piece := spool.file.read(PIECE):
        inspector.feed(piece)
    inspector.finish()
    return Found(None, _only(tops))


def _top(path: str) -> str:
    first, slash, _ = path.removeprefix("./").partition("/")
    return first if slash else ""


def _only(tops: set[str]) -> str:
    return next(iter(tops)) if len(tops) == 1 else ""


def rooted(root: str, found: Found, name: str) -> str:
    """Where the module is in its archive, `*` replaced by the folder's name: terraform 1.11 knows no `*` there.

    Raises `UpstreamTrouble` when there is not one folder at the top.
    """
    first, slash, rest = root.partition("/")
    if first != "*":
        return root
    if not re.fullmatch(r"[\w.+-]+", found.top, re.ASCII):
        raise _refused(
            name, "it has not one folder at its top, of a name that terraform can ask for, in which its registry says the module is"
        )
    return found.top + slash + rest


def _refused(name: str, why: str) -> UpstreamTrouble:
    return UpstreamTrouble(f"{name} is refused: {why}", code="package_refused")
