"""The workspaces whose news is being watched, as the gate needs them; shared by all streams of a process."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from terrapod_core.db import Database
from terrapod_core.live import queries
from terrapod_core.workspaces import Workspace

FRESH: Final = timedelta(seconds=5)
"""How old an answer may be; before events are told, their workspaces are looked at anew."""

MOST: Final = 2048


@dataclass(frozen=True)
class _Seen:
    workspace: Workspace | None
    at: datetime


class Guards:
    """Remembers workspaces for a few seconds, so that a hundred streams of one cost what one costs."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._seen: dict[str, _Seen] = {}
        self._looking = asyncio.Lock()

    async def of(self, workspace_id: str) -> Workspace | None:
        """The workspace; a deleted one too, as long as it has a row. `None` when it has none."""
        seen = self._fresh(workspace_id)
        if seen is None:
            async with self._looking:
                seen = self._fresh(workspace_id) or (await self._look({workspace_id}))[workspace_id]
        return seen.workspace

    async def renew(self, workspace_ids: Collection[str]) -> None:
        """Look at these now, in one query."""
        if not workspace_ids:
            return
        async with self._looking:
            await self._look(workspace_ids)

    def _fresh(self, workspace_id: str) -> _Seen | None:
        seen = self._seen.get(workspace_id)
        return seen if seen is not None and timedelta(0) <= self._db.clock.now() - seen.at < FRESH else None

    async def _look(self, workspace_ids: Collection[str]) -> dict[str, _Seen]:
        now = self._db.clock.now()
        found = await self._db.read(lambda session: queries.guarded(session, list(workspace_ids)))
        looked = {each: _Seen(found.get(each), now) for each in workspace_ids}
        if len(self._seen) > MOST:
            self._seen = {each: seen for each, seen in self._seen.items() if now - seen.at < FRESH}
        self._seen |= looked
        return looked
