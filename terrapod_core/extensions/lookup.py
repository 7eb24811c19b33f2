"""Workspaces as plugins see them: many with one query, each with the caller's level."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeAlias

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from terrapod_core.authz import Actor, Authorizer, Level
from terrapod_core.db import Database
from terrapod_core.extensions.callers import actor_of
from terrapod_core.plugin import Caller, WorkspaceFacts
from terrapod_core.workspaces import Workspace
from terrapod_core.workspaces.models import GUARD

Among: TypeAlias = Callable[[Sequence[str]], ColumnElement[bool]]
"""A condition over some values."""

AT_ONCE: Final = 500
"""Parameters in one statement: SQLite has a limit, and PostgreSQL plans long lists badly."""


class Lookup:
    """The `WorkspaceLookup` of all plugins."""

    def __init__(self, db: Database, authz: Authorizer) -> None:
        self._db = db
        self._authz = authz

    async def by_id(self, ids: Iterable[str], *, as_: Caller | None = None) -> dict[str, WorkspaceFacts]:
        """Those that are there and may be seen, by id."""
        found = await self._found(sorted(set(ids)), as_, Workspace.id.in_)
        return {each.id: each for each in found}

    async def by_name(self, names: Iterable[str], *, as_: Caller | None = None) -> dict[str, WorkspaceFacts]:
        """The same, by name."""
        # No name holds a NUL, and PostgreSQL fails on being asked.
        found = await self._found(sorted({each for each in names if "\0" not in each}), as_, Workspace.name.in_)
        return {each.name: each for each in found}

    async def all(self, *, as_: Caller | None = None) -> list[WorkspaceFacts]:
        """Every one, by name."""
        actor = actor_of(as_) if as_ is not None else None

        def look(session: Session) -> list[WorkspaceFacts]:
            query = select(Workspace).where(Workspace.deleted_at.is_(None)).order_by(Workspace.name)
            if actor is not None:
                query = self._authz.visible(query, actor, GUARD)
            return [self.facts(each, actor) for each in session.execute(query).scalars()]

        return await self._db.read(look)

    async def _found(self, wanted: Sequence[str], as_: Caller | None, among: Among) -> list[WorkspaceFacts]:
        actor = actor_of(as_) if as_ is not None else None

        def look(session: Session) -> list[WorkspaceFacts]:
            found: list[WorkspaceFacts] = []
            for start in range(0, len(wanted), AT_ONCE):
                query = select(Workspace).where(among(wanted[start : start + AT_ONCE]), Workspace.deleted_at.is_(None))
                found += [self.facts(each, actor) for each in session.execute(query).scalars()]
            return found

        return [each for each in await self._db.read(look) if actor is None or each.may("read")] if wanted else []

    def facts(self, workspace: Workspace, actor: Actor | None) -> WorkspaceFacts:
        """What a plugin is told of a workspace."""
        level = self._authz.level(actor, workspace) if actor is not None else Level.NONE
        return WorkspaceFacts(workspace.id, workspace.name, level.name.lower(), workspace.lock_kind is not None, workspace.execution_mode)
