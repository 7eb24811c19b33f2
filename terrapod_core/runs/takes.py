"""Gives a listener the phase whose turn it is, in one transaction."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.orm import Session

from terrapod_core import audit
from terrapod_core.agents import AgentPool, Listener, queries as agents_queries
from terrapod_core.authz import Actor, ActorKind
from terrapod_core.db import Database, UnitOfWork
from terrapod_core.runs import turns
from terrapod_core.runs.history import note
from terrapod_core.runs.models import Phase, Run
from terrapod_core.runs.phases import LEASE, PHASE_LIFE
from terrapod_core.runs.status import PhaseStatus
from terrapod_core.storage import PhaseTokens
from terrapod_core.storage.phase_tokens import PhaseName
from terrapod_core.workspaces import Workspace

TRIED: Final = 20
"""Phases tried for one listener: those before the one it gets are just being taken by others."""

BACKEND: Final = "listener"
"""What stands in `Phase.backend` of those that listeners have."""


def held_by_listeners() -> tuple[ColumnElement[bool], ...]:
    """Which phases some listener has, or is just getting."""
    return (Phase.status.in_(turns.LIVE), Phase.lease_expires_at.is_not(None), Phase.listener_id.is_not(None))


def busy_listeners() -> Select[str | None]:
    """The ids of the listeners that carry out runs."""
    return select(Phase.listener_id).where(*held_by_listeners())


def at_work(session: Session, listener_id: str) -> int:
    """How many phases a listener has."""
    query = select(func.count()).select_from(Phase).where(*held_by_listeners(), Phase.listener_id == listener_id)
    return session.execute(query).scalar_one()


@dataclass(frozen=True)
class Given:
    """A phase for a listener, with all that its program is started with."""

    id: str
    """Of the run."""
    status: str
    phase: PhaseName
    phase_id: str
    epoch: int
    token: str = field(repr=False)
    workspace: str
    cpu: str | None
    memory: str | None
    service_account: str | None
    organization: str = "default"
    url: str = ""
    """The server's address, as the one knows it who asks."""


class Takes:
    """Looks for what a listener may have next."""

    def __init__(self, db: Database, tokens: PhaseTokens) -> None:
        self._db = db
        self._tokens = tokens

    async def next_for(self, listener_id: str) -> Given | None:
        """A phase of the listener's pool, leased to it; `None` when there is none for it, and while it is full, draining or revoked."""
        async with self._db.uow() as uow:
            # Its row is locked, so that two servers never give it more than it takes.
            listener = await uow.run(lambda session: agents_queries.listener_for_update(session, listener_id))
            if listener is None or not listener.is_trusted or listener.draining:
                return None
            if await uow.run(lambda session: at_work(session, listener_id)) >= listener.capacity:
                return None
            phase = await self._first(uow, listener.pool_id)
            if phase is None:
                return None
            run = await uow.session.get_one(Run, phase.run_id)
            run.held_for = None
            phase.epoch += 1
            phase.launches += 1
            phase.launched_at = uow.now()
            phase.listener_id, phase.backend, phase.place, phase.handle = listener.id, BACKEND, None, None
            phase.lease_expires_at = uow.now() + LEASE
            note(uow, run, "given", f"the {phase.kind} was given to the listener {listener.name}")
            actor = Actor(ActorKind.LISTENER, listener.id, listener.name)
            audit.record(uow, actor, "run.take", "runs", run.id, phase=phase.id, epoch=phase.epoch, pool=listener.pool_id)
            given = await uow.run(lambda session: self._given(session, phase, run))
            await uow.commit()
        return given

    async def again(self, listener_id: str, phase_id: str) -> Given | None:
        """What the listener was given already and nobody has begun, as it was given; `None` when that is over."""
        return await self._db.read(lambda session: self._again(session, listener_id, phase_id))

    async def _first(self, uow: UnitOfWork, pool_id: str) -> Phase | None:
        """The phase whose turn it is, locked; those that another server is just giving away are passed by."""
        order = turns.in_turn(uow.now(), whose=turns.of_pool(pool_id)).limit(TRIED)
        for phase_id in await uow.run(lambda session: [row.id for row in session.execute(order)]):
            phase = await uow.session.get(Phase, phase_id, with_for_update={"skip_locked": True}, populate_existing=True)
            if phase is not None and phase.status == PhaseStatus.QUEUED and phase.lease_expires_at is None:
                return phase
        return None

    def _again(self, session: Session, listener_id: str, phase_id: str) -> Given | None:
        query = select(Phase).where(Phase.id == phase_id, Phase.listener_id == listener_id, Phase.claimed_by.is_(None))
        phase = session.execute(query.where(*held_by_listeners())).scalar_one_or_none()
        return None if phase is None else self._given(session, phase, session.get_one(Run, phase.run_id))

    def _given(self, session: Session, phase: Phase, run: Run) -> Given:
        workspace = session.get_one(Workspace, run.workspace_id)
        of_pool = select(AgentPool.service_account_name).join(Listener, Listener.pool_id == AgentPool.id)
        account = session.execute(of_pool.where(Listener.id == phase.listener_id)).scalar_one_or_none()
        kind: PhaseName = "plan" if phase.kind == "plan" else "apply"
        return Given(
            id=run.id,
            status=run.status,
            phase=kind,
            phase_id=phase.id,
            epoch=phase.epoch,
            token=self._tokens.issue(run.id, phase.id, kind, phase.epoch, self._db.clock.now() + PHASE_LIFE),
            workspace=workspace.name,
            cpu=workspace.resource_cpu,
            memory=workspace.resource_memory,
            service_account=account,
        )
