"""A run once more, and a run before its turn."""

from __future__ import annotations

from terrapod_core import audit
from terrapod_core.authz import Actor, Authorizer, Permission
from terrapod_core.coordination import PHASES
from terrapod_core.db import Database
from terrapod_core.errors import Forbidden, InvalidTransition
from terrapod_core.jsonapi import Ref
from terrapod_core.runs import queue
from terrapod_core.runs.door import Door
from terrapod_core.runs.history import note
from terrapod_core.runs.logs import Logs
from terrapod_core.runs.models import Run
from terrapod_core.runs.phase_ends import end_phases
from terrapod_core.runs.queries import RunView
from terrapod_core.runs.requests import MESSAGE_CHARACTERS, CreateRun, variables_of
from terrapod_core.runs.service import VARIABLES_COLUMN, Runs
from terrapod_core.runs.status import PhaseStatus, RunStatus
from terrapod_core.secrets import Keyring
from terrapod_core.workspaces import LockKind, Workspaces


class Again:
    """Retry, and execute by force."""

    def __init__(
        self,
        db: Database,
        authz: Authorizer,
        workspaces: Workspaces,
        runs: Runs,
        logs: Logs,
        keyring: Keyring,
    ) -> None:
        self._db = db
        self._authz = authz
        self._workspaces = workspaces
        self._runs = runs
        self._logs = logs
        self._keyring = keyring
        self._door = Door(authz)

    async def retry(self, actor: Actor, run_id: str, comment: str | None = None) -> RunView:
        """A new run of the same configuration with the same options, as if the actor had asked for it: with their rights, and the
        limits of any new run. What was untrusted stays so. The comment is the new run's message.

        Raises what `Runs.create` raises, `InvalidTransition` while the old run goes on, and `Forbidden` when it has variables
        whose values the actor may not see.
        """
        view = await self._runs.show(actor, run_id)
        old = view.run
        self._authz.require(actor, Permission.RUN_PLAN, view.workspace, noun="run")
        if not old.is_final:
            raise InvalidTransition(f"the run is {old.status}; only a run that has ended can be tried again")
        if old.variables is not None and not self._authz.allows(actor, Permission.VARIABLE_WRITE, view.workspace):
            raise Forbidden("this run has variables whose values you may not see; start a run of your own", code="level_too_low")
        message = old.message if old.message.startswith("Retry of ") else f"Retry of {old.id}: {old.message}"
        message = (comment or message)[:MESSAGE_CHARACTERS]
        return await self._runs.create(actor, self._same(old), source="tfe-api", message=message, reason="retry", trusted=old.trusted)

    def _same(self, old: Run) -> CreateRun:
        given = variables_of(self._keyring.open(old.variables, column=VARIABLES_COLUMN, row=old.id)) if old.variables is not None else None
        return CreateRun(
            workspace=Ref(type="workspaces", id=old.workspace_id),
            configuration_version=Ref(type="configuration-versions", id=old.configuration_version_id),
            auto_apply=old.auto_apply,
            is_destroy=old.is_destroy,
            refresh=old.refresh,
            refresh_only=old.refresh_only,
            plan_only=old.plan_only,
            save_plan=old.save_plan,
            allow_empty_apply=old.allow_empty_apply,
            allow_config_generation=old.allow_config_generation,
            target_addrs=old.target_addrs,
            replace_addrs=old.replace_addrs,
            variables=given,
        )

    async def force_execute(self, actor: Actor, run_id: str, comment: str | None = None) -> None:
        """Let a pending run have its workspace now: the run that has it is discarded, if it only waits for somebody's decision.

        `InvalidTransition` when the run is not pending, or when a person or a run that is at work has the workspace.
        """
        async with self._db.uow() as uow:
            run, workspace = await self._door.held(uow, actor, run_id, Permission.RUN_CANCEL)
            if run.status != RunStatus.PENDING:
                raise InvalidTransition(f"the run is {run.status}; only a pending run can be executed by force")
            if workspace.lock_kind == LockKind.USER:
                raise InvalidTransition(f"the workspace is locked by {workspace.lock_holder_name}; unlock it first")
            if workspace.lock_holder_id is not None:
                holder = await uow.session.get_one(Run, workspace.lock_holder_id, with_for_update=True, populate_existing=True)
                if not holder.is_discardable:
                    raise InvalidTransition(f"{holder.id} has the workspace and is {holder.status}; it cannot be discarded")
                queue.move(uow, holder, RunStatus.DISCARDED)
                await end_phases(uow, self._logs, holder, PhaseStatus.UNREACHABLE)
                note(uow, holder, "discarded", f"the run was discarded so that {run.id} goes first", actor)
                self._workspaces.release_from_run(uow, workspace, holder.id)
            self._workspaces.take_for_run(uow, workspace, run.id)
            note(uow, run, "force-executed", "the run was executed before its turn", actor, comment)
            audit.record(uow, actor, "run.force-execute", "runs", run.id, workspace=workspace.name)
            await queue.start_plan(uow, run)
            uow.wake(PHASES)
            await uow.commit()
