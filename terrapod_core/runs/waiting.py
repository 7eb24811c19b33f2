"""Why a run does not go on by itself: the same code, sentence and moment in the API, at the head of its log, and on its page."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from terrapod_core.agents.standing import Standing
from terrapod_core.runs.models import Run
from terrapod_core.runs.status import RunStatus
from terrapod_core.workspaces import LockKind, Workspace

NO_ISOLATION: Final = "no_isolation"
"""The word in `Run.held_for`, and the code of `waiting-on`."""

HELD: Final = (
    "this server has no sandbox, so it launches the runs of platform admins alone; an operator can install bubblewrap, "
    "or set runner.local.allow_unisolated_users"
)


@dataclass(frozen=True)
class WaitingOn:
    """What a run waits for."""

    code: str
    detail: str
    since: datetime


@dataclass(frozen=True)
class PoolView:
    """How busy an agent pool is."""

    standing: Standing
    at_work: int
    """How many phases its listeners have."""

    @property
    def has_room(self) -> bool:
        """Whether one of its listeners could take another phase now."""
        return self.standing.ready > 0 and self.at_work < self.standing.capacity


def waiting_on(run: Run, workspace: Workspace, *, launched: bool, running: int, pool: PoolView | None = None) -> WaitingOn | None:
    """What it waits for; `None` while it is running or ended.

    `launched` says whether a runner has its queued phase, `running` how many phases the server's own runner has; `pool` is the
    workspace's, when its runs are carried out by one.
    """
    if run.status == RunStatus.PENDING:
        return _for_the_workspace(run, workspace)
    if run.status in (RunStatus.PLAN_QUEUED, RunStatus.APPLY_QUEUED) and not launched:
        postponed = run.held_for if run.held_for != NO_ISOLATION else None
        if workspace.agent_pool_id is not None:
            return for_a_listener(pool, _reached(run), postponed)
        if postponed is not None:
            return WaitingOn("concurrency", f"its runner cannot be started now: {postponed}", _reached(run))
        if run.held_for is not None:
            return WaitingOn(run.held_for, HELD, _reached(run))
        busy = {0: "a runner takes it in a moment", 1: "it waits for a free runner; one is at work"}
        return WaitingOn("concurrency", busy.get(running, f"it waits for a free runner; {running} are at work"), _reached(run))
    if run.status in (RunStatus.PLANNED, RunStatus.PLANNED_AND_SAVED):
        return WaitingOn("approval", "somebody has to confirm or discard the plan", _reached(run))
    return None


def for_a_listener(pool: PoolView | None, since: datetime, postponed: str | None = None) -> WaitingOn:
    """Why no listener of the pool has it yet; `postponed` is what the last one that had it said when it gave it back."""
    if pool is None or pool.standing.ready == 0:
        heard = pool.standing.last_heard_at if pool is not None else None
        last = f"; the last one was heard at {heard:%Y-%m-%d %H:%M UTC}" if heard is not None else ""
        return WaitingOn("no_agent", f"no listener of its agent pool takes runs now{last}", since)
    if not pool.has_room:
        taken = "the one place is" if pool.standing.capacity == 1 else f"all {pool.standing.capacity} places are"
        return WaitingOn("pool_capacity", f"{taken} taken by other runs of its agent pool", since)
    if postponed is not None:
        return WaitingOn("pool_capacity", f"its runner cannot be started now: {postponed}", since)
    return WaitingOn("pool_capacity", "a listener of its agent pool takes it in a moment", since)


def _for_the_workspace(run: Run, workspace: Workspace) -> WaitingOn:
    since = max(run.created_at, workspace.locked_at or run.created_at)
    if workspace.lock_kind == LockKind.USER:
        why = f": {workspace.lock_reason}" if workspace.lock_reason else ""
        return WaitingOn("workspace_locked", f"the workspace is locked by {workspace.lock_holder_name}{why}", since)
    if workspace.lock_kind == LockKind.RUN and workspace.lock_until is not None:
        until = workspace.lock_until.strftime("%H:%M UTC")
        detail = f"{workspace.lock_holder_id} was cancelled and its runner is not heard; its state is awaited until {until}"
        return WaitingOn("queued_behind", detail, run.created_at)
    if workspace.lock_kind == LockKind.RUN:
        return WaitingOn("queued_behind", f"{workspace.lock_holder_id} has the workspace", run.created_at)
    return WaitingOn("queued_behind", "the workspace has just become free; who has waited longest takes it in a moment", run.created_at)


def _reached(run: Run) -> datetime:
    stamp = run.status_timestamps.get(f"{run.status.replace('_', '-')}-at")
    return datetime.fromisoformat(stamp) if stamp else run.created_at
