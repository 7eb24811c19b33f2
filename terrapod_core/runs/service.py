"""Runs, as people and programs handle them: create, look, confirm, discard, cancel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from msgspec import UNSET
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from terrapod_core import audit, ids
from terrapod_core.authz import Actor, Authorizer, Permission
from terrapod_core.authz.gate import missing
from terrapod_core.configurations import ConfigurationVersion, queries as configurations
from terrapod_core.coordination import PHASES
from terrapod_core.db import Database, SettledCounts, UnitOfWork
from terrapod_core.errors import Conflict, Forbidden, Invalid, InvalidTransition, Problem
from terrapod_core.jsonapi import Page, PageRequest, Ref
from terrapod_core.metrics.definitions import RUN_TRANSITIONS
from terrapod_core.plugin import Stage
from terrapod_core.plugin.events import RunCreated
from terrapod_core.runs import queries, queue
from terrapod_core.runs.checking import Checking
from terrapod_core.runs.door import Door
from terrapod_core.runs.filters import RunFilters
from terrapod_core.runs.freshness import state_moved
from terrapod_core.runs.history import note
from terrapod_core.runs.isolation import Isolation
from terrapod_core.runs.logs import Logs
from terrapod_core.runs.models import Phase, Run, RunEvent
from terrapod_core.runs.phase_ends import end_phases
from terrapod_core.runs.queries import RunView
from terrapod_core.runs.requests import CreateRun, json_of, variables_of
from terrapod_core.runs.status import Cancel, PhaseStatus, RunStatus
from terrapod_core.runs.waiting import waiting_on
from terrapod_core.secrets import Keyring
from terrapod_core.settings import Settings
from terrapod_core.workspaces import UntrustedPlans, Workspace, Workspaces, queries as workspaces_queries

FORCE_CANCEL_AFTER: Final = timedelta(seconds=60)
VARIABLES_COLUMN: Final = "runs.variables"


class Runs:
    """The runs of all workspaces."""

    def __init__(
        self,
        db: Database,
        authz: Authorizer,
        workspaces: Workspaces,
        logs: Logs,
        keyring: Keyring,
        settings: Settings,
        isolation: Callable[[], Isolation],
        checking: Checking,
    ) -> None:
        self._db = db
        self._totals = SettledCounts()
        self._authz = authz
        self._workspaces = workspaces
        self._logs = logs
        self._keyring = keyring
        self._limits = settings.limits
        self._isolation = isolation
        self._checking = checking
        self._door = Door(authz)

    # -- reading

    async def show(self, actor: Actor, run_id: str) -> RunView:
        """One run; `NotFound` when it is absent or its workspace is not visible."""

        def look(session: Session) -> RunView:
            view = queries.by_id(session, run_id, self._db.clock.now())
            if view is None:
                raise missing("run")
            self._authz.require(actor, Permission.RUN_READ, view.workspace, noun="run")
            return self._with_variables(actor, view)

        return await self._db.read(look)

    def _with_variables(self, actor: Actor, view: RunView) -> RunView:
        """The names of the run's variables, and their values for those who may write."""
        if view.run.variables is None:
            return view
        given = variables_of(self._keyring.open(view.run.variables, column=VARIABLES_COLUMN, row=view.run.id))
        may_read = self._authz.allows(actor, Permission.VARIABLE_WRITE, view.workspace)
        return replace(view, variables=tuple({"key": each.key, "value": each.value if may_read else None} for each in given))

    async def phase(self, actor: Actor, phase_id: str, permission: Permission = Permission.RUN_READ) -> tuple[Phase, RunView]:
        """A plan or apply and its run, for those with the permission."""

        def look(session: Session) -> tuple[Phase, RunView]:
            found = queries.of_phase(session, phase_id, self._db.clock.now())
            if found is None:
                raise missing("plan or apply")
            self._authz.require(actor, permission, found[1].workspace, noun="plan or apply")
            return found

        return await self._db.read(look)

    async def page(self, actor: Actor, wanted: PageRequest, filters: RunFilters, workspace_id: str | None = None) -> Page[RunView]:
        """Runs of one workspace, or of all that the actor sees; newest first."""

        def look(session: Session) -> Page[RunView]:
            if workspace_id is not None:
                workspace = workspaces_queries.by_id(session, workspace_id)
                if workspace is None:
                    raise missing("workspace")
                self._authz.require(actor, Permission.RUN_READ, workspace)
            return queries.page(session, actor, self._authz, wanted, filters, self._db.clock.now(), self._totals, workspace_id=workspace_id)

        return await self._db.read(look)

    async def queue(self, actor: Actor, wanted: PageRequest) -> Page[RunView]:
        """The waiting runs the actor sees, in the order of service."""
        return await self._db.read(lambda session: queries.queue(session, actor, self._authz, wanted, self._db.clock.now()))

    async def capacity(self) -> tuple[int, int]:
        """Runs pending, runs running."""
        return await self._db.read(queries.capacity)

    async def events(self, actor: Actor, run_id: str) -> list[RunEvent]:
        """What happened to the run, oldest first."""
        await self.show(actor, run_id)
        return await self._db.read(lambda session: queries.events(session, run_id))

    async def event(self, actor: Actor, event_id: str) -> RunEvent:
        """One thing that happened to a run; `NotFound` like the run itself."""
        found = await self._db.read(lambda session: queries.events_by_ids(session, actor, self._authz, [event_id]))
        if not found:
            raise missing("run event")
        return found[0]

    # -- creating

    async def create(
        self,
        actor: Actor,
        new: CreateRun,
        *,
        source: str = "tfe-api",
        message: str = "",
        reason: str = "manual",
        trusted: bool = True,
        counted: bool = True,
        check: Callable[[Session, Workspace], None] | None = None,
    ) -> RunView:
        """Queue a run; `message` is the default one. It may be admitted at once. `trusted` is false for a run that comes from
        another one which was not, whatever its configuration is. Without `counted` it is none of the few that a user may have waiting.
        `check` may refuse by raising, while the workspace is locked.

        Raises `NotFound`/`Forbidden` by the gate, `Forbidden` (`runner_not_isolated`, `untrusted_plans_refused`), `Invalid` for a
        document that does not fit the workspace, `Conflict` when too many runs wait already.
        """
        new.check()
        async with self._db.uow() as uow:
            workspace = await self._locked(uow, new.workspace.id)
            if not self._authz.allows(actor, Permission.RUN_READ, workspace):
                raise _no_workspace()  # before anything is said of its configurations
            if check is not None:
                await uow.run(lambda session: check(session, workspace))
            configuration = await self._configuration(uow, workspace, new.configuration_version)
            trusted = trusted and configuration.trusted
            plan_only = configuration.speculative or not trusted or (new.plan_only is not UNSET and bool(new.plan_only))
            self._authz.require(actor, Permission.RUN_PLAN if plan_only else Permission.RUN_APPLY, workspace)
            # What a variable says is executed as the configuration is.
            trusted = trusted and (not new.variables or self._authz.allows(actor, Permission.RUN_APPLY, workspace))
            self._isolation().check(actor, workspace)
            self._check_workspace(workspace, new, plan_only=plan_only, trusted=trusted)
            await self._check_queue(uow, actor, workspace, counted=counted)
            run = self._made(actor, workspace, configuration, new, plan_only=plan_only, trusted=trusted, now=uow.now())
            run.source, run.message, run.trigger_reason = source, new.message or message, actor.via or reason
            await self._start(uow, actor, workspace, run)
            uow.wake(PHASES)
            uow.then(RUN_TRANSITIONS.labels("none", RunStatus.PENDING.value).inc)
            await uow.commit()
        return await self.show(actor, run.id)

    def _made(
        self,
        actor: Actor,
        workspace: Workspace,
        configuration: ConfigurationVersion,
        new: CreateRun,
        *,
        plan_only: bool,
        trusted: bool,
        now: datetime,
    ) -> Run:
        run_id = ids.new("run")
        auto = workspace.auto_apply if new.auto_apply is None else new.auto_apply
        return Run(
            id=run_id,
            workspace_id=workspace.id,
            configuration_version_id=configuration.id,
            plan_id=ids.new("plan"),
            apply_id=ids.new("apply"),
            status=RunStatus.PENDING.value,
            is_destroy=new.is_destroy,
            refresh=new.refresh,
            refresh_only=new.refresh_only,
            plan_only=plan_only,
            save_plan=new.save_plan and not plan_only,
            auto_apply=auto and not plan_only and not new.save_plan,
            allow_empty_apply=new.allow_empty_apply,
            allow_config_generation=new.allow_config_generation,
            target_addrs=new.target_addrs or [],
            replace_addrs=new.replace_addrs or [],
            variables=self._keyring.seal(json_of(new.variables), column=VARIABLES_COLUMN, row=run_id) if new.variables else None,
            terraform_version=new.terraform_version or workspace.terraform_version,
            trusted=trusted,
            of_fork=configuration.of_fork,
            created_by_id=actor.user_id,
            status_timestamps={},
            created_at=now,
        )

    async def _start(self, uow: UnitOfWork, actor: Actor, workspace: Workspace, run: Run) -> None:
        """Write the run with its phases, and let it have the workspace or a runner if it can; else its log says what it waits for."""
        uow.add(run)
        # Rows that name this one come after it: without a mapped relationship the session does not know.
        await uow.flush()
        plan = Phase(id=run.plan_id, run_id=run.id, kind="plan", status=PhaseStatus.PENDING.value, log_size=0, log_head=0)
        uow.add(plan, Phase(id=run.apply_id, run_id=run.id, kind="apply", status=PhaseStatus.PENDING.value))
        await uow.flush()
        note(uow, run, "created", "the run was created", actor)
        about = {"workspace": workspace.name, "plan_only": run.plan_only, "is_destroy": run.is_destroy, "trusted": run.trusted}
        audit.record(uow, actor, "run.create", "runs", run.id, **about)
        uow.emit(RunCreated(run_id=run.id, workspace_id=workspace.id))
        if run.holds_workspace:
            await queue.admit(uow, self._workspaces, workspace)
        else:
            await queue.start_plan(uow, run)
        why = waiting_on(run, workspace, launched=False, running=0)
        if run.status == RunStatus.PENDING and why is not None:
            self._logs.say(uow, plan, f"Waiting: {why.detail}.\n")

    async def _configuration(self, uow: UnitOfWork, workspace: Workspace, ref: Ref | None) -> ConfigurationVersion:
        pointer = "/data/relationships/configuration-version"
        if ref is None:
            latest = await uow.run(lambda session: configurations.latest_usable(session, workspace.id))
            if latest is None:
                detail = "the workspace has no configuration yet; upload a configuration version first"
                raise Invalid(problems=(Problem(detail, pointer),))
            return latest
        found = await uow.run(lambda session: configurations.by_id(session, ref.id or ""))
        # One sentence for absent and for another workspace's: an id inside a document tells no more than a fetch would.
        if found is None or found.workspace_id != workspace.id:
            raise Invalid(problems=(Problem("there is no such configuration version in this workspace", pointer),))
        if found.status != "uploaded":
            raise Invalid(problems=(Problem(f"the configuration version is {found.status}; upload its archive first", pointer),))
        return found

    def _check_workspace(self, workspace: Workspace, new: CreateRun, *, plan_only: bool, trusted: bool) -> None:
        if not trusted and workspace.untrusted_plans == UntrustedPlans.REFUSED:
            raise Forbidden(
                "this workspace refuses plans of what nobody with the level write has uploaded, or given variables to "
                "(untrusted-plans); ask somebody with write to start the run",
                code="untrusted_plans_refused",
            )
        if workspace.execution_mode == "local":
            detail = "the workspace's execution mode is `local`: terraform runs where you are, not on the server"
            raise Invalid(problems=(Problem(detail, "/data/relationships/workspace"),))
        if new.is_destroy and not workspace.allow_destroy_plan:
            raise Invalid(
                problems=(Problem("the workspace does not allow destroy plans (allow-destroy-plan)", "/data/attributes/is-destroy"),)
            )
        if new.terraform_version and not plan_only:
            detail = "only a plan-only run can choose its version; others take the workspace's terraform-version"
            raise Invalid(problems=(Problem(detail, "/data/attributes/terraform-version"),))

    async def _check_queue(self, uow: UnitOfWork, actor: Actor, workspace: Workspace, *, counted: bool) -> None:
        waiting = select(func.count()).select_from(Run).where(Run.workspace_id == workspace.id, Run.status == RunStatus.PENDING.value)
        most = self._limits.pending_runs_per_workspace
        if (await uow.session.execute(waiting)).scalar_one() >= most:
            raise Conflict(f"{most} runs of this workspace wait already; discard some first", code="queue_full")
        mine = select(func.count()).select_from(Run).where(Run.created_by_id == actor.user_id, Run.status.in_(queries.WAITING))
        most = self._limits.pending_runs_per_user
        if counted and actor.user_id is not None and (await uow.session.execute(mine)).scalar_one() >= most:
            raise Conflict(f"{most} runs of yours wait already; discard some first", code="queue_full")

    # -- deciding

    async def confirm(self, actor: Actor, run_id: str, comment: str | None = None) -> None:
        """Let the apply begin. A saved plan takes the workspace now; `Conflict` when it is taken or its state has moved on.

        `Conflict` with the code `run_denied` when a check says that nothing of this plan may be applied.
        """
        await self._ask_checks(actor, run_id)
        async with self._db.uow() as uow:
            run, workspace = await self._door.held(uow, actor, run_id, Permission.RUN_APPLY)
            self._isolation().check(actor, workspace)
            if not run.is_confirmable:
                raise InvalidTransition(f"the run is {run.status}; only a plan with changes that waits for approval can be confirmed")
            if run.status == RunStatus.PLANNED_AND_SAVED:
                if workspace.lock_kind is not None:
                    raise InvalidTransition(
                        f"the workspace is locked by {workspace.lock_holder_name}; the saved plan can be applied when it is free"
                    )
                moved = await uow.run(lambda session: state_moved(session, run))
                if moved is not None:
                    raise InvalidTransition(f"{moved}; make a new plan")
                self._workspaces.take_for_run(uow, workspace, run.id)
            run.confirmed_by_id = actor.user_id
            note(uow, run, "confirmed", "the apply was confirmed", actor, comment)
            audit.record(uow, actor, "run.confirm", "runs", run.id, workspace=workspace.name)
            await queue.start_apply(uow, run)
            uow.wake(PHASES)
            await uow.commit()

    async def _ask_checks(self, actor: Actor, run_id: str) -> None:
        view = await self.show(actor, run_id)
        self._authz.require(actor, Permission.RUN_APPLY, view.workspace, noun="run")
        if view.run.is_confirmable:
            verdict = await self._checking.verdict(run_id, Stage.CONFIRMED, confirmed_by_id=actor.user_id)
            if verdict.denied is not None:
                raise Conflict(f"this plan may not be applied: {verdict.denied}", code="run_denied")

    async def discard(self, actor: Actor, run_id: str, comment: str | None = None) -> None:
        """Give up a run that waits; the workspace goes to the next."""
        async with self._db.uow() as uow:
            run, workspace = await self._door.held(uow, actor, run_id, None)
            self._door.require_own(actor, run, workspace)
            if not run.is_discardable:
                raise InvalidTransition(f"the run is {run.status}; only a run that waits can be discarded")
            queue.move(uow, run, RunStatus.DISCARDED)
            await end_phases(uow, self._logs, run, PhaseStatus.UNREACHABLE)
            note(uow, run, "discarded", "the run was discarded", actor, comment)
            audit.record(uow, actor, "run.discard", "runs", run.id, workspace=workspace.name)
            await queue.release(uow, self._workspaces, workspace, run)
            uow.wake(PHASES)
            await uow.commit()

    async def cancel(self, actor: Actor, run_id: str, comment: str | None = None) -> Phase | None:
        """Stop a run: at once when nothing has begun, else by one interrupt to terraform, whose end the runner reports.

        Returns the phase whose runner has to be told, or `None`.
        """
        async with self._db.uow() as uow:
            run, workspace = await self._door.held(uow, actor, run_id, None)
            self._door.require_own(actor, run, workspace)
            if not run.is_cancelable:
                raise InvalidTransition(
                    f"the run is {run.status}{' and was cancelled already' if run.canceled_at else ''}; it cannot be cancelled"
                )
            run.canceled_at = uow.now()
            run.canceled_by_id = actor.user_id
            run.force_cancel_available_at = uow.now() + FORCE_CANCEL_AFTER
            note(uow, run, "canceled", "the run was cancelled", actor, comment)
            audit.record(uow, actor, "run.cancel", "runs", run.id, workspace=workspace.name, status=run.status)
            phase = await self._live_phase(uow, run)
            if phase is not None and phase.lease_expires_at is not None:
                phase.cancel = Cancel.INTERRUPT.value
            else:
                queue.move(uow, run, RunStatus.CANCELED)
                await end_phases(uow, self._logs, run, PhaseStatus.CANCELED)
                await queue.release(uow, self._workspaces, workspace, run)
                phase = None
            uow.wake(PHASES)
            await uow.commit()
        return phase

    async def force_cancel(self, actor: Actor, run_id: str, comment: str | None = None) -> Phase | None:
        """Kill what a cancel did not end. Offered a minute after it; needs admin. State may be lost: the log says so."""
        async with self._db.uow() as uow:
            run, workspace = await self._door.held(uow, actor, run_id, Permission.RUN_FORCE_CANCEL)
            if not run.is_force_cancelable(uow.now()):
                raise InvalidTransition("a run can be force-cancelled a minute after it was cancelled, if it still runs")
            run.status_timestamps = {**run.status_timestamps, "force-canceled-at": uow.now().strftime("%Y-%m-%dT%H:%M:%SZ")}
            note(uow, run, "force-canceled", "the run was force-cancelled", actor, comment)
            audit.record(uow, actor, "run.force-cancel", "runs", run.id, workspace=workspace.name)
            phase = await self._live_phase(uow, run)
            if phase is not None:
                phase.cancel = Cancel.FORCE.value
            uow.wake(PHASES)
            await uow.commit()
        return phase

    # -- inside a transaction

    async def _locked(self, uow: UnitOfWork, workspace_id: str | None) -> Workspace:
        workspace = await uow.run(lambda session: workspaces_queries.for_update(session, workspace_id or ""))
        if workspace is None:
            raise _no_workspace()
        return workspace

    async def _live_phase(self, uow: UnitOfWork, run: Run) -> Phase | None:
        applying = run.status in (RunStatus.CONFIRMED, RunStatus.APPLY_QUEUED, RunStatus.APPLYING)
        phase = await uow.session.get_one(Phase, run.apply_id if applying else run.plan_id, with_for_update=True)
        return None if phase.is_final else phase


def _no_workspace() -> Invalid:
    """One answer for a workspace that is not there and for one the actor may not see."""
    return Invalid(problems=(Problem("there is no such workspace, or you may not see it", "/data/relationships/workspace"),))
