"""From changes that were seen to configurations that are stored: one commit at a time, fetched once for all workspaces that want it."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, TypeAlias

import structlog
from sqlalchemy import update
from sqlalchemy.orm import Session

from terrapod_core.authz import SYSTEM, Actor
from terrapod_core.configurations.fetched import FetchedConfigurations, new_id
from terrapod_core.coordination import CHANGES
from terrapod_core.db import Database, UnitOfWork
from terrapod_core.errors import Invalid, TerrapodError, TooLarge
from terrapod_core.ingress import conditions, queries
from terrapod_core.ingress.describing import ingress_of
from terrapod_core.ingress.models import Change, ChangeKind, ChangeStatus, Following
from terrapod_core.ingress.triggers import Triggers
from terrapod_core.jobs.holding import CLAIM, held
from terrapod_core.metrics.definitions import VCS_CHANGES
from terrapod_core.plugin import Commit, Repo, SupportsChangedFiles, VCSClient, VCSMissing
from terrapod_core.runs.outcome import ActorOf
from terrapod_core.settings import VCS as VCS_SETTINGS
from terrapod_core.tarballs import ArchiveLimits
from terrapod_core.vcs import pace, queries as vcs
from terrapod_core.vcs.fetching import Fetched, fetched
from terrapod_core.vcs.models import Connection, Repository
from terrapod_core.vcs.opening import TROUBLES, Forges, check_rest, trouble_of
from terrapod_core.vcs.packing.order import Notes
from terrapod_core.workspaces import Workspace, queries as workspaces
from terrapod_core.workspaces.conditions import Condition, raise_on, settle

TOLD_AFTER: Final = 3
"""Fetches that fail before the workspace says so."""
HIDDEN: Final = timedelta(days=1)
"""How long a tag's commit is looked for that the forge does not show."""

log = structlog.get_logger("terrapod.vcs")


About: TypeAlias = tuple[Connection, Repository, dict[str, tuple[Workspace, Following | None]]]
"""Of changes of one commit: where it is, and who follows that, by the workspace's id."""


@dataclass(frozen=True)
class Batch:
    """Changes of one commit that were claimed together."""

    connection: Connection
    repository: Repository
    changes: Sequence[tuple[Change, Workspace, Following | None]]
    until: datetime
    """When the claim ends."""

    @property
    def sha(self) -> str:
        """The commit."""
        return self.changes[0][0].sha


