"""What runs ought to do, in plain Python: no database, no runner, no lock. The machine of `test_model` holds the server to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

LEASE = timedelta(seconds=60)
AWAITED = timedelta(minutes=10)
STOPPING = timedelta(minutes=1)
DEAF = timedelta(seconds=15)
FINAL = {"planned_and_finished", "applied", "discarded", "canceled", "errored"}
PERSON = "a person"


@dataclass(eq=False)
class ModelPhase:
    """A plan or an apply."""

    kind: str
    status: str = "new"
    """`new`, `queued`, `launched`, `running`, `over`."""
    launches: int = 0
    cancel: str = "none"
    dead: bool = False
    """Its program has ended without a word."""
    lease: datetime | None = None
    """When its runner was last heard."""
    seen: tuple[datetime | None, datetime] | None = None
    """The lease as the dispatcher saw it, and since when."""

    @property
    def leased(self) -> bool:
        return self.status in ("launched", "running")


@dataclass(eq=False)
class ModelRun:
    """One run; `kind` is `apply`, `auto`, `plan-only` or `saved`."""

    workspace: ModelWorkspace
    kind: str
    status: str = "pending"
    canceled_at: datetime | None = None
    made_from: int = 0
    """Serial of the state its plan was made from."""
    plan: ModelPhase = field(default_factory=lambda: ModelPhase("plan"))
    apply: ModelPhase = field(default_factory=lambda: ModelPhase("apply"))

    @property
    def is_final(self) -> bool:
        return self.status in FINAL

    @property
    def waits_for(self) -> str | None:
        """The code of `waiting-on`."""
        if self.status == "pending":
            return "workspace_locked" if self.workspace.holder == PERSON else "queued_behind"
        if self.status in ("plan_queued", "apply_queued"):
            phase = self.plan if self.status == "plan_queued" else self.apply
            return "concurrency" if phase.status == "queued" else None
        return "approval" if self.status in ("planned", "planned_and_saved") else None

    @property
    def live(self) -> ModelPhase:
        return self.apply if self.status in ("apply_queued", "applying") else self.plan


@dataclass(eq=False)
class ModelWorkspace:
    """A workspace and its queue."""

    number: int
    holder: ModelRun | str | None = None
    serial: int = 0
    until: datetime | None = None
    """How long its holder, a cancelled run that is over, may wait for its state."""


class Refused(Exception):
    """The model says that the server must refuse this."""


class Model:
    """All of it."""

    def __init__(self, capacity: int, now: datetime) -> None:
        self.capacity = capacity
        self.now = now
        self.looked_at = now
        self.runs: list[ModelRun] = []
        self.out_of_reach = False
        """Whether the runners cannot be killed from here."""

    # -- what people do

    def create(self, workspace: ModelWorkspace, kind: str) -> ModelRun:
        run = ModelRun(workspace, kind)
        self.runs.append(run)
        if kind in ("plan-only", "saved"):
            self._queue(run)
        else:
            self._admit(workspace)
        return run

    def confirm(self, run: ModelRun) -> None:
        if run.status not in ("planned", "planned_and_saved"):
            raise Refused
        if run.status == "planned_and_saved":
            if run.workspace.holder is not None or run.made_from != run.workspace.serial:
                raise Refused
            run.workspace.holder = run
        run.status, run.apply.status = "apply_queued", "queued"

    def discard(self, run: ModelRun) -> None:
        if run.status not in ("pending", "planned", "planned_and_saved"):
            raise Refused
        self._end(run, "discarded")

    def cancel(self, run: ModelRun) -> None:
        if run.canceled_at is not None or run.status not in ("pending", "plan_queued", "planning", "apply_queued", "applying"):
            raise Refused
        run.canceled_at = self.now
        if run.live.leased:
            run.live.cancel = "interrupt"
        else:
            self._end(run, "canceled")

    def force_cancel(self, run: ModelRun) -> None:
        if run.is_final or run.canceled_at is None or self.now < run.canceled_at + LEASE:
            raise Refused
        run.live.cancel = "force"

    def retry(self, run: ModelRun) -> ModelRun:
        if not run.is_final:
            raise Refused
        return self.create(run.workspace, run.kind)

    def force_execute(self, run: ModelRun) -> None:
        holder = run.workspace.holder
        if run.status != "pending" or holder == PERSON:
            raise Refused
        if isinstance(holder, ModelRun):
            if holder.status != "planned":
                raise Refused
            self._finish(holder, "discarded")
        run.workspace.holder = run
        self._queue(run)

    def lock(self, workspace: ModelWorkspace) -> None:
        if workspace.holder is not None:
            raise Refused
        workspace.holder = PERSON

    def force_unlock(self, workspace: ModelWorkspace) -> None:
        if workspace.holder is None or (workspace.holder != PERSON and workspace.until is None):
            raise Refused
        self._free(workspace)

    def unlock(self, workspace: ModelWorkspace) -> None:
        if workspace.holder != PERSON:
            raise Refused
        workspace.holder = None
        self._admit(workspace)

    # -- what runners do

    def claim(self, run: ModelRun, phase: ModelPhase) -> None:
        """Take a launched phase; `Refused` when it was cancelled before it began."""
        if phase.cancel != "none":
            self._end(run, "canceled")
            raise Refused
        phase.status, phase.lease = "running", self.now
        run.status = "planning" if phase.kind == "plan" else "applying"
        if phase.kind == "plan":
            run.made_from = run.workspace.serial

    def report(self, run: ModelRun, phase: ModelPhase, status: str, *, changes: bool) -> None:
        if status == "errored" and (phase.kind == "apply" or phase.cancel == "none"):
            self._end(run, "errored")
        elif status == "canceled" or (phase.kind == "plan" and phase.cancel != "none"):
            self._end(run, "canceled")
        elif phase.kind == "apply":
            self._end(run, "applied")
        elif run.kind == "plan-only" or not changes:
            self._end(run, "planned_and_finished")
        else:
            phase.status = "over"
            run.status = "planned_and_saved" if run.kind == "saved" else "planned"
            if run.kind == "auto":
                run.status, run.apply.status = "apply_queued", "queued"
            self._stale(run.workspace)

    def late_state(self, run: ModelRun) -> bool:
        """A runner whose lease is over brings a newer state; whether it becomes the current one."""
        if run.workspace.holder is not run or run.workspace.until is None:
            return False
        run.workspace.serial += 1
        self._stale(run.workspace)
        run.workspace.until = min(run.workspace.until, self.now + STOPPING)
        return True

    def state_written(self, run: ModelRun) -> None:
        run.workspace.serial += 1
        self._stale(run.workspace)

    # -- what the server does by itself

    def look(self) -> int:
        """One pass of the dispatcher; how many phases it launches. Which ones, the test tells by `launched`."""
        ended = [space for space in {run.workspace for run in self.runs} if space.until is not None and self._ended(space)]
        deaf = not timedelta(0) <= self.now - self.looked_at <= DEAF
        self.looked_at = self.now
        leased = [(run, phase) for run in self.runs for phase in (run.plan, run.apply) if phase.leased]
        queued = [phase for run in self.runs for phase in (run.plan, run.apply) if phase.status == "queued"]
        for run, phase in leased:
            if deaf or phase.seen is None or phase.seen[0] != phase.lease:
                phase.seen = (phase.lease, self.now)
            if self.now - phase.seen[1] >= LEASE:
                self._lost(run, phase, unheard=True)
            elif phase.dead or (phase.cancel == "force" and not self.out_of_reach):
                self._lost(run, phase)
        for workspace in ended:
            self._free(workspace)
        return max(0, min(self.capacity - len(leased), len(queued)))

    def launched(self, phase: ModelPhase) -> None:
        phase.status, phase.lease, phase.seen, phase.dead = "launched", self.now, None, False
        phase.launches += 1

    def sweep(self) -> None:
        """The clock's work."""
        for workspace in {run.workspace for run in self.runs}:
            if workspace.until is not None and workspace.until <= self.now:
                self._free(workspace)

    def _ended(self, workspace: ModelWorkspace) -> bool:
        """Whether the runner that the workspace waits for has ended, and is known to have."""
        assert isinstance(workspace.holder, ModelRun)
        return workspace.holder.apply.dead or not self.out_of_reach

    def _free(self, workspace: ModelWorkspace) -> None:
        workspace.holder = workspace.until = None
        self._admit(workspace)

    def _lost(self, run: ModelRun, phase: ModelPhase, *, unheard: bool = False) -> None:
        claimed = phase.status == "running"
        if unheard and phase.kind == "apply" and claimed and phase.cancel != "none":
            run.status, run.plan.status, run.apply.status = "canceled", "over", "over"
            run.workspace.until = self.now + AWAITED
        elif phase.cancel != "none":
            self._end(run, "canceled")
        elif (not claimed and phase.launches < 3) or (phase.kind == "plan" and phase.launches < 2):
            run.status = "plan_queued" if phase.kind == "plan" else run.status
            phase.status, phase.lease = "queued", None
        else:
            self._end(run, "errored")

    def _stale(self, workspace: ModelWorkspace) -> None:
        for run in self.runs:
            if run.workspace is workspace and run.status == "planned_and_saved" and run.made_from != workspace.serial:
                self._finish(run, "discarded")

    def _queue(self, run: ModelRun) -> None:
        run.status, run.plan.status = "plan_queued", "queued"

    def _admit(self, workspace: ModelWorkspace) -> None:
        waiting = [run for run in self.runs if run.workspace is workspace and run.status == "pending"]
        if workspace.holder is None and waiting:
            workspace.holder = waiting[0]
            self._queue(waiting[0])

    def _finish(self, run: ModelRun, status: str) -> None:
        run.status = status
        run.plan.status = run.apply.status = "over"
        if run.workspace.holder is run:
            run.workspace.holder = None

    def _end(self, run: ModelRun, status: str) -> None:
        self._finish(run, status)
        self._admit(run.workspace)
