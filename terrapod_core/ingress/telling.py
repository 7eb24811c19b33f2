"""Tells commits and pull requests what became of them, each in its order and never the same twice."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import structlog
from sqlalchemy import update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from terrapod_core.coordination import CHANGES
from terrapod_core.db import Database
from terrapod_core.ingress import queries, words
from terrapod_core.ingress.models import Change, ChangeKind, PullComment
from terrapod_core.plugin import CommitStatus, Repo, SupportsComments, SupportsCommitStatuses, VCSClient, VCSDenied, VCSMissing
from terrapod_core.plugin.events import RunStatusChanged
from terrapod_core.settings import VCS as VCS_SETTINGS
from terrapod_core.vcs import queries as vcs
from terrapod_core.vcs.models import Connection, Repository
from terrapod_core.vcs.opening import TROUBLES, Forges, NoProvider, trouble_of

AT_ONCE: Final = 8
CLAIM: Final = timedelta(minutes=2)
PAUSE: Final = 30.0
BUSY: Final = 1.0
"""Seconds after which a comment is looked at again that somebody else was writing."""
GIVEN_UP: Final = timedelta(days=1)
"""After which nobody wants to know any more."""

log = structlog.get_logger("terrapod.vcs")


class Telling:
    """Tells."""

    def __init__(self, db: Database, forges: Forges, settings: VCS_SETTINGS, base: str) -> None:
        """`base` is the address that links begin with."""
        self._db = db
        self._forges = forges
        self._settings = settings
        self._base = base

    async def hear(self, event: RunStatusChanged) -> None:
        """A run has moved: its commit is to be told."""
        if not (self._settings.statuses or self._settings.comments):
            return
        async with self._db.uow() as uow:
            news = update(Change).where(Change.run_id == event.run_id).values(tell_at=uow.now())
            if (await uow.session.execute(news)).rowcount:  # type: ignore[attr-defined]
                uow.wake(CHANGES)
                await uow.commit()

    async def claim(self) -> Sequence[Change]:
        """Changes whose commit is to be told, now nobody else's for a while."""
        now = self._db.clock.now()
        if await self._db.read(lambda session: not queries.any_to_tell(session, now)):
            return ()
        async with self._db.uow() as uow:
            rows = await uow.run(lambda session: queries.due_to_tell(session, now, AT_ONCE))
            for row in rows:
                row.tell_at = row.telling_until = now + CLAIM
            await uow.commit()
        return rows

    async def carry_out(self, change: Change) -> None:
        """Tell the commit how it is now, and then the pull request. What came in between is told next."""
        pause: float | None = None
        try:
            async with asyncio.timeout(self._settings.request_seconds):
                pause = None if await self._tell(change) else BUSY
        except TROUBLES as error:
            trouble = trouble_of(error)
            assert trouble is not None
            hopeless = isinstance(error, VCSDenied | VCSMissing | NoProvider) or self._db.clock.now() - change.created_at > GIVEN_UP
            log.warning("a commit was not told what became of it", commit=change.sha, reason=trouble.text, again=not hopeless)
            pause = None if hopeless else max(PAUSE, trouble.retry_after or 0.0)
        await self._released(change, pause)

    async def _released(self, change: Change, pause: float | None) -> None:
        """Let go of the claim. `tell_at` says whether there was news meanwhile."""
        async with self._db.uow() as uow:
            row = await uow.run(lambda session: queries.change(session, change.id, lock=True))
            if row is None:
                return
            row.telling_until = None
            if row.tell_at == change.tell_at:
                row.tell_at = uow.now() + timedelta(seconds=pause) if pause is not None else None
            uow.wake(CHANGES)
            await uow.commit()

    async def _tell(self, change: Change) -> bool:
        """Whether all was told; `False` when somebody else was writing the comment, who may not know of this news."""
        found = await self._db.read(lambda session: self._about(session, change))
        if found is None:
            return True
        connection, repository = found
        async with self._forges.client(connection) as client:
            if self._settings.statuses and isinstance(client, SupportsCommitStatuses):
                try:
                    await self._status(client, repository, change)
                except (VCSDenied, VCSMissing) as error:
                    # Not every forge takes statuses of a fork's commit; the comment tells the same.
                    log.warning("a commit was not told what became of it", commit=change.sha, reason=str(error), again=False)
            if self._settings.comments and change.kind == ChangeKind.PULL and isinstance(client, SupportsComments):
                return await self._comment(client, repository, change)
        return True

    def _about(self, session: Session, change: Change) -> tuple[Connection, Repository] | None:
        repository = vcs.repository(session, change.repository_id)
        connection = vcs.connection(session, repository.connection_id) if repository is not None else None
        return (connection, repository) if connection is not None and repository is not None else None

    async def _status(self, client: VCSClient, repository: Repository, change: Change) -> None:
        assert isinstance(client, SupportsCommitStatuses)
        found = await self._db.read(lambda session: queries.outcome(session, change.id))
        if found is None:
            return
        now, workspace, run, plan = found
        word = words.word_of(now, run, plan)
        if word is None or word.told == now.told:
            return
        link = words.run_url(self._base, workspace, run) if run is not None else words.workspace_url(self._base, workspace)
        status = CommitStatus(f"{self._settings.context}/{workspace.name}", word.state, word.text, link)
        await client.set_status(Repo(repository.path), change.sha, status)
        async with self._db.uow() as uow:
            await uow.session.execute(update(Change).where(Change.id == change.id).values(told=word.told))
            await uow.commit()

    async def _comment(self, client: VCSClient, repository: Repository, change: Change) -> bool:
        """Write the comment of the pull request anew, if it is another one; `False` when it is somebody else's to write at the moment."""
        assert isinstance(client, SupportsComments)
        number = change.number or 0
        while await self._take(repository.id, number):
            rows, kept = await self._db.read(
                lambda session: (queries.of_pull(session, repository.id, number), queries.comment(session, repository.id, number))
            )
            text = words.comment_of(rows, self._base) if rows else None
            digest = hashlib.sha256(text.encode()).hexdigest() if text else None
            if text is None or kept is None or kept.digest == digest:
                await self._give_back(repository.id, number)
                return True
            try:
                comment_id = await client.comment(Repo(repository.path), number, text, kept.comment_id)
            except BaseException:
                await self._give_back(repository.id, number)
                raise
            await self._give_back(repository.id, number, comment_id=comment_id, digest=digest)
        return False

    async def _take(self, repository_id: str, number: int) -> bool:
        """Whether the comment is this caller's to write: one at a time."""
        async with self._db.uow() as uow:
            row = await uow.run(lambda session: queries.comment(session, repository_id, number, lock=True))
            if row is not None and row.busy_until is not None and row.busy_until > uow.now():
                return False
            if row is None:
                row = PullComment(repository_id=repository_id, number=number)
                uow.add(row)
            row.busy_until = uow.now() + CLAIM
            try:
                await uow.flush()
            except IntegrityError:  # somebody else has just begun it
                return False
            await uow.commit()
        return True

    async def _give_back(self, repository_id: str, number: int, **values: str | None) -> None:
        async with self._db.uow() as uow:
            row = update(PullComment).where(PullComment.repository_id == repository_id, PullComment.number == number)
            await uow.session.execute(row.values(busy_until=None, **values))
            await uow.commit()
