"""From configurations that are stored to runs; and an end for the runs of heads that are not the newest any more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Final

import structlog
from sqlalchemy.orm import Session

from terrapod_core.authz import SYSTEM, Actor
from terrapod_core.configurations import queries as configurations
from terrapod_core.coordination import CHANGES
from terrapod_core.db import Database
from terrapod_core.errors import Conflict, TerrapodError
from terrapod_core.ingress import conditions, queries
from terrapod_core.ingress.describing import message_of
from terrapod_core.ingress.models import Change, ChangeKind, ChangeStatus
from terrapod_core.ingress.watching import UNAPPROVED, could_look_around
from terrapod_core.jsonapi import Ref
from terrapod_core.runs.isolation import Isolation
from terrapod_core.runs.models import Run
from terrapod_core.runs.outcome import ActorOf
from terrapod_core.runs.requests import CreateRun
from terrapod_core.runs.service import Runs
from terrapod_core.workspaces import Workspace, queries as workspaces
from terrapod_core.workspaces.conditions import Condition, raise_on, settle

AT_ONCE: Final = 20
RETRY: Final = timedelta(seconds=15)
CLAIM: Final = timedelta(seconds=30)
"""How long a process may take before another one does it."""
MOST_SECONDS: Final = 20.0
"""How long it takes at most, so that it never does it at the same time."""
SOURCE: Final = "tfe-configuration-version"

log = structlog.get_logger("terrapod.vcs")


class Starting:
    """Starts runs."""

    def __init__(self, db: Database, runs: Runs, actor_of: ActorOf, isolation: Callable[[], Isolation]) -> None:
        self._db = db
        self._runs = runs
        self._actor_of = actor_of
        self._isolation = isolation

    async def claim(self) -> Sequence[Change]:
        """Changes that are due, now nobody else's for a while."""
        now = self._db.clock.now()
        if await self._db.read(lambda session: not queries.any_to_start(session, now)):
            return ()
        async with self._db.uow() as uow:
            due = await uow.run(lambda session: queries.due_to_start(session, now, AT_ONCE))
            # One push to each workspace, so that its runs stand in the order of its commits: the next one's turn comes after this.
            rows = list({row.workspace_id if row.kind == ChangeKind.PUSH else row.id: row for row in reversed(due)}.values())
            for row in rows:
                row.next_try_at = now + CLAIM
            await uow.commit()
        return rows

    async def carry_out(self, change: Change) -> None:
        """Start its run, say why there is none, or end the run of a head that was overtaken."""
        async with asyncio.timeout(MOST_SECONDS):
            if change.status == ChangeStatus.STARTED:
                await self._overtaken(change)
                return
            why = await self._start(change)
            if why is not None:
                await self._write(change, ChangeStatus.SKIPPED, why)

    async def _start(self, change: Change) -> str | None:
        """Why no run is wanted; `None` when there is one, or something else was written down."""
        version_id = change.configuration_version_id or ""
        workspace, version, has_run, overtaken = await self._db.read(
            lambda session: (
                workspaces.by_id(session, change.workspace_id),
                configurations.by_id(session, version_id),
                queries.has_run(session, change.workspace_id),
                queries.newer_has_run(session, change),
            )
        )
        if workspace is None or version is None:
            return "the workspace is gone"
        run = await self._db.read(lambda session: queries.run_of(session, version))
        if run is not None:  # of an attempt that did not come to write it down
            await self._started(change, run.id)
            return None
        why = _unwanted(change, workspace, has_run=has_run, overtaken=overtaken)
        if why is not None:
            return why
        if version.of_fork and could_look_around(workspace, isolated=self._isolation().isolated):
            await self._write(change, ChangeStatus.WAITING, UNAPPROVED)  # it was to run elsewhere when it was seen
            return None
        actor = await self._db.read(lambda session: self._answering(session, workspace))
        if actor is None:
            await self._refused(change, conditions.nobody(self._db.clock.now()), "nobody answers for this repository's runs")
            return None
        new = CreateRun(
            workspace=Ref(type="workspaces", id=workspace.id), configuration_version=Ref(type="configuration-versions", id=version_id)
        )
        try:
            view = await self._runs.create(
                actor, new, source=SOURCE, message=message_of(change, version.ingress or {}), reason="vcs", counted=False
            )
        except Conflict as error:
            await self._later(change, error.detail)
        except TerrapodError as error:
            if error.status >= 500:
                raise
            await self._refused(change, conditions.run_refused(change, error.detail, self._db.clock.now()), error.detail)
        else:
            await self._started(change, view.run.id)
        return None

    def _answering(self, session: Session, workspace: Workspace) -> Actor | None:
        return SYSTEM if workspace.vcs_linked_by_id is None else self._actor_of(session, workspace.vcs_linked_by_id)

    async def _started(self, change: Change, run_id: str) -> None:
        earlier: list[Change] = []
        async with self._db.uow() as uow:
            workspace = await uow.run(lambda session: workspaces.for_update(session, change.workspace_id))
            row = await uow.run(lambda session: queries.change(session, change.id, lock=True))
            if workspace is None or row is None:
                return
            row.status, row.run_id, row.reason = ChangeStatus.STARTED.value, run_id, None
            # Of a head that was overtaken meanwhile the run is ended at once.
            row.next_try_at = uow.now() if row.kind == ChangeKind.PULL and not row.open else None
            row.tell_at = row.updated_at = uow.now()
            settle(uow, workspace, conditions.RUN, f"commit {row.sha[:12]} started a run")
            if row.kind == ChangeKind.PULL:
                earlier = [each for each in await uow.run(lambda session: queries.earlier_heads(session, row)) if each.run_id]
            uow.wake(CHANGES)
            await uow.commit()
        for each in earlier:
            if not each.open:
                await self._overtaken(each)

    async def _overtaken(self, change: Change) -> None:
        """End what runs of a head that is not the newest any more, quietly: what had finished stays as it is."""
        run = await self._db.read(lambda session: session.get(Run, change.run_id or ""))
        if run is not None and not run.is_final:
            try:
                await self._runs.cancel(SYSTEM, run.id, "a newer commit of the pull request came, or it was closed")
            except TerrapodError as error:
                log.info("the run of an overtaken commit was not cancelled", run=run.id, reason=error.detail)
            await self._write(change, ChangeStatus.SUPERSEDED, "a newer commit came, or the pull request was closed")
        else:
            await self._write(change, ChangeStatus(change.status), change.reason)

    async def _write(self, change: Change, status: ChangeStatus, why: str | None) -> None:
        async with self._db.uow() as uow:
            row = await uow.run(lambda session: queries.change(session, change.id, lock=True))
            if row is None:
                return
            row.status, row.reason, row.next_try_at, row.updated_at = status.value, why, None, uow.now()
            if row.kind == ChangeKind.PULL:
                row.tell_at = uow.now()
                uow.wake(CHANGES)
            await uow.commit()

    async def _later(self, change: Change, why: str) -> None:
        async with self._db.uow() as uow:
            row = await uow.run(lambda session: queries.change(session, change.id, lock=True))
            if row is not None:
                row.reason, row.next_try_at = why, uow.now() + RETRY
                await uow.commit()

    async def _refused(self, change: Change, condition: Condition, why: str) -> None:
        async with self._db.uow() as uow:
            workspace = await uow.run(lambda session: workspaces.for_update(session, change.workspace_id))
            row = await uow.run(lambda session: queries.change(session, change.id, lock=True))
            if workspace is None or row is None:
                return
            row.status, row.reason, row.next_try_at = ChangeStatus.REFUSED.value, why, None
            row.tell_at = row.updated_at = uow.now()
            if row.kind != ChangeKind.PULL:
                raise_on(uow, workspace, condition)
            uow.wake(CHANGES)
            await uow.commit()


def _unwanted(change: Change, workspace: Workspace, *, has_run: bool, overtaken: bool) -> str | None:
    if workspace.vcs_repository_id != change.repository_id:
        return "the workspace follows this repository no longer"
    if overtaken:
        return "a newer commit of the branch has a run already"
    if change.kind == ChangeKind.PULL and not change.open:
        return "a newer commit came, or the pull request was closed"
    if workspace.execution_mode == "local":
        return "the workspace's execution mode is local: nothing runs here"
    if change.kind == ChangeKind.PULL or workspace.queue_all_runs:
        return None
    if change.first:
        return "the workspace began to follow its repository; the first run is started by hand, or by itself with queue-all-runs"
    return None if has_run else "no run was started by hand yet; with queue-all-runs none has to be"