class Fetching:
    """Fetches and stores."""

    def __init__(
        self,
        db: Database,
        forges: Forges,
        configurations: FetchedConfigurations,
        settings: VCS_SETTINGS,
        limits: ArchiveLimits,
        actor_of: ActorOf,
    ) -> None:
        self._db = db
        self._forges = forges
        self._configurations = configurations
        self._settings = settings
        self._limits = limits
        self._actor_of = actor_of

    async def claim(self) -> Batch | None:
        """The changes of one commit that are due, now nobody else's for a while; `None` when none is."""
        now = self._db.clock.now()
        oldest = await self._db.read(lambda session: queries.oldest_due(session, now))
        if oldest is None:
            return None
        async with self._db.uow() as uow:
            rows = await uow.run(lambda session: queries.due_of_commit(session, oldest.repository_id, oldest.sha, now))
            about = await uow.run(lambda session: self._about(session, rows))
            kept = []
            for change in rows:
                why = await uow.run(lambda session, change=change: _unwanted(session, change, about))  # type: ignore[misc]
                if why is not None:
                    _end(change, uow, ChangeStatus.SKIPPED, why)
                    continue
                change.next_try_at = now + CLAIM
                change.attempts, change.reason = change.attempts + 1, None
                kept.append(change)
            await uow.commit()
        if about is None or not kept:
            return None
        connection, repository, followers = about
        return Batch(connection, repository, [(change, *followers[change.workspace_id]) for change in kept], now + CLAIM)

    def _about(self, session: Session, rows: Sequence[Change]) -> About | None:
        repository = vcs.repository(session, rows[0].repository_id) if rows else None
        connection = vcs.connection(session, repository.connection_id) if repository is not None else None
        if repository is None or connection is None:
            return None
        wanted = {change.workspace_id for change in rows}
        followers = {one.id: (one, mark) for one, mark in queries.followers(session, repository.id) if one.id in wanted}
        return connection, repository, followers

    async def carry_out(self, batch: Batch) -> None:
        """Fetch the commit's files and store them for each workspace that it concerns. Whatever fails is tried again later."""
        ids = [change.id for change, _, _ in batch.changes]
        async with held(self._db, Change.next_try_at, Change.id.in_(ids), batch.until, f"commit {batch.sha}"):
            await self._carry_out(batch)

    async def _carry_out(self, batch: Batch) -> None:
        try:
            check_rest(batch.connection, self._db.clock.now())
            async with self._forges.client(batch.connection) as client:
                async with asyncio.timeout(self._settings.request_seconds):
                    concerned = await self._concerned(client, batch)
                if concerned:
                    async with asyncio.timeout(self._settings.request_seconds):
                        commit = await client.commit(Repo(batch.repository.path), batch.sha)
                    async with asyncio.timeout(self._settings.fetch_seconds):
                        await self._fetch(client, batch, commit, concerned)
        except TROUBLES as error:
            trouble = trouble_of(error)
            assert trouble is not None
            if isinstance(error, VCSMissing):
                await self._gone(batch, trouble.text)
            else:
                await self._failed([change for change, _, _ in batch.changes], trouble.text, rest=trouble.retry_after or 0.0)
        except TerrapodError as error:
            await self._failed([change for change, _, _ in batch.changes], error.detail)
        except Exception:
            log.exception("a commit could not be dealt with, and is tried again", commit=batch.sha, repository=batch.repository.path)
            await self._failed([change for change, _, _ in batch.changes], "the server's log says why")

    async def _concerned(self, client: VCSClient, batch: Batch) -> list[tuple[Change, Workspace]]:
        """The workspaces that the commit concerns; for others it is dealt with."""
        concerned = []
        told: dict[tuple[str, str], frozenset[str] | None] = {}
        for change, workspace, following in batch.changes:
            triggers = Triggers(
                workspace.file_triggers_enabled,
                workspace.working_directory or "",
                workspace.trigger_prefixes,
                workspace.trigger_patterns,
            )
            before = change.before if change.kind == ChangeKind.PULL else following.done_sha if following is not None else None
            if before is not None and change.kind != ChangeKind.TAG and not triggers.everything and not change.first:
                if (before, change.sha) not in told:
                    told[before, change.sha] = await _differ(client, batch.repository, change, before)
                if not triggers.concern(told[before, change.sha]):
                    await self._unconcerned(change)
                    continue
            concerned.append((change, workspace))
        return concerned

    async def _fetch(self, client: VCSClient, batch: Batch, commit: Commit, concerned: Sequence[tuple[Change, Workspace]]) -> None:
        by_part: dict[tuple[str, ...] | None, list[tuple[Change, Workspace]]] = defaultdict(list)
        for change, workspace in concerned:
            by_part[_part(workspace)].append((change, workspace))
        for paths, wanting in by_part.items():
            directories = [workspace.working_directory or "" for _, workspace in wanting]
            try:
                async with fetched(client, Repo(batch.repository.path), batch.sha, paths, directories, self._limits) as files:
                    for change, workspace in wanting:
                        await self._store(batch, commit, change, workspace, files)
            except Invalid as error:
                for change, _ in wanting:
                    await self._refuse(change, error.detail)

    async def _store(self, batch: Batch, commit: Commit, change: Change, workspace: Workspace, files: Fetched) -> None:
        actor = await self._answering(workspace)
        if actor is None:
            await self._condition(change.workspace_id, conditions.nobody(self._db.clock.now()))
            await self._failed([change], "nobody answers for this repository's runs: the user who connected it is disabled or gone")
            return
        why = _unusable(files.notes, workspace.working_directory or "")
        if why is not None:
            await self._refuse(change, why)
            return
        version_id = new_id()

        async def decide(uow: UnitOfWork) -> Workspace | None:
            return await self._decided(uow, change, version_id, files)

        approved = change.approved_by_id is not None
        pull = change.kind == ChangeKind.PULL
        try:
            stored = await self._configurations.store(
                version_id,
                files.chunks(),
                actor,
                ingress_of(change, commit, batch.repository),
                decide,
                source=(batch.connection.service_provider or batch.connection.provider).split("_")[0],
                speculative=pull,
                trusted=not pull or approved,
                of_fork=change.is_fork and not approved,
            )
        except Invalid as error:
            await self._refuse(change, error.detail)
            return
        except TooLarge:
            await self._refuse(change, "packed, it is larger than a configuration may be (limits.configuration_bytes)")
            return
        if stored:
            VCS_CHANGES.labels(change.kind, "stored").inc()

    async def _decided(self, uow: UnitOfWork, change: Change, version_id: str, files: Fetched) -> Workspace | None:
        """Write, with the configuration, that the change is dealt with so far; `None` when it is not wanted any more."""
        workspace = await uow.run(lambda session: workspaces.for_update(session, change.workspace_id))
        row = await uow.run(lambda session: queries.change(session, change.id, lock=True))
        if workspace is None or row is None or row.status != ChangeStatus.PENDING or workspace.vcs_repository_id != row.repository_id:
            return None
        if await uow.run(lambda session: queries.is_overtaken(session, row)):
            return None  # while its files came; whoever takes it up next writes it down
        row.status, row.configuration_version_id = ChangeStatus.STORED.value, version_id
        row.reason, row.attempts, row.next_try_at, row.updated_at = None, 0, uow.now(), uow.now()
        await _done(uow, row)
        if row.kind != ChangeKind.PULL:
            for code in (conditions.CONFIGURATION, conditions.FETCH, conditions.NOBODY):
                settle(uow, workspace, code, f"commit {row.sha[:12]} was stored")
            odd = conditions.incomplete(row, files.notes, uow.now())
            if odd is not None:
                raise_on(uow, workspace, odd)
            else:
                settle(uow, workspace, conditions.INCOMPLETE, f"commit {row.sha[:12]} has nothing of the kind")
        uow.wake(CHANGES)
        return workspace

    async def _answering(self, workspace: Workspace) -> Actor | None:
        user_id = workspace.vcs_linked_by_id
        return SYSTEM if user_id is None else await self._db.read(lambda session: self._actor_of(session, user_id))

    # -- how it ends otherwise

    async def _unconcerned(self, change: Change) -> None:
        async with self._db.uow() as uow:
            row = await uow.run(lambda session: queries.change(session, change.id, lock=True))
            if row is not None and row.status == ChangeStatus.PENDING:
                _end(row, uow, ChangeStatus.SKIPPED, "none of the changed files concerns this workspace")
                row.tell_at = uow.now() if row.kind == ChangeKind.PULL else None
                await _done(uow, row)
                uow.wake(CHANGES)
                await uow.commit()

    async def _refuse(self, change: Change, why: str) -> None:
        """It can be no configuration: the next commit has to be another one."""
        async with self._db.uow() as uow:
            workspace = await uow.run(lambda session: workspaces.for_update(session, change.workspace_id))
            row = await uow.run(lambda session: queries.change(session, change.id, lock=True))
            if workspace is None or row is None or row.status != ChangeStatus.PENDING:
                return
            _end(row, uow, ChangeStatus.REFUSED, why)
            row.tell_at = uow.now()
            if row.kind != ChangeKind.PULL:
                raise_on(uow, workspace, conditions.refused(row, why, uow.now()))
            uow.wake(CHANGES)
            await uow.commit()

    async def _gone(self, batch: Batch, why: str) -> None:
        """The forge does not show the commit. After a force-push, whatever came instead is another change; but the right to read may also
        have been taken away for a while, and so a commit that should be there is tried for."""
        now = self._db.clock.now()
        for change, _, following in batch.changes:
            if change.attempts < TOLD_AFTER or _should_be_there(change, following, now):
                await self._failed([change], why)
                continue
            async with self._db.uow() as uow:
                row = await uow.run(lambda session, change=change: queries.change(session, change.id, lock=True))  # type: ignore[misc]
                if row is not None and row.status == ChangeStatus.PENDING:
                    _end(row, uow, ChangeStatus.REFUSED, f"the forge has this commit no longer: {why}")
                    await uow.commit()

    async def _failed(self, changes: Sequence[Change], why: str, *, rest: float = 0.0) -> None:
        """Try again later, and not before the forge wants to hear of us again; nothing is lost."""
        now = self._db.clock.now()
        for change in changes:
            pause = pace.pause_after(change.attempts, self._settings.retry_seconds)
            async with self._db.uow() as uow:
                waiting = update(Change).where(Change.id == change.id, Change.status == ChangeStatus.PENDING.value)
                await uow.session.execute(waiting.values(next_try_at=now + timedelta(seconds=max(pause, rest)), reason=why, updated_at=now))
                await uow.commit()
            if change.attempts == TOLD_AFTER:
                await self._condition(change.workspace_id, conditions.fetch_failing(change, why, now))

    async def _condition(self, workspace_id: str, condition: Condition) -> None:
        async with self._db.uow() as uow:
            workspace = await uow.run(lambda session: workspaces.for_update(session, workspace_id))
            if workspace is not None and not any(each["code"] == condition.code for each in workspace.conditions):
                raise_on(uow, workspace, condition)
                await uow.commit()


