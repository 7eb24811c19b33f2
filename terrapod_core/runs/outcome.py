"""What becomes of a run when a phase of it has ended, or was lost."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Final

from sqlalchemy.orm import Session

from terrapod_core.authz import SYSTEM, Actor, Authorizer, Permission
from terrapod_core.db import UnitOfWork
from terrapod_core.errors import Invalid
from terrapod_core.metrics.definitions import PHASE_SECONDS, RUNNERS_LOST
from terrapod_core.runs import mirror_failures, queue, tracing
from terrapod_core.runs.checking import Verdict
from terrapod_core.runs.history import note
from terrapod_core.runs.logs import Logs
from terrapod_core.runs.models import Phase, Run
from terrapod_core.runs.phase_ends import end_phases, give_up_if_stale
from terrapod_core.runs.requests import Report
from terrapod_core.runs.status import Cancel, PhaseStatus, RunStatus
from terrapod_core.states import divergence
from terrapod_core.workspaces import UntrustedPlans, Workspace, Workspaces
from terrapod_core.workspaces.conditions import raise_on, settle

MAX_PLAN_LAUNCHES: Final = 2
"""A lost plan is tried once more; then something is wrong that a third try will not mend."""

MAX_UNCLAIMED_LAUNCHES: Final = 3

AWAITED: Final = timedelta(minutes=10)
"""How long a cancelled apply that is not heard keeps its workspace. A network or a machine that comes back at all is back by then;
the half hour in which a late state is taken is too long to keep everybody else waiting.
"""

NOTHING_SAID: Final = Verdict()

ActorOf = Callable[[Session, str], Actor | None]
"""Finds a user as they are now; `None` for one who is disabled or gone."""


class Outcomes:
    """Decides and writes; the caller holds the locks and commits.

    Everything a client reads once the log has ended (has-changes, status, counts) is written in the same transaction as the
    log's ETX: the CLI looks at the run the moment the log is over, and exits without applying if it finds no changes.
    """

    def __init__(self, workspaces: Workspaces, authz: Authorizer, logs: Logs, actor_of: ActorOf) -> None:
        self._workspaces = workspaces
        self._authz = authz
        self._logs = logs
        self._actor_of = actor_of

    async def refusal(self, uow: UnitOfWork, workspace: Workspace, run: Run, phase: Phase) -> str | None:
        """Why a phase must not begin for want of somebody who answers for it; `None` when it may.

        Time has passed since the run was asked for or confirmed: rights may be gone, and settings stricter.
        """
        if not run.trusted and phase.kind == "apply":
            return "nobody with the level write vouches for this run's configuration; it can only be planned"
        if not run.trusted and workspace.untrusted_plans == UntrustedPlans.REFUSED:
            return "the workspace refuses plans of untrusted configurations (untrusted-plans)"
        answers = (run.confirmed_by_id if phase.kind == "apply" else None) or run.created_by_id
        actor = await uow.run(lambda session: self._actor_of(session, answers)) if answers is not None else SYSTEM
        if actor is None or not self._authz.allows(actor, Permission.RUN_PLAN if run.plan_only else Permission.RUN_APPLY, workspace):
            asked = "confirmed" if answers == run.confirmed_by_id else "asked for"
            return f"the one who {asked} this run may not do so any more; nothing was changed"
        return None

    async def reported(
        self, uow: UnitOfWork, workspace: Workspace, run: Run, phase: Phase, report: Report, verdict: Verdict = NOTHING_SAID
    ) -> None:
        """Take a runner's report as true; `verdict` is what others say of a finished plan. Raises `Invalid` for a status that is none."""
        if report.status not in ("finished", "errored", "canceled"):
            raise Invalid(f"{report.status!r} is no way for a phase to end")
        phase.has_changes = report.has_changes
        phase.generated_configuration = report.generated_configuration
        phase.additions, phase.changes = report.additions, report.changes
        phase.destructions, phase.imports = report.destructions, report.imports
        if phase.kind == "apply" and report.state_incomplete:
            raise_on(uow, workspace, divergence.incomplete(run.id, report.message, uow.now()))
        tracing.tried(uow, run, phase, report.status)
        # A plan that was through before it heard of the cancel has nothing to go on to: the run was not wanted any more.
        stopped = phase.kind == "plan" and phase.cancel != Cancel.NONE
        if report.status == "finished" and not stopped:
            await self._finished(uow, workspace, run, phase, verdict)
        elif report.status == "canceled" or stopped:
            await self._ended(uow, workspace, run, phase, RunStatus.CANCELED, report.message)
        else:
            await self._ended(uow, workspace, run, phase, RunStatus.ERRORED, report.message, line=mirror_failures.said(phase))

    async def failed(self, uow: UnitOfWork, workspace: Workspace, run: Run, phase: Phase, why: str) -> None:
        """End a phase that could not begin; the reason goes into its log, where people look."""
        await self._ended(uow, workspace, run, phase, RunStatus.ERRORED, why, line=f"\nError: {why}\n")

    async def canceled(self, uow: UnitOfWork, workspace: Workspace, run: Run, phase: Phase) -> None:
        """End a phase that was cancelled before it had begun."""
        await self._ended(uow, workspace, run, phase, RunStatus.CANCELED, None)

    async def unheard(self, uow: UnitOfWork, workspace: Workspace, run: Run, phase: Phase, *, why: str | None = None) -> None:
        """The runner is lost, but may still be at work: a cancelled apply keeps the workspace for a while, so that its state can come."""
        if phase.kind == "apply" and phase.claimed_by is not None and phase.cancel != Cancel.NONE:
            self._workspaces.hold_for_state(uow, workspace, run.id, uow.now() + AWAITED)
        await self.lost(uow, workspace, run, phase, why=why)

    async def lost(self, uow: UnitOfWork, workspace: Workspace, run: Run, phase: Phase, *, why: str | None = None) -> None:
        """The runner is gone. A plan is tried once more; an apply is not, because it may have changed things.

        `why` is what the runner backend says of it.
        """
        told = f" ({why})" if why and why not in ("running", "ended") else ""
        tracing.tried(uow, run, phase, "lost")
        phase.epoch += 1
        uow.then(RUNNERS_LOST.labels(phase.kind).inc)
        claimed = phase.claimed_by is not None
        if phase.kind == "apply" and claimed:
            raise_on(uow, workspace, divergence.lost(run.id, uow.now()))
        if phase.cancel != Cancel.NONE:
            await self._ended(
                uow, workspace, run, phase, RunStatus.CANCELED, None, line="\nThe run was cancelled; its runner did not answer.\n"
            )
        elif not claimed and phase.launches < MAX_UNCLAIMED_LAUNCHES:
            queue.enqueue(phase, uow.now())
        elif phase.kind == "plan" and claimed and phase.launches < MAX_PLAN_LAUNCHES:
            self._retry_plan(uow, run, phase)
        elif phase.kind == "plan" or not claimed:
            await self.failed(uow, workspace, run, phase, f"the runner of this {phase.kind} was lost{told}; start a new run")
        else:
            advice = (
                f"the runner of this apply was lost{told} while it may have been changing things; check the workspace's state against "
                "what exists (a refresh-only run shows the difference) before the next apply"
            )
            await self.failed(uow, workspace, run, phase, advice)

    def _retry_plan(self, uow: UnitOfWork, run: Run, phase: Phase) -> None:
        note(uow, run, "retried", "the runner of the plan was lost; the plan is made again")
        self._logs.append(uow, phase, b"\nThe runner of this plan was lost. Trying once more.\n\n")
        # What the second runner sends counts from here.
        phase.log_head = phase.log_size
        queue.move(uow, run, RunStatus.PLAN_QUEUED)
        queue.enqueue(phase, uow.now())

    async def _finished(self, uow: UnitOfWork, workspace: Workspace, run: Run, phase: Phase, verdict: Verdict) -> None:
        if phase.kind == "apply":
            self._close(uow, phase, PhaseStatus.FINISHED)
            queue.move(uow, run, RunStatus.APPLIED)
            note(uow, run, "applied", "the apply has finished")
            _agrees(uow, workspace, run)
            await queue.release(uow, self._workspaces, workspace, run)
            return
        run.has_changes = phase.has_changes
        verdict.tell(uow, run)
        if verdict.denied is not None and not run.plan_only and (run.has_changes or run.allow_empty_apply):
            why = f"this plan may not be applied: {verdict.denied}"
            await self._ended(uow, workspace, run, phase, RunStatus.ERRORED, why, line=f"\nError: {why}\n")
            return
        self._close(uow, phase, PhaseStatus.FINISHED)
        await self._planned(uow, workspace, run, verdict)

    async def _planned(self, uow: UnitOfWork, workspace: Workspace, run: Run, verdict: Verdict) -> None:
        if run.plan_only or not (run.has_changes or run.allow_empty_apply):
            queue.move(uow, run, RunStatus.PLANNED_AND_FINISHED)
            note(uow, run, "planned", "the plan has finished" if run.has_changes else "the plan has finished: no changes")
            if run.holds_workspace:
                _agrees(uow, workspace, run)
            await end_phases(uow, self._logs, run, PhaseStatus.UNREACHABLE)
            await queue.release(uow, self._workspaces, workspace, run)
        elif run.save_plan:
            queue.move(uow, run, RunStatus.PLANNED_AND_SAVED)
            note(uow, run, "planned", "the plan is saved and waits to be applied")
            await give_up_if_stale(uow, self._logs, run)
        else:
            queue.move(uow, run, RunStatus.PLANNED)
            note(uow, run, "planned", "the plan has finished")
            if run.auto_apply and run.canceled_at is None and verdict.held is None:
                await self._auto_apply(uow, workspace, run)

    async def _auto_apply(self, uow: UnitOfWork, workspace: Workspace, run: Run) -> None:
        """Go on alone, if the one who asked for it may still apply; else a person decides."""
        creator_id = run.created_by_id
        creator = await uow.run(lambda session: self._actor_of(session, creator_id)) if creator_id is not None else None
        if creator is None or not self._authz.allows(creator, Permission.RUN_APPLY, workspace):
            note(uow, run, "held", "the run's creator may not apply any more; somebody has to confirm")
            return
        note(uow, run, "confirmed", "applied automatically")
        await queue.start_apply(uow, run)

    async def _ended(
        self, uow: UnitOfWork, workspace: Workspace, run: Run, phase: Phase, status: RunStatus, why: str | None, *, line: str = ""
    ) -> None:
        self._close(uow, phase, PhaseStatus.CANCELED if status is RunStatus.CANCELED else PhaseStatus.ERRORED, line)
        run.failure = why
        if status is RunStatus.CANCELED and run.canceled_at is None:
            run.canceled_at = uow.now()
        queue.move(uow, run, status)
        note(uow, run, status.value, why or f"the {phase.kind} ended: {status.value}")
        await end_phases(uow, self._logs, run, PhaseStatus.UNREACHABLE)
        if not (workspace.awaits_state and workspace.is_held_by(run.id)):
            await queue.release(uow, self._workspaces, workspace, run)

    async def gone(self, uow: UnitOfWork, workspace: Workspace, run: Run) -> None:
        """The runner of a run that is over is known to be gone, or its time is over: no state of it is awaited any more."""
        if workspace.awaits_state and workspace.is_held_by(run.id):
            await queue.release(uow, self._workspaces, workspace, run)

    def _close(self, uow: UnitOfWork, phase: Phase, status: PhaseStatus, line: str = "") -> None:
        phase.status = status.value
        phase.finished_at = uow.now()
        phase.lease_expires_at = None
        self._logs.close(uow, phase, line)
        if phase.started_at is not None:
            uow.then(partial(PHASE_SECONDS.labels(phase.kind, status.value).observe, (uow.now() - phase.started_at).total_seconds()))


def _agrees(uow: UnitOfWork, workspace: Workspace, run: Run) -> None:
    """State and world were compared, all of it, and agree. With a run that waited already when they parted nobody meant to look."""
    if run.refresh and not run.target_addrs:
        settle(uow, workspace, divergence.CODE, f"{run.id} was applied or found nothing to do", before=run.created_at)
