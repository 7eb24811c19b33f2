"""What happens after news: a configuration that queues its own run, a freed workspace, an ended phase, a deleted workspace."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from terrapod_core.authz import Actor
from terrapod_core.configurations import queries as configurations
from terrapod_core.coordination import PHASES
from terrapod_core.db import Database
from terrapod_core.errors import TerrapodError
from terrapod_core.jobs import Jobs
from terrapod_core.jsonapi import Ref
from terrapod_core.plugin.events import (
    ConfigurationUploaded,
    RunStatusChanged,
    StateVersionFinalized,
    WorkspaceDeleted,
    WorkspaceUnlocked,
)
from terrapod_core.runs import queries, queue
from terrapod_core.runs.logs import Logs
from terrapod_core.runs.models import Phase, Run
from terrapod_core.runs.outcome import ActorOf
from terrapod_core.runs.phase_ends import give_up_if_stale
from terrapod_core.runs.requests import CreateRun
from terrapod_core.runs.service import Runs
from terrapod_core.runs.status import Cancel, PhaseStatus, RunStatus
from terrapod_core.storage import Objects
from terrapod_core.storage.discards import discard, remove_discarded
from terrapod_core.workspaces import Workspace, Workspaces, queries as workspaces_queries

OVERLOOKED_EVERY: Final = timedelta(minutes=1)
BATCH: Final = 100

log = structlog.get_logger("terrapod.runs")


class Handlers:
    """Listens for what concerns runs. Each may be called twice for one piece of news."""

    def __init__(
        self,
        db: Database,
        runs: Runs,
        workspaces: Workspaces,
        objects: Objects,
        logs: Logs,
        actor_of: ActorOf,
    ) -> None:
        self._db = db
        self._runs = runs
        self._workspaces = workspaces
        self._objects = objects
        self._logs = logs
        self._actor_of = actor_of

    def register(self, jobs: Jobs) -> None:
        """Listen."""
        jobs.on(WorkspaceUnlocked, "runs.admit", self.admit)
        jobs.every("runs.admit-overlooked", OVERLOOKED_EVERY, self.admit_overlooked)
        jobs.every("runs.release-awaited", OVERLOOKED_EVERY, self.release_awaited)
        jobs.on(StateVersionFinalized, "runs.discard-stale", self.discard_stale, concerning=queries.with_saved_plans)
        jobs.on(RunStatusChanged, "runs.seal-logs", self.seal_logs)
        jobs.on(ConfigurationUploaded, "runs.queue-run", self.queue_run)
        jobs.on(WorkspaceDeleted, "runs.remove-workspace", self.remove_workspace)

    async def admit(self, event: WorkspaceUnlocked) -> None:
        """Let the next run have the workspace that was unlocked."""
        async with self._db.uow() as uow:
            workspace = await uow.run(lambda session: workspaces_queries.for_update(session, event.workspace_id))
            if workspace is not None and await queue.admit(uow, self._workspaces, workspace) is not None:
                uow.wake(PHASES)
                await uow.commit()

    async def admit_overlooked(self) -> None:
        """Let runs have workspaces that are free, should the news of it have been laid aside."""
        for workspace_id in await self._db.read(queue.overlooked):
            await self.admit(WorkspaceUnlocked(workspace_id=workspace_id))

    async def release_awaited(self) -> None:
        """Free the workspaces whose last run's state was awaited for long enough."""
        for workspace_id in await self._db.read(lambda session: queue.overdue(session, self._db.clock.now())):
            await self._release_awaited(workspace_id)

    async def _release_awaited(self, workspace_id: str) -> None:
        async with self._db.uow() as uow:
            workspace = await uow.run(lambda session: workspaces_queries.for_update(session, workspace_id))
            if workspace is None or workspace.lock_until is None or workspace.lock_until > uow.now():
                return
            self._workspaces.release_from_run(uow, workspace, workspace.lock_holder_id or "")
            await queue.admit(uow, self._workspaces, workspace)
            uow.wake(PHASES)
            await uow.commit()

    async def discard_stale(self, event: StateVersionFinalized) -> None:
        """Give up saved plans that were made from a state which is no longer the workspace's."""
        async with self._db.uow() as uow:
            workspace = await uow.run(lambda session: workspaces_queries.for_update(session, event.workspace_id))
            if workspace is None:
                return
            for run in await uow.run(lambda session: queries.saved_plans(session, workspace.id)):
                await give_up_if_stale(uow, self._logs, run)
            await uow.commit()

    async def seal_logs(self, event: RunStatusChanged) -> None:
        """Move the logs of phases that have ended into the store."""
        for phase_id in await self._db.read(lambda session: _unsealed(session, event.run_id)):
            await self._logs.seal(phase_id)

    async def queue_run(self, event: ConfigurationUploaded) -> None:
        """The upload of a version with `auto-queue-runs` asks for a run; what its uploader may not do is not done."""
        actor = await self._db.read(lambda session: self._uploader(session, event.configuration_version_id))
        if actor is None:
            return
        new = CreateRun(
            workspace=Ref(type="workspaces", id=event.workspace_id),
            configuration_version=Ref(type="configuration-versions", id=event.configuration_version_id),
        )
        try:
            await self._runs.create(actor, new, source="tfe-configuration-version", message="Queued by the upload of its configuration")
        except TerrapodError as error:
            if error.status >= 500:
                raise
            log.info("an upload queued no run", configuration_version=event.configuration_version_id, reason=error.detail)

    async def remove_workspace(self, event: WorkspaceDeleted) -> None:
        """End what runs in a deleted workspace, and remove what its runs left in the store. The rows go with the workspace's.

        May be interrupted and repeated anywhere.
        """
        async with self._db.uow() as uow:
            for run, phase in await uow.run(lambda session: queries.unended_of(session, event.workspace_id)):
                if not run.is_final:
                    queue.move(uow, run, RunStatus.CANCELED)
                if not phase.is_final:
                    # A higher epoch: whatever its runner still sends is refused, and the runner stops.
                    phase.epoch += 1
                    phase.status, phase.finished_at = PhaseStatus.CANCELED.value, uow.now()
                    phase.cancel, phase.lease_expires_at = Cancel.FORCE.value, None
            uow.wake(PHASES)
            await uow.commit()
        while await self._let_go(event.workspace_id):
            pass
        await remove_discarded(self._db, self._objects)

    async def _let_go(self, workspace_id: str) -> bool:
        """Let a batch of phases go of their objects; whether there were any."""
        async with self._db.uow() as uow:
            phases = await uow.run(lambda session: queries.with_objects(session, workspace_id, BATCH))
            for phase in phases:
                discard(uow, [phase.log_key, phase.plan_file_key, phase.plan_json_key, phase.provider_schemas_key])
                phase.log_key = phase.plan_file_key = phase.plan_json_key = phase.provider_schemas_key = None
            await uow.commit()
        return bool(phases)

    def _uploader(self, session: Session, version_id: str) -> Actor | None:
        version = configurations.by_id(session, version_id)
        used = session.execute(select(Run.id).where(Run.configuration_version_id == version_id).limit(1)).first()
        if version is None or not version.auto_queue_runs or used or version.created_by_id is None:
            return None
        return self._actor_of(session, version.created_by_id)


def _unsealed(session: Session, run_id: str) -> list[str]:
    ended = (Phase.run_id == run_id, Phase.finished_at.is_not(None), Phase.log_key.is_(None), Phase.log_size > 0)
    query = select(Phase.id).join(Run, Run.id == Phase.run_id).join(Workspace, Workspace.id == Run.workspace_id)
    # What a deleted workspace left goes with its rows: an object made now would outlive them.
    query = query.where(*ended, Workspace.deleted_at.is_(None))
    return list(session.execute(query).scalars())
