"""A log on a stream: what there is of it from an offset, then what is appended, then its end."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Final

import msgspec

from terrapod_core.authz import Actor, Authorizer, Permission
from terrapod_core.live.guards import Guards
from terrapod_core.runs import Logs
from terrapod_core.runs.readable import LONGEST_LINE, complete, readable
from terrapod_core.runs.tails import Tail
from terrapod_core.web.streams import event

PIECE_BYTES: Final = 64 * 1024
"""The most text of one event, in bytes of the log."""


class Following:
    """A source of the text of one log."""

    def __init__(
        self, logs: Logs, authz: Authorizer, guards: Guards, phase_id: str, workspace_id: str, offset: int, *, in_words: bool = False
    ) -> None:
        """`offset` is how many bytes of the log the client has; `in_words` tells structured lines as people read them."""
        self._logs = logs
        self._authz = authz
        self._guards = guards
        self._phase_id = phase_id
        self._workspace_id = workspace_id
        self._offset = offset
        self._in_words = in_words
        self._most = LONGEST_LINE if in_words else PIECE_BYTES
        self._tail: Tail | None = None
        self._over = False
        self._wake: Callable[[], None] = lambda: None

    def begin(self, wake: Callable[[], None]) -> None:
        """Have the stream woken when the log grows."""
        self._wake = wake

    async def take(self, actor: Actor) -> bytes | None:
        """The next piece; `None` after the end, and when the actor may not read the run any more."""
        if self._over or not await self._readable(actor):
            return None
        if self._tail is None:
            self._tail = await self._logs.follow(self._phase_id, self._wake)
        tail = self._tail
        if self._offset >= tail.end:
            if not tail.is_whole:
                return b""
            self._over = True
            return event("end", msgspec.json.encode({"phase": self._phase_id}), self._offset)
        end = min(self._offset + self._most, tail.end)
        data = tail.cut(self._offset, end) or await self._logs.read(self._phase_id, self._offset, self._most)
        if not (tail.is_whole and self._offset + len(data) >= tail.end):
            data = data[: complete(data)] if self._in_words else data
            data = data[: _whole_characters(data)]
        piece = _told(self._phase_id, self._offset, data, in_words=self._in_words) if data else b""
        self._offset += len(data)
        return piece

    def beat(self) -> bytes:
        """Nothing: the client knows how much it has."""
        return b""

    def end(self) -> None:
        """Follow no more."""
        self._over = True
        if self._tail is not None:
            self._logs.leave(self._phase_id, self._wake)

    async def _readable(self, actor: Actor) -> bool:
        workspace = await self._guards.of(self._workspace_id)
        if workspace is None or workspace.deleted_at is not None:
            return False
        return self._authz.allows(actor, Permission.RUN_READ, workspace)


@lru_cache(maxsize=64)
def _told(phase_id: str, offset: int, data: bytes, *, in_words: bool) -> bytes:
    """The event of a piece; made once for all who follow, since they are told of the same pieces."""
    text = data.decode("utf-8", "replace")
    if in_words:
        text = readable(text)
    return event("log", msgspec.json.encode({"phase": phase_id, "offset": offset, "text": text}), offset + len(data))


def _whole_characters(data: bytes) -> int:
    """How many of the bytes can be told: a character whose rest has not come yet waits for it."""
    for back, byte in enumerate(reversed(data[-3:]), 1):
        if byte >= 0b1100_0000:
            needs = 2 if byte < 0b1110_0000 else 3 if byte < 0b1111_0000 else 4
            return len(data) - back if back < needs else len(data)
        if byte < 0b1000_0000:
            break
    return len(data)
