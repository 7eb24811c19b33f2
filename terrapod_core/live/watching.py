"""One stream of events: what its client missed, then what happens, as far as its actor may see it at that moment."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

import msgspec

from terrapod_core.authz import Actor, Authorizer, Permission
from terrapod_core.db import Database
from terrapod_core.live import queries
from terrapod_core.live.feed import Feed
from terrapod_core.live.guards import Guards
from terrapod_core.live.kinds import DELETED, News, news
from terrapod_core.web.streams import event

MOST_WAITING: Final = 256
"""Events that wait for a slow client. One more, and it is told to fetch everything anew."""

PAGE: Final = 200


class Watching:
    """A source of events: of a run, of a workspace, or (with neither) of all that the actor may read."""

    def __init__(
        self,
        db: Database,
        authz: Authorizer,
        feed: Feed,
        guards: Guards,
        *,
        workspace_id: str | None = None,
        run_id: str | None = None,
        after: str | None = None,
    ) -> None:
        """`after` is the id of the last event that the client has seen, as it says; `None` begins with the next one."""
        self.workspace_id = workspace_id
        self._run_id = run_id
        self._db = db
        self._authz = authz
        self._feed = feed
        self._guards = guards
        self._after = after
        self._waiting: deque[News] = deque()
        self._position: int | None = None
        """Everything up to here was told, or was not for this stream; `None` before the first look."""
        self._until = 0
        """From the position to here the database knows what happened, after it the feed."""
        self._reset: str | None = None
        self._gone = False
        self._wake: Callable[[], None] = lambda: None

    # -- the feed's side

    def hear(self, told: News) -> None:
        """Keep it for the stream's next look."""
        if self._run_id is not None and told.run_id != self._run_id and told.kind is not DELETED:
            return
        if len(self._waiting) >= MOST_WAITING:
            self._reset = "too_slow"
            self._waiting.clear()
        self._waiting.append(told)
        self._wake()

    # -- the stream's side

    def begin(self, wake: Callable[[], None]) -> None:
        """Have the stream woken when there is news."""
        self._wake = wake

    async def take(self, actor: Actor) -> bytes | None:
        """The next events; `None` when the actor may not see the run or the workspace any more, or it is gone."""
        if self._gone or not await self._readable(actor):
            return None
        if self._position is None:
            return await self._join()
        if self._reset is not None:
            return self._begin_anew()
        if self._position < self._until:
            return await self._missed(actor, self._position)
        pieces = []
        while self._waiting and not self._gone:
            told = self._waiting.popleft()
            if told.id > self._position:  # else the client has it from a server that was ahead of this one
                pieces.append(await self._told(actor, told))
                self._position = told.id
        return b"".join(pieces)

    def beat(self) -> bytes:
        """How far the client is, so that it can come back to a quiet stream too."""
        if self._position is None:
            return b""
        if self._position >= self._until and not self._waiting and self._reset is None:
            self._position = max(self._position, self._feed.position)
        return b"id: %d\n" % self._position

    def end(self) -> None:
        """Hear nothing more."""
        self._feed.leave(self)
        self._waiting.clear()

    # -- inside

    async def _readable(self, actor: Actor) -> bool:
        if self.workspace_id is None:
            return True
        permission = Permission.WORKSPACE_READ if self._run_id is None else Permission.RUN_READ
        workspace = await self._guards.of(self.workspace_id)
        return workspace is not None and self._authz.allows(actor, permission, workspace)

    async def _join(self) -> bytes:
        self._until = self._position = await self._feed.join(self)
        if self._after is None:
            return b"id: %d\n\n" % self._position
        head = await self._db.read(queries.head)
        if not (self._after.isascii() and self._after.isdigit() and len(self._after) < 19) or int(self._after) > head.last:
            self._reset = "unknown"
        elif int(self._after) < head.swept:
            self._reset = "too_old"
        else:
            self._position = int(self._after)
        return b"id: %d\n\n" % self._position if self._reset is None else self._begin_anew()

    def _begin_anew(self) -> bytes:
        """Tell the client to fetch what it shows: what it missed cannot be told."""
        reason, self._reset = self._reset, None
        assert self._position is not None
        if self._waiting:
            self._until = self._position = self._waiting[0].id - 1
        return event("reset", msgspec.json.encode({"type": "reset", "reason": reason}), self._position)

    async def _missed(self, actor: Actor, position: int) -> bytes:
        rows = await self._db.read(
            lambda session: queries.after(session, position, PAGE, until=self._until, workspace_id=self.workspace_id)
        )
        found = [each for row in rows if (each := news(row)) is not None]
        await self._guards.renew({each.workspace_id for each in found})
        mine = [each for each in found if self._run_id is None or each.run_id == self._run_id or each.kind is DELETED]
        pieces = [await self._told(actor, each) for each in mine]
        self._position = rows[-1].id if len(rows) == PAGE else self._until
        return b"".join(pieces) or b"id: %d\n\n" % self._position

    async def _told(self, actor: Actor, told: News) -> bytes:
        """The event, if the actor may see it as things are now."""
        workspace = await self._guards.of(told.workspace_id)
        if workspace is None or not self._authz.allows(actor, told.kind.permission, workspace):
            return b""
        if told.kind is DELETED:
            self._gone = self.workspace_id is not None
        elif workspace.deleted_at is not None:
            return b""
        return told.text
