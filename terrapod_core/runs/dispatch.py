"""Hands queued phases to the runner backend, and notices those whose runner is gone.

Truth is in the rows: this loop may be killed at any point. A phase's lease is set before its program is started, so a crash
between the two costs a lease period and nothing else.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Final

import structlog
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from terrapod_core.agents import queries as agents_queries
from terrapod_core.coordination import PHASES
from terrapod_core.db import Database, UnitOfWork
from terrapod_core.jobs.looking import Looking
from terrapod_core.jobs.presence import Presence
from terrapod_core.plugin import Handle, LaunchFailed, LaunchPostponed, PhaseSpec, RunnerBackend, SupportsCapacity, SupportsFinding
from terrapod_core.runs import turns
from terrapod_core.runs.cancels import Cancels
from terrapod_core.runs.isolation import Holding
from terrapod_core.runs.logs import Logs
from terrapod_core.runs.models import Phase, Run
from terrapod_core.runs.outcome import Outcomes
from terrapod_core.runs.phases import LEASE, PHASE_LIFE
from terrapod_core.runs.pool_waits import PoolWaits
from terrapod_core.runs.reach import Reach
from terrapod_core.runs.status import FINAL, PhaseStatus, RunStatus
from terrapod_core.storage import PhaseTokens
from terrapod_core.storage.phase_tokens import PhaseName
from terrapod_core.workspaces import Workspace, queries as workspaces_queries

LOOK_SECONDS: Final = 1.0
"""While others are not heard, and while there are phases to watch over."""

SELDOM_SECONDS: Final = 5.0
DEAF_AFTER: Final = timedelta(seconds=15)
"""When a step came this much late, the server was down or stood still (or its database did): nobody could be heard, so nobody is lost.
A clock that was put forward looks the same.
"""

SLOW_START: Final = timedelta(seconds=10)
"""A program that has not begun by then is worth a word to those who wait."""

Act = Callable[[UnitOfWork, Workspace, Run, Phase], Awaitable[None]]

log = structlog.get_logger("terrapod.dispatch")


@dataclass(frozen=True)
class RunnerDoor:
    """How the runner program is started and how it reaches this server."""

    url: str
    certificate: str | None
    program: tuple[str, ...]
    engines_dir: str | None


@dataclass(frozen=True)
class _Lease:
    """A lease as this process has seen it since a moment of its own clock."""

    epoch: int
    expires_at: datetime | None
    since: datetime


class Dispatcher:
    """One per process that does background work."""

    def __init__(
        self,
        db: Database,
        backend: RunnerBackend,
        outcomes: Outcomes,
        logs: Logs,
        tokens: PhaseTokens,
        door: Callable[[], RunnerDoor],
        holding: Holding,
        presence: Presence,
    ) -> None:
        self._db = db
        self._backend = backend
        self._outcomes = outcomes
        self._logs = logs
        self._tokens = tokens
        self._door = door
        self._holding = holding
        self._presence = presence
        self._reach = Reach(backend)
        self.cancels = Cancels(db, backend, self._reach)
        self._pace = db.wakeups.pace(LOOK_SECONDS, SELDOM_SECONDS)
        self._looking = Looking("dispatch", self._seconds, self.look)
        self._busy = False
        self._pool_waits = PoolWaits(db, logs)
        self._heard_at = db.clock.now()
        self._leases: dict[str, _Lease] = {}
        self._told_waiting: set[str] = set()
        self._told_starting: set[tuple[str, int]] = set()
        db.wakeups.on(PHASES, self._looking.wake)

    def start(self) -> None:
        """Begin to look; returns at once."""
        self._looking.start()
        self.cancels.start()

    async def stop(self) -> None:
        """Launch nothing more. Phases that run go on without the server."""
        await self.cancels.stop()
        await self._looking.stop()

    async def look(self) -> None:
        """One pass: find the lost, launch what fits, tidy up. Cancels have a loop of their own, which looks more often."""
        now = self._db.clock.now()
        if self._is_deaf() or not await self._presence.servers_heard(DEAF_AFTER):
            # Nobody was there to hear them renew: every holder gets a full period.
            self._leases.clear()
            self._heard_at = now
        creators = await self._holding.creators()
        launched, waiting, ended, revoked = await self._db.read(
            lambda s: (found := turns.launched(s), turns.launchable(s, now, creators), _ended(s, self._reach), _revoked(s, found))
        )
        self._busy = bool(launched or waiting or ended)
        self._hear()
        self._leases = {phase.id: self._lease(phase, now) for phase in launched}
        self._told_starting &= {(phase.id, phase.epoch) for phase in launched}
        for phase in launched:
            await (self._watch(phase, now) if self._reach.has(phase) else self._watch_apart(phase, now, revoked))
            self._hear()
        await self._launch(waiting, sum(map(self._reach.has, launched)))
        await self._pool_waits.tell()
        for phase in ended:
            await self._forget(phase)
            self._hear()

    def _seconds(self) -> float:
        return LOOK_SECONDS if self._busy else self._pace()

    def _is_deaf(self) -> bool:
        """Whether too much time went by since it was last sure that runners are heard."""
        return not timedelta(0) <= self._db.clock.now() - self._heard_at <= DEAF_AFTER

    def _hear(self) -> None:
        """After each step for which the database answered. Once a step took too long, it is the next look that makes it good."""
        if not self._is_deaf():
            self._heard_at = self._db.clock.now()

    def _lease(self, phase: Phase, now: datetime) -> _Lease:
        """The lease, and since when this process has seen it as it is.

        Its own text says when it ends by the clock of whichever server wrote it, or of this one before it was set right; a
        lease that does not change while this one looks on for a whole period is lost by any clock.
        """
        known = self._leases.get(phase.id)
        same = known is not None and (known.epoch, known.expires_at) == (phase.epoch, phase.lease_expires_at)
        return known if same and known is not None else _Lease(phase.epoch, phase.lease_expires_at, now)

    # -- launching

    async def _launch(self, waiting: list[Phase], running: int) -> None:
        capacity = self._backend.capacity if isinstance(self._backend, SupportsCapacity) else None
        for index, phase in enumerate(waiting):
            if capacity is not None and running + index >= capacity:
                await self._tell_waiting(waiting[index:], capacity)
                return
            spec = await self._take(phase.id)
            if spec is not None and not await self._start(spec):
                return
            self._hear()

    async def _take(self, phase_id: str) -> PhaseSpec | None:
        """Mark the phase as being launched; `None` when somebody else was quicker."""
        door = self._door()
        async with self._db.uow() as uow:
            phase = await uow.session.get(Phase, phase_id, with_for_update={"skip_locked": True}, populate_existing=True)
            if phase is None or phase.status != PhaseStatus.QUEUED or phase.lease_expires_at is not None:
                return None
            run = await uow.session.get_one(Run, phase.run_id)
            workspace = await uow.session.get_one(Workspace, run.workspace_id)
            run.held_for = None
            phase.epoch += 1
            phase.launches += 1
            phase.launched_at = uow.now()
            phase.listener_id = None
            phase.backend, phase.place = self._reach.backend, self._reach.place
            phase.lease_expires_at = uow.now() + LEASE
            await uow.commit()
        kind: PhaseName = "plan" if phase.kind == "plan" else "apply"
        token = self._tokens.issue(run.id, phase.id, kind, phase.epoch, self._db.clock.now() + PHASE_LIFE)
        return PhaseSpec(
            run_id=run.id,
            phase_id=phase.id,
            phase=kind,
            epoch=phase.epoch,
            url=door.url,
            token=token,
            certificate=door.certificate,
            program=door.program,
            engines_dir=door.engines_dir,
            organization="default",
            workspace=workspace.name,
            cpu=workspace.resource_cpu,
            memory=workspace.resource_memory,
        )

    async def _start(self, spec: PhaseSpec) -> bool:
        """Launch it; whether the backend takes more at the moment."""
        try:
            handle = await self._backend.launch(spec)
        except LaunchPostponed as error:
            log.warning("a phase waits for its runner backend", phase=spec.phase_id, error=str(error))
            await self._put_back(spec, str(error))
            return False
        except LaunchFailed as error:
            log.warning("a phase could not be started", phase=spec.phase_id, error=str(error))
            why = f"the runner could not be started: {error}"
            await self._locked(spec.phase_id, spec.epoch, partial(self._outcomes.failed, why=why))
            return True
        await self._keep(spec.phase_id, spec.epoch, handle)
        return True

    async def _put_back(self, spec: PhaseSpec, why: str) -> None:
        """Let it wait again as if it had never been taken; the token that was made for it is of no epoch to come."""
        async with self._db.uow() as uow:
            mine = (Phase.id == spec.phase_id) & (Phase.epoch == spec.epoch) & Phase.claimed_by.is_(None)
            await uow.session.execute(update(Phase).where(mine).values(lease_expires_at=None, launches=Phase.launches - 1))
            await uow.session.execute(update(Run).where(Run.id == spec.run_id).values(held_for=why))
            await uow.commit()

    async def _keep(self, phase_id: str, epoch: int, handle: Handle) -> None:
        async with self._db.uow() as uow:
            mine = (Phase.id == phase_id) & (Phase.epoch == epoch)
            await uow.session.execute(update(Phase).where(mine).values(handle=dict(handle)))
            await uow.commit()

    async def _tell_waiting(self, waiting: list[Phase], capacity: int) -> None:
        """Say in the log why nothing happens."""
        busy = "the one runner is" if capacity == 1 else f"all {capacity} runners are"
        for phase in waiting:
            if phase.id not in self._told_waiting:
                await self._say(phase, f"Waiting: {busy} busy with other runs.\n")
        self._told_waiting = {phase.id for phase in waiting}

    async def _tell_starting(self, phase: Phase, detail: str, now: datetime) -> None:
        """Say in the log what its backend waits for, once that takes a while."""
        launch = (phase.id, phase.epoch)
        if launch not in self._told_starting and phase.launched_at is not None and now - phase.launched_at >= SLOW_START:
            self._told_starting.add(launch)
            await self._say(phase, f"The runner {detail}\n")

    async def _say(self, known: Phase, line: str) -> None:
        """Put a line into the log of a plan that no runner writes to, unless that changed since it was read.

        Not for an apply: terraform's CLI swallows the first three lines of its log.
        """
        if known.kind != "plan" or known.log_size != known.log_head:
            return
        async with self._db.uow() as uow:
            phase = await uow.session.get_one(Phase, known.id, with_for_update=True)
            before, after = ((each.epoch, each.lease_expires_at is None, each.log_size) for each in (known, phase))
            if phase.status == PhaseStatus.QUEUED and before == after:
                self._logs.say(uow, phase, line)
                await uow.commit()

    # -- watching

    async def _watch(self, phase: Phase, now: datetime) -> None:
        state = await self._backend.poll(phase.handle or {}) if phase.handle is not None or await self._find(phase) else None
        if state is not None and state.running and state.waiting and phase.claimed_by is None:
            await self._tell_starting(phase, state.detail, now)
            await self._extend(phase, now)
        elif now - self._leases[phase.id].since >= LEASE:
            log.warning("a runner was not heard for a lease period", phase=phase.id, run=phase.run_id)
            await self._lost(phase, self._outcomes.unheard, state.detail if state is not None else None)
        elif state is not None and not state.running:
            log.warning("a runner ended without a report", phase=phase.id, run=phase.run_id, state=state.detail)
            await self._lost(phase, self._outcomes.lost, state.detail)

    async def _watch_apart(self, phase: Phase, now: datetime, revoked: Collection[str]) -> None:
        """A phase that a listener has, or a server of another place: what becomes of the program they tell, or nobody."""
        if phase.listener_id in revoked:
            log.warning("a phase is taken from a listener that is trusted no more", phase=phase.id, run=phase.run_id)
            await self._lost(phase, self._outcomes.unheard, "its listener was revoked")
        elif now - self._leases[phase.id].since >= LEASE:
            log.warning(
                "a runner was not heard for a lease period", phase=phase.id, run=phase.run_id, listener=phase.listener_id, place=phase.place
            )
            await self._lost(phase, self._outcomes.unheard, None)

    async def _extend(self, phase: Phase, now: datetime) -> None:
        """Give a program that cannot have begun yet a lease anew, in time."""
        if now - self._leases[phase.id].since < LEASE / 2:
            return
        async with self._db.uow() as uow:
            mine = (Phase.id == phase.id) & (Phase.epoch == phase.epoch) & Phase.claimed_by.is_(None) & Phase.finished_at.is_(None)
            await uow.session.execute(update(Phase).where(mine).values(lease_expires_at=uow.now() + LEASE))
            await uow.commit()

    async def _find(self, phase: Phase) -> bool:
        """Give the phase the handle that a server had no time to keep, because it was killed right after the launch."""
        if not isinstance(self._backend, SupportsFinding):
            return False
        handle = await self._backend.find(phase.run_id, phase.id, phase.epoch)
        if handle is None:
            return False
        await self._keep(phase.id, phase.epoch, handle)
        phase.handle = dict(handle)
        return True

    async def _lost(self, phase: Phase, act: Callable[..., Awaitable[None]], why: str | None) -> None:
        """`why` is the backend's word about the program; `None` when it knows none."""
        lost = await self._locked(phase.id, phase.epoch, partial(act, why=why), lease=phase)
        if lost and phase.handle is not None and self._reach.has(phase):
            await self._backend.cancel(phase.handle, force=True)

    async def _locked(
        self,
        phase_id: str,
        epoch: int,
        act: Act,
        *,
        lease: Phase | None = None,
    ) -> bool:
        """Do something to a phase under the locks, unless it has ended or was launched again meanwhile; whether it was done.

        With `lease`, neither when its runner was heard since that was read.
        """
        async with self._db.uow() as uow:
            of_phase = select(Run.id, Run.workspace_id).join(Phase, Phase.run_id == Run.id).where(Phase.id == phase_id)
            found = (await uow.session.execute(of_phase)).one_or_none()
            if found is None:
                return False
            run_id, workspace_id = found
            workspace = await uow.run(lambda session: workspaces_queries.for_update(session, workspace_id))
            run = await uow.session.get(Run, run_id, with_for_update=True, populate_existing=True)
            phase = await uow.session.get(Phase, phase_id, with_for_update=True, populate_existing=True)
            if workspace is None or run is None or phase is None or phase.is_final or phase.epoch != epoch:
                return False
            if lease is not None and phase.lease_expires_at != lease.lease_expires_at:
                return False
            await act(uow, workspace, run, phase)
            uow.wake(PHASES)
            await uow.commit()
        return True

    async def _forget(self, phase: Phase) -> None:
        if phase.handle is None or (await self._backend.poll(phase.handle)).running:
            return
        await self._backend.forget(phase.handle)
        async with self._db.uow() as uow:
            run = await uow.session.get(Run, phase.run_id) if phase.kind == "apply" else None
            if run is not None:
                workspace = await uow.run(lambda session: workspaces_queries.for_update(session, run.workspace_id))
                if workspace is not None:
                    await self._outcomes.gone(uow, workspace, run)
            await uow.session.execute(update(Phase).where(Phase.id == phase.id).values(handle=None))
            await uow.commit()


def _revoked(session: Session, launched: Sequence[Phase]) -> Collection[str]:
    """Listeners among those that have phases whose word counts no more."""
    return agents_queries.untrusted(session, {phase.listener_id for phase in launched if phase.listener_id is not None})


def _ended(session: Session, reach: Reach) -> list[Phase]:
    """Phases of which the backend here still keeps something; a run's plan and apply share a directory, so only once the run is over."""
    over = (*FINAL, RunStatus.PLANNED_AND_SAVED)
    query = select(Phase).join(Run, Run.id == Phase.run_id)
    query = query.where(Phase.finished_at.is_not(None), Phase.handle.is_not(None), Run.status.in_(over), reach.covers)
    query = query.order_by(Phase.finished_at, Phase.id).limit(20)
    return list(session.execute(query).scalars())
