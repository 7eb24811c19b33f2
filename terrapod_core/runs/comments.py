"""What people say about runs: go-tfe's `Comments`."""

from __future__ import annotations

from typing import Final

import msgspec
from sqlalchemy.orm import Session

from terrapod_core import audit
from terrapod_core.authz import Actor, Authorizer, Permission
from terrapod_core.authz.gate import missing
from terrapod_core.db import Database
from terrapod_core.errors import Conflict
from terrapod_core.jsonapi import Page, PageRequest
from terrapod_core.runs import queries
from terrapod_core.runs.door import Door
from terrapod_core.runs.history import note, say
from terrapod_core.runs.models import Comment
from terrapod_core.workspaces import queries as workspaces_queries

MOST: Final = 500
"""Comments of one run: its events are listed whole, and each comment is one."""


class CreateComment(msgspec.Struct, kw_only=True):
    """What is sent to make one."""

    body: str


class Comments:
    """List, read, make. Comments are not changed and go with their run."""

    def __init__(self, db: Database, authz: Authorizer) -> None:
        self._db = db
        self._authz = authz
        self._door = Door(authz)

    async def list(self, actor: Actor, run_id: str, wanted: PageRequest) -> Page[Comment]:
        """A page of what was said about the run, oldest first."""

        def look(session: Session) -> Page[Comment]:
            workspace_id = queries.workspace_of(session, run_id)
            workspace = workspaces_queries.by_id(session, workspace_id) if workspace_id is not None else None
            if workspace is None:
                raise missing("run")
            self._authz.require(actor, Permission.RUN_READ, workspace, noun="run")
            return queries.comments(session, run_id, wanted)

        return await self._db.read(look)

    async def read(self, actor: Actor, comment_id: str) -> Comment:
        """One comment; `NotFound` like the run itself."""
        found = await self._db.read(lambda session: queries.comments_by_ids(session, actor, self._authz, [comment_id]))
        if not found:
            raise missing("comment")
        return found[0]

    async def create(self, actor: Actor, run_id: str, new: CreateComment) -> Comment:
        """Say something about a run, whatever its status. `Conflict` when it has as many comments as a run may have."""
        async with self._db.uow() as uow:
            run, workspace = await self._door.held(uow, actor, run_id, Permission.RUN_COMMENT)
            if await uow.run(lambda session: queries.comments_on(session, run_id)) >= MOST:
                raise Conflict(f"this run has {MOST} comments, as many as a run may have")
            event = note(uow, run, "comment-added", "somebody commented on the run", actor)
            comment = say(uow, run, event, new.body)
            event.comment_id = comment.id
            audit.record(uow, actor, "run.comment", "runs", run.id, workspace=workspace.name, comment_id=comment.id)
            await uow.commit()
        return comment