def _unwanted(session: Session, change: Change, about: About | None) -> str | None:
    """Why a change that was seen need not be dealt with any more; `None` when it has to be."""
    if about is None or change.workspace_id not in about[2]:
        return "the workspace follows this repository no longer"
    workspace = about[2][change.workspace_id][0]
    if change.kind == ChangeKind.PUSH and (workspace.vcs_tags_regex or change.ref != (workspace.vcs_branch or about[1].default_branch)):
        return "the workspace follows this branch no longer"
    if queries.is_overtaken(session, change):
        return "a newer commit of the branch was dealt with before this one's files could be fetched"
    return None


def _should_be_there(change: Change, following: Following | None, now: datetime) -> bool:
    """Whether a commit was the newest of its branch or its pull request when that was looked at last; tags are looked for for a while."""
    if change.kind == ChangeKind.PUSH:
        return following is not None and (following.branch, following.sha) == (change.ref, change.sha)
    return change.open if change.kind == ChangeKind.PULL else now - change.created_at < HIDDEN


async def _done(uow: UnitOfWork, change: Change) -> None:
    """From this commit on, changed files are counted."""
    if change.kind == ChangeKind.PUSH:
        mark = update(Following).where(Following.workspace_id == change.workspace_id, Following.branch == change.ref)
        await uow.session.execute(mark.values(done_sha=change.sha))


