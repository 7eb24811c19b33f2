"""What is read for the answers: rows of one workspace, pages of its history, pages of conflicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final, TypeVar

from sqlalchemy import Select, select, tuple_
from sqlalchemy.orm import Session

from terrapod_core.plugin import Caller, ServerContext, WorkspaceFacts
from terrapod_sync import errors
from terrapod_sync.models import Conflict, Sync, SyncedWorkspace
from terrapod_sync.settings import SyncSettings
from terrapod_sync.words import ConflictStatus

MOST: Final = 100
USUAL: Final = 20
_AT_ONCE: Final = 500

Row = TypeVar("Row", Sync, Conflict)


@dataclass(frozen=True)
class Page:
    """Which part of a list, newest first."""

    limit: int
    before: str | None
    """The id of the last one of the page before."""


def page_of(query: Mapping[str, str]) -> Page:
    """`limit` and `before`. Raises `Invalid`."""
    given = query.get("limit", str(USUAL))
    if not (given.isascii() and given.isdigit() and len(given) < 10 and 1 <= int(given) <= MOST):
        raise errors.invalid_request(f"limit must be a whole number from 1 to {MOST}")
    before = query.get("before")
    if before is not None and not before.isprintable():  # not every database can be asked for what no id has
        raise errors.invalid_request("before must be what an earlier page gives as next")
    return Page(int(given), before)


def status_of(query: Mapping[str, str]) -> ConflictStatus | None:
    """`status`, by default `open`; None for `all`. Raises `Invalid`."""
    given = query.get("status", ConflictStatus.OPEN)
    if given == "all":
        return None
    try:
        return ConflictStatus(given)
    except ValueError:
        raise errors.invalid_request(f"status must be one of {', '.join(ConflictStatus)}, all") from None


class Listing:
    """Reads the plugin's tables for whoever asks."""

    def __init__(self, context: ServerContext[SyncSettings]) -> None:
        self._context = context

    async def entry(self, workspace_id: str) -> tuple[SyncedWorkspace | None, list[str]]:
        """A workspace's entry, and the ids of its open conflicts."""

        def look(session: Session) -> tuple[SyncedWorkspace | None, list[str]]:
            own = select(Conflict.id).where(Conflict.workspace_id == workspace_id, Conflict.status == ConflictStatus.OPEN)
            return session.get(SyncedWorkspace, workspace_id), list(session.execute(own.order_by(Conflict.created_at)).scalars())

        return await self._context.tables.read(look)

    async def history(self, workspace: WorkspaceFacts, page: Page) -> tuple[list[Sync], str | None]:
        """A page of its syncs, and what the next one is before."""
        own = select(Sync).where(Sync.workspace_id == workspace.id)

        def look(session: Session) -> list[Sync]:
            return _newest(session, own, Sync, page)

        return _cut(await self._context.tables.read(look), page)

    async def conflicts(self, caller: Caller, status: ConflictStatus | None, page: Page) -> tuple[list[tuple[Conflict, str]], str | None]:
        """A page of conflicts with the names of their workspaces, of those that the caller may read."""
        of_status = select(Conflict) if status is None else select(Conflict).where(Conflict.status == status)
        affected = of_status.with_only_columns(Conflict.workspace_id).distinct()
        ids = await self._context.tables.read(lambda session: session.execute(affected).scalars().all())
        readable = await self._context.workspaces.by_id(ids, as_=caller)

        def look(session: Session) -> list[Conflict]:
            found: list[Conflict] = []
            for chunk in _chunks(sorted(readable)):
                found += _newest(session, of_status.where(Conflict.workspace_id.in_(chunk)), Conflict, page)
            return sorted(found, key=lambda row: (row.created_at, row.id), reverse=True)[: page.limit + 1]

        found, following = _cut(await self._context.tables.read(look), page)
        return [(row, readable[row.workspace_id].name) for row in found], following

    async def conflict(self, caller: Caller, conflict_id: str) -> tuple[Conflict, WorkspaceFacts]:
        """A conflict and its workspace. Raises `NotFound`, also where the caller may not know of it."""
        row = await self._context.tables.read(lambda session: session.get(Conflict, conflict_id))
        readable = await self._context.workspaces.by_id([row.workspace_id], as_=caller) if row is not None else {}
        if row is None or row.workspace_id not in readable:
            raise errors.no_conflict(conflict_id)
        return row, readable[row.workspace_id]

    def now(self) -> datetime:
        """The present moment."""
        return self._context.clock.now().astimezone(UTC)


def _newest(session: Session, query: Select[Any], model: type[Row], page: Page) -> list[Row]:
    """A page of the query and one more, if there is one; an id that is none is before nothing."""
    if page.before is not None:
        place = session.execute(select(model.created_at, model.id).where(model.id == page.before)).one_or_none()
        if place is None:
            return []
        query = query.where(tuple_(model.created_at, model.id) < tuple_(*place))
    ordered = query.order_by(model.created_at.desc(), model.id.desc()).limit(page.limit + 1)
    return list(session.execute(ordered).scalars())


def _cut(found: Sequence[Row], page: Page) -> tuple[list[Row], str | None]:
    kept = list(islice(found, page.limit))
    return kept, kept[-1].id if len(found) > page.limit else None


def _chunks(ids: Sequence[str]) -> list[Sequence[str]]:
    return [ids[start : start + _AT_ONCE] for start in range(0, len(ids), _AT_ONCE)]
