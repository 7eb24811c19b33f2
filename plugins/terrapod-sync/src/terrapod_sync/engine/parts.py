"""What all parts of the engine hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from sqlalchemy.orm import Session

from terrapod_core.plugin import Caller, ServerContext
from terrapod_sync.engine.metrics import Metrics
from terrapod_sync.engine.runs import RunsAPI
from terrapod_sync.engine.timetable import Timetable
from terrapod_sync.settings import SyncSettings

T = TypeVar("T")


class Parts:
    """The server as the engine sees it."""

    def __init__(self, context: ServerContext[SyncSettings]) -> None:
        self.settings = context.settings
        self.tables = context.tables
        self.callers = context.callers
        self.workspaces = context.workspaces
        self.clock = context.clock
        self.log = context.log
        self.runs = RunsAPI(context.api)
        self.timetable = Timetable(context.settings)
        self.metrics = Metrics(context.metrics)

    async def read(self, query: Callable[[Session], T]) -> T:
        """Run a query over the plugin's tables."""
        return await self.tables.read(query)

    async def remembered(self, user_id: str) -> Caller | None:
        """The one in whose name something is done, as they are now; `None` when they are disabled or gone."""
        return await self.callers.remembered(user_id)
