"""Which versions a source has: told from memory, and asked for anew behind the back of whoever wants to know."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import structlog

from terrapod_core.db import Database
from terrapod_core.errors import NotFound, TerrapodError
from terrapod_core.mirrors import queries
from terrapod_core.mirrors.flights import Flights
from terrapod_core.mirrors.models import IndexState, MirrorIndex, key_of
from terrapod_core.mirrors.upstreams import Sealed, Upstreams, UpstreamTrouble
from terrapod_core.packages.versions import SemanticVersion
from terrapod_core.plugin import Index, Offered, Source
from terrapod_core.settings import Mirrors

log = structlog.get_logger("terrapod.mirrors")


class Indexes:
    """One per process; what is remembered is in the database, for all of them."""

    def __init__(self, db: Database, upstreams: Upstreams, settings: Mirrors) -> None:
        self._db = db
        self._upstreams = upstreams
        self._fresh = timedelta(seconds=settings.index_fresh_seconds)
        self._missing = timedelta(seconds=settings.missing_seconds)
        self._asking = Flights[str, MirrorIndex]()

    async def of(self, source: Source) -> MirrorIndex:
        """What is known of a source; it may be one that had versions once and has none any more.

        What is known is told at once, and when it is old its upstream is asked meanwhile, for the next one who wants to know. Only who
        asks for what nothing is known of waits. Raises `NotFound` (also `Sealed`) and `UpstreamTrouble`.
        """
        state = await self.state(source)
        if isinstance(state, MirrorIndex):
            return state
        known = await self._db.read(lambda session: queries.index(session, source))
        return known if known is not None else await self.ask(source)

    async def state(self, source: Source) -> IndexState | MirrorIndex:
        """The same, where its revision is enough."""
        known = await self._db.look_up(queries.INDEX_STATE, source=key_of(source))
        if known is not None and known.revision > 0:
            if not self._upstreams.sealed and self._is_old(known):
                self._refresh(source)
            return known
        if known is not None and known.is_missing and not self._is_old(known):
            raise _missing(source)
        if known is None or not self._upstreams.sealed:
            self._upstreams.of(source)
        return await self._asking.join(key_of(source), lambda: self._ask(source))

    async def ask(self, source: Source) -> MirrorIndex:
        """Ask the upstream now, and wait for what it says. Raises as `of` does; what was known stays known."""
        return await self._asking.join(key_of(source), lambda: self._ask(source))

    async def close(self) -> None:
        """Ask nobody any more."""
        await self._asking.close()

    def _is_old(self, known: IndexState) -> bool:
        fresh = self._missing if known.is_missing or known.failed_at is not None else self._fresh
        return self._db.clock.now() - max(known.checked_at, known.failed_at or known.checked_at) >= fresh

    def _refresh(self, source: Source) -> None:
        self._asking.start(key_of(source), lambda: self._ask(source))

    async def _ask(self, source: Source) -> MirrorIndex:
        known = await self._db.read(lambda session: queries.index(session, source))
        try:
            # What was told as missing may be there again without its validator having changed.
            found = await self._upstreams.index(source, known.validator if known is not None and not known.is_missing else None)
        except Sealed:
            raise
        except NotFound:
            await self._keep(source, Index(()), missing=True)
            raise
        except UpstreamTrouble as error:
            if known is not None:
                await self._note_failure(source, error)
            raise
        return await self._keep(source, found)

    async def _keep(self, source: Source, found: Index | None, *, missing: bool = False) -> MirrorIndex:
        """Write down what the upstream said; `None` for "as before"."""
        async with self._db.uow() as uow:
            row = await uow.run(lambda session: session.get(MirrorIndex, key_of(source), with_for_update=True))
            now = uow.now()
            if row is None:
                row = MirrorIndex(source=key_of(source), versions=[], warnings=[], revision=0, changed_at=now, is_missing=missing)
                uow.add(row)
            row.checked_at, row.failed_at, row.failure, row.is_missing = now, None, None, missing
            if found is not None and not missing:
                versions = _described(found.versions)
                if versions != row.versions or list(found.warnings) != row.warnings:
                    row.versions, row.warnings = versions, list(found.warnings)
                    row.revision, row.changed_at = row.revision + 1, now
                row.validator = found.validator
            await uow.commit()
            return row

    async def _note_failure(self, source: Source, error: TerrapodError) -> None:
        async with self._db.uow() as uow:
            row = await uow.run(lambda session: session.get(MirrorIndex, key_of(source), with_for_update=True))
            if row is not None:
                row.failed_at, row.failure = uow.now(), error.detail
            await uow.commit()


def _described(versions: Sequence[Offered]) -> list[dict[str, Any]]:
    """The newest first; what is no semantic version is left out, as terraform does, which would fail for the whole list."""
    ordered = [(number, each) for each in versions if (number := SemanticVersion.parse(each.version)) is not None]
    ordered.sort(key=lambda pair: pair[0].order, reverse=True)
    return [
        {
            "version": each.version,
            "platforms": sorted(map(str, each.platforms)) if each.platforms is not None else None,
            "protocols": list(each.protocols),
        }
        for _, each in ordered
    ]


def _missing(source: Source) -> NotFound:
    return NotFound(f"the upstream said a moment ago that it has no {source}", code="upstream_missing")
