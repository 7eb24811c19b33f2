"""The say that the policies have about every run of the workspaces that have an entry."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any, Final

from terrapod_core.plugin import Advise, CheckedRun, Decision, Deny, Stage
from terrapod_sync import plans
from terrapod_sync.engine import store
from terrapod_sync.engine.conflicts import changes_nothing
from terrapod_sync.engine.parts import Parts
from terrapod_sync.engine.runs import REFRESH
from terrapod_sync.engine.timetable import entry_of
from terrapod_sync.models import Sync, SyncedWorkspace
from terrapod_sync.plans import Plan, Verdict
from terrapod_sync.policies import Mode, Operation, Policy

MISSING: Final = "The runner sent no JSON of the plan, or it is too large to be judged, so nothing of it may be applied."
INCOMPLETE: Final = "The plan has changes, and its JSON tells of none, so nothing of it may be applied."


class Judging:
    """The plugin's `RunCheck`."""

    name = "sync"

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def check(self, run: CheckedRun, stage: Stage) -> Decision | None:
        """What the general policy says; about a plan of the schedule's own also what the schedule may do with it."""
        row = await self._parts.read(lambda session: session.get(SyncedWorkspace, run.workspace_id))
        if row is None:
            return None
        sync = await self._parts.read(lambda session: store.sync_of(session, run.workspace_id, run.id, run.message)) if _own(run) else None
        if sync is not None and stage is Stage.PLANNED:
            return await self._judge_own(run, sync)
        general = entry_of(row).general()
        return await self._bound(run, stage, general, sync) if general is not None else None

    async def _bound(self, run: CheckedRun, stage: Stage, general: Policy, sync: Sync | None) -> Decision | None:
        if changes_nothing(general):
            if run.has_changes or stage is not Stage.PLANNED:
                return Deny(
                    f"the workspace's policy {general} allows nothing to be applied; it is set in its entry in the Sync configuration"
                )
            return None
        if not run.has_changes or (sync is not None and sync.mode == REFRESH):
            return None
        _, verdict = await _judged(run, general.operations)
        return None if verdict.allowed else Deny(verdict.reason)

    async def _judge_own(self, run: CheckedRun, sync: Sync) -> Decision | None:
        """Keep with the sync what its plan holds; what follows from it is decided when the run has got there."""
        plan, verdict = await _judged(run, [Operation(each) for each in sync.operations])
        free = not run.has_changes or sync.mode in (REFRESH, Mode.OBSERVE)  # nothing is applied, or nothing but to the state
        reason = None if free or verdict.allowed else verdict.reason
        steps = [] if free else [{"address": each.address, "does": each.does, "needs": each.needs.value} for each in verdict.forbidden]
        await self._keep(run, sync.id, plan.drifted if plan is not None else None, steps, reason)
        return Advise(reason) if reason is not None else None

    async def _keep(self, run: CheckedRun, sync_id: str, drifted: bool | None, steps: list[dict[str, Any]], reason: str | None) -> None:
        async with self._parts.tables.change() as change:
            found = await change.run(lambda session: store.locked_with_row(session, sync_id))
            if found is not None and found[0].run_id in (None, run.id):
                sync = found[0]
                sync.run_id, sync.plan_digest = run.id, run.plan_digest
                sync.has_changes, sync.drifted = run.has_changes, drifted
                sync.forbidden, sync.reason = steps, reason
                await change.commit()


def _own(run: CheckedRun) -> bool:
    """Whether the plugin made it. The server says so; a message can be written by anybody."""
    return run.trigger_reason == "sync"


async def _judged(run: CheckedRun, operations: Collection[Operation]) -> tuple[Plan | None, Verdict]:
    document = await run.plan_json()
    if document is None:
        return None, Verdict((), MISSING)
    plan, verdict = await asyncio.to_thread(_judge, document, operations)
    if plan is not None and plan.empty and verdict.allowed and not _may_be_empty(run, operations):
        return plan, Verdict((), INCOMPLETE)
    return plan, verdict


def _may_be_empty(run: CheckedRun, operations: Collection[Operation]) -> bool:
    """A refresh changes the state alone; what a destruction drops of data sources, terraform does not tell."""
    return not run.has_changes or run.refresh_only or (run.is_destroy and Operation.MARKED_TO_DELETION in operations)


def _judge(document: bytes, operations: Collection[Operation]) -> tuple[Plan | None, Verdict]:
    try:
        plan = plans.read(document)
    except plans.UnreadablePlan as refusal:
        return None, Verdict((), str(refusal))
    return plan, plans.judge(plan, operations)
