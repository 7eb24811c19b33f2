"""Loads a bundle: all of it is verified before the first release is, and each release is there whole or not at all.

What is interrupted is simply done again: releases that are here are skipped.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from terrapod_core.audit import record
from terrapod_core.authz import SYSTEM
from terrapod_core.bundles.keys import BundleKeys
from terrapod_core.bundles.manifest import Manifest, ReleaseOf
from terrapod_core.bundles.problems import BundleError
from terrapod_core.bundles.reading import Bundle, Progress
from terrapod_core.db import Database
from terrapod_core.errors import Conflict, Invalid
from terrapod_core.mirrors.bringing import Bringing, Brought, BroughtPackage, Standing
from terrapod_core.mirrors.releases import scope_of
from terrapod_core.packages.openpgp import PublicKey
from terrapod_core.plugin import Source, Sums

TOLD: Final = 20


@dataclass(frozen=True)
class Options:
    """What the operator said."""

    trust: str | None = None
    """The fingerprint of the exporter's key, when it is not trusted yet."""
    accept_keys: bool = False
    """Pin the keys of publishers that are new here."""


@dataclass
class Loaded:
    """What became of the releases."""

    loaded: int = 0
    skipped: int = 0
    """They were here."""
    unsigned: int = 0
    """Of those that were loaded: nobody but the exporting server vouches for them."""
    refused: list[str] = field(default_factory=list)
    """Why, of each that was not loaded."""


class Loading:
    """One import."""

    def __init__(self, db: Database, keys: BundleKeys, bringing: Bringing, bundle: Bundle) -> None:
        self._db = db
        self._keys = keys
        self._bringing = bringing
        self._bundle = bundle
        self._manifest: Manifest = bundle.manifest
        self._indexes = {each.source: each for each in bundle.manifest.indexes}

    async def run(self, options: Options, verifying: Progress, loading: Progress) -> Loaded:
        """Raises `BundleError` when nothing may be loaded; single releases that may not are in the result."""
        await self._keys.check(self._bundle.public, self._manifest.server, options.trust)
        await asyncio.to_thread(self._bundle.verify, verifying)
        brought = [(release, self.brought(release)) for release in self._manifest.releases]
        result = Loaded()
        standings = await self._look(brought, result)
        self._refuse_without_base([standing for _, _, standing in standings])
        self._refuse_new_keys([(each.source, standing.new_key) for _, each, standing in standings], options)
        for release, each, standing in standings:
            if standing.there:
                result.skipped += 1
                continue
            await self._load(release, each, options, result, loading)
        loading(self._bundle.layout.size, self._bundle.layout.size)
        await self._note(result)
        return result

    async def _look(self, brought: Sequence[tuple[ReleaseOf, Brought]], result: Loaded) -> list[tuple[ReleaseOf, Brought, Standing]]:
        found = []
        for release, each in brought:
            try:
                found.append((release, each, await self._bringing.look(each)))
            except (Conflict, Invalid) as error:
                result.refused.append(error.detail)
        return found

    def _refuse_without_base(self, standings: Sequence[Standing]) -> None:
        missing = [name for standing in standings for name in standing.missing]
        if missing:
            base = self._manifest.base
            what = f"the bundle {base.id} of {base.made_at:%Y-%m-%d %H:%M} UTC" if base is not None else "another bundle"
            more = f" and {len(missing) - TOLD} more" if len(missing) > TOLD else ""
            raise BundleError(
                f"nothing was loaded: this bundle is the difference to {what}, and what is in that one is not here: "
                f"{', '.join(missing[:TOLD])}{more}. Import that one first, or export again without --since"
            )

    def _refuse_new_keys(self, found: Sequence[tuple[Source, PublicKey | None]], options: Options) -> None:
        new = {(scope_of(source), key.fingerprint): key for source, key in found if key is not None}
        if new and not options.accept_keys:
            lines = "".join(f"\n  {scope}: {key.fingerprint} ({key.user})" for (scope, _), key in sorted(new.items()))
            raise BundleError(
                "nothing was loaded: these keys sign what is in the bundle, and their namespaces were not seen with them here. "
                f"Compare them with what the publishers say, then call this again with --accept-keys:{lines}"
            )

    async def _load(self, release: ReleaseOf, brought: Brought, options: Options, result: Loaded, progress: Progress) -> None:
        try:
            await self._bringing.load(brought, self._contents(release, brought, progress), accept=options.accept_keys)
        except (Conflict, Invalid) as error:
            result.refused.append(error.detail)
        else:
            result.loaded += 1
            result.unsigned += brought.sums is None

    async def _contents(
        self, release: ReleaseOf, brought: Brought, progress: Progress
    ) -> AsyncIterator[tuple[BroughtPackage, AsyncIterator[bytes]]]:
        for package, each in zip(release.packages, brought.packages, strict=True):
            if package.file is not None:
                yield each, self._pieces(package.file, progress)

    async def _pieces(self, number: int, progress: Progress) -> AsyncIterator[bytes]:
        pieces: Iterator[bytes] = self._bundle.read(number)
        at = self._bundle.start_of(number)
        while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
            at += len(piece)
            progress(at, self._bundle.layout.size)
            yield piece

    def brought(self, release: ReleaseOf) -> Brought:
        """A release of the bundle, as `mirrors` takes it."""
        signed = release.signed
        index = self._indexes.get(release.source)
        sums = None
        if signed is not None:
            sums = Sums(signed.sums.encode(), signed.signature, (self._manifest.keys[signed.key],))
        return Brought(
            source=release.address,
            version=release.version,
            protocols=release.protocols,
            sums=sums,
            packages=[
                BroughtPackage(each.made_for, each.filename, each.sha256, each.size, each.root, each.file is not None)
                for each in release.packages
            ],
            checked_at=index.checked_at if index is not None else self._manifest.made_at,
            warnings=index.warnings if index is not None else (),
        )

    async def _note(self, result: Loaded) -> None:
        async with self._db.uow() as uow:
            counts = {"loaded": result.loaded, "skipped": result.skipped, "refused": len(result.refused)}
            record(uow, SYSTEM, "bundle.import", "bundles", self._bundle.id, server=self._manifest.server, **counts)
            await uow.commit()
