"""Looks at every repository that somebody follows, by the clock and when a webhook says so; once for all who follow it.

What the forge said last is remembered only when everybody who follows has written down what is to be done about it: whatever breaks
in between, the next look shows it again. Two processes never look at one repository at once; did they, nothing would come of it twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import structlog
from sqlalchemy import update
from sqlalchemy.orm import Session

from terrapod_core.coordination import VCS
from terrapod_core.db import Database
from terrapod_core.jobs.background_tasks import BackgroundTasks, sleep_until
from terrapod_core.jobs.looking import Looking
from terrapod_core.metrics.definitions import VCS_POLLS
from terrapod_core.plugin import PullRequests, RefKind, Refs, Repo, SupportsPullRequests, VCSClient
from terrapod_core.settings import VCS as VCS_SETTINGS
from terrapod_core.vcs import pace, queries
from terrapod_core.vcs.following import Follower, Seen, Wants, learn
from terrapod_core.vcs.models import Connection, Repository
from terrapod_core.vcs.opening import Forges, Trouble, TroubleKind, trouble_of

TOLD_AFTER: Final = {TroubleKind.FAILED: 3}
"""Looks that fail in a row before those who follow are told; for other troubles the first."""
LONGEST_SLEEP: Final = 60.0
INFO_EVERY: Final = timedelta(days=1)

log = structlog.get_logger("terrapod.vcs")


class Poller:
    """One per process that does background work."""

    def __init__(self, db: Database, forges: Forges, settings: VCS_SETTINGS, followers: Sequence[Follower]) -> None:
        self._db = db
        self._forges = forges
        self._settings = settings
        self._followers = followers
        self._looking = Looking("vcs", self._seconds, self.look)
        self._begun = BackgroundTasks("look at a repository", self._looking.wake)
        self._next: datetime | None = None
        db.wakeups.on(VCS, self._looking.wake)

    def start(self) -> None:
        """Begin to look; returns at once."""
        self._looking.start()

    async def stop(self) -> None:
        """Look no longer. What is under way is dropped: another process takes it up when its claim ends."""
        await self._looking.stop()
        await self._begun.stop()

    async def look(self) -> None:
        """Begin to look at what is due, as far as there is room; returns before it is done."""
        room = self._settings.poll_at_once - len(self._begun)
        claimed = await self._claim(room) if room > 0 else []
        for connection, repository, wants in claimed:
            self._begun.begin(self._look_at(connection, repository, wants))
        now = self._db.clock.now()
        self._next = await self._db.read(lambda session: queries.next_due(session, now))

    def _seconds(self) -> float:
        full = len(self._begun) >= self._settings.poll_at_once  # whatever ends wakes it
        return sleep_until(None if full else self._next, self._db.clock.now(), LONGEST_SLEEP)

    async def _claim(self, most: int) -> list[tuple[Connection, Repository, Wants]]:
        now = self._db.clock.now()
        if await self._db.read(lambda session: not queries.due_ids(session, now, 1)):
            return []
        async with self._db.uow() as uow:
            rows = await uow.run(lambda session: queries.due(session, now, most))
            connections, wants = await uow.run(lambda session: self._about(session, rows))
            claimed = []
            for row in rows:
                if row.id in wants:
                    row.claimed_until = now + timedelta(seconds=self._settings.request_seconds + 30)
                    claimed.append((connections[row.connection_id], row, wants[row.id]))
                else:
                    row.next_poll_at = row.trouble_code = row.trouble = row.trouble_since = None  # nobody follows it any more
            await uow.commit()
        return claimed

    def _about(self, session: Session, rows: Sequence[Repository]) -> tuple[dict[str, Connection], dict[str, Wants]]:
        wants: dict[str, Wants] = {}
        ids = [row.id for row in rows]
        for follower in self._followers if ids else ():
            for repository_id, wanted in follower.wants(session, ids).items():
                wants[repository_id] = wants.get(repository_id, Wants()) | wanted
        return {each.id: each for each in queries.connections(session, {row.connection_id for row in rows})}, wants

    async def _look_at(self, connection: Connection, repository: Repository, wants: Wants) -> None:
        started = self._db.clock.now()
        try:
            async with self._forges.client(connection) as client:
                changed = await self._shown(connection, repository, client, wants)
        except Exception as error:
            trouble = trouble_of(error)
            if trouble is None:
                log.exception("what a repository has could not be dealt with, and is looked at again", repository=repository.path)
                trouble = Trouble(TroubleKind.FAILED, f"{repository.path}: what it has could not be dealt with; the server's log says why")
            await self._failed(connection, repository, started, trouble)
            return
        VCS_POLLS.labels(connection.provider, "changed" if changed else "unchanged").inc()
        await self._went_well(connection, repository, started, changed=changed)

    async def _shown(self, connection: Connection, repository: Repository, client: VCSClient, wants: Wants) -> bool:
        """Show those who follow what is new; whether anything was. Notes in `repository` what was seen."""
        kinds = _kinds(wants)
        async with asyncio.timeout(self._settings.request_seconds):
            await self._learn(repository, client)
            refs, pulls = await asyncio.gather(_refs(client, repository, kinds), _pulls(client, repository, wants))
            if refs is not None and repository.default_branch not in refs.branches and wants.branches:
                learn(repository, await client.repository(Repo(repository.path)))
        if refs is None and pulls is None:
            return False
        seen = Seen(connection, repository, client, wants, refs, pulls)
        for follower in self._followers:
            await follower.look(seen)
        if refs is not None:
            repository.refs_validator, repository.wanted = refs.validator, " ".join(sorted(kinds))
        if pulls is not None:
            repository.pulls_validator = pulls.validator
        return True

    async def _learn(self, repository: Repository, client: VCSClient) -> None:
        """Ask for its name, its default branch and its addresses, once a day."""
        now = self._db.clock.now()
        if repository.polled_at is None or now.date() != repository.polled_at.date():
            learn(repository, await client.repository(Repo(repository.path)))

    async def _went_well(self, connection: Connection, repository: Repository, started: datetime, *, changed: bool) -> None:
        if repository.trouble_code is not None:
            for follower in self._followers:
                await follower.tell(repository.id, None)
        async with self._db.uow() as uow:
            row = await uow.session.get(Repository, repository.id, with_for_update=True)
            if row is None:
                return
            now = uow.now()
            asked_since = _asked_since(row, started)
            if repository.path != row.path:
                there = await uow.run(lambda session: queries.repository_at(session, connection.id, repository.path))
                row.path = repository.path if there is None or there.id == row.id else row.path
            for name in ("default_branch", "http_url", "clone_url", "wanted"):
                setattr(row, name, getattr(repository, name))
            if changed:
                row.changed_at = now
                # Who began to follow meanwhile has been shown nothing yet.
                row.refs_validator = None if asked_since else repository.refs_validator
                row.pulls_validator = None if asked_since else repository.pulls_validator
            row.polled_at, row.claimed_until, row.failures = now, None, 0
            row.trouble_code = row.trouble = row.trouble_since = None
            if row.next_poll_at is not None:
                row.next_poll_at = now if asked_since else pace.next_look(row, self._settings, now)
            if connection.trouble is not None:
                await uow.session.execute(
                    update(Connection).where(Connection.id == connection.id).values(trouble=None, trouble_since=None, rests_until=None)
                )
            await uow.commit()

    async def _failed(self, connection: Connection, repository: Repository, started: datetime, trouble: Trouble) -> None:
        VCS_POLLS.labels(connection.provider, "failed").inc()
        failures = repository.failures + 1
        told = failures >= TOLD_AFTER.get(trouble.kind, 1)
        if told and trouble.kind.value != repository.trouble_code:
            log.warning("a repository cannot be looked at", repository=repository.path, connection=connection.name, reason=trouble.text)
            for follower in self._followers:
                await follower.tell(repository.id, trouble)
        async with self._db.uow() as uow:
            row = await uow.session.get(Repository, repository.id, with_for_update=True)
            if row is None:
                return
            now = uow.now()
            row.failures, row.claimed_until = failures, None
            row.trouble_since = row.trouble_since or now
            row.trouble = trouble.text
            row.trouble_code = trouble.kind.value if told else row.trouble_code
            if row.next_poll_at is not None:
                # Who asked for a look meanwhile may have given other credentials.
                row.next_poll_at = now if _asked_since(row, started) else pace.next_try(failures, self._settings, now)
            values: dict[str, Any] = {}
            if trouble.kind is TroubleKind.DENIED or trouble.retry_after is not None:
                values = {"trouble": trouble.text, "trouble_since": connection.trouble_since or now}
            if trouble.retry_after is not None:
                values["rests_until"] = now + timedelta(seconds=trouble.retry_after)
            if values:
                same = update(Connection).where(Connection.id == connection.id, Connection.updated_at == connection.updated_at)
                await uow.session.execute(same.values(**values))
            await uow.commit()


def _asked_since(repository: Repository, started: datetime) -> bool:
    """Whether somebody asked for a look after this one began."""
    return repository.asked_at is not None and repository.asked_at > started


def _kinds(wants: Wants) -> frozenset[RefKind]:
    return frozenset(kind for kind, wanted in ((RefKind.BRANCH, wants.branches), (RefKind.TAG, wants.tags)) if wanted)


async def _refs(client: VCSClient, repository: Repository, kinds: frozenset[RefKind]) -> Refs | None:
    """`None` for what has not changed since the last look, which must have been for the same kinds."""
    if not kinds:
        return None
    same = repository.wanted == " ".join(sorted(kinds))
    return await client.refs(Repo(repository.path), kinds, repository.refs_validator if same else None)


async def _pulls(client: VCSClient, repository: Repository, wants: Wants) -> PullRequests | None:
    if not wants.pulls or not isinstance(client, SupportsPullRequests):
        return None
    return await client.pull_requests(Repo(repository.path), repository.pulls_validator)