def _end(change: Change, uow: UnitOfWork, status: ChangeStatus, why: str) -> None:
    change.status, change.reason = status.value, why
    change.next_try_at, change.updated_at = None, uow.now()
    VCS_CHANGES.labels(change.kind, status.value).inc()


async def _differ(client: VCSClient, repository: Repository, change: Change, before: str) -> frozenset[str] | None:
    """What a change brings, and what a push by force takes back of the commit before; `None` when nobody knows."""
    brought = await _changed(client, repository, before, change.sha)
    if brought is None or change.kind == ChangeKind.PULL:
        return brought
    taken_back = await _changed(client, repository, change.sha, before)
    return None if taken_back is None else brought | taken_back


async def _changed(client: VCSClient, repository: Repository, before: str, after: str) -> frozenset[str] | None:
    if not isinstance(client, SupportsChangedFiles):
        return None
    try:
        return await client.changed_files(Repo(repository.path), before, after)
    except VCSMissing:
        return None  # the commit before was overwritten by force: everything may have changed


def _part(workspace: Workspace) -> tuple[str, ...] | None:
    """The directories that a workspace has fetched; `None` for everything."""
    if not workspace.vcs_sparse_fetch or not workspace.working_directory or "" in workspace.trigger_prefixes:
        return None
    return tuple(sorted({workspace.working_directory, *workspace.trigger_prefixes}))


def _unusable(notes: Notes, directory: str) -> str | None:
    if directory and directory not in notes.there:
        return f"it has no directory {directory}, which is the workspace's working directory"
    if directory not in notes.configured:
        return f"it has no .tf file in {directory or 'its root, and the workspace has no working directory'}"
    return None
