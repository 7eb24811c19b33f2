"""States that runs leave behind, through the phase protocol."""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Final, TypeAlias

from sqlalchemy.orm import Session

from terrapod_core import ids
from terrapod_core.authz import Actor, ActorKind
from terrapod_core.authz.gate import missing
from terrapod_core.db import Database, UnitOfWork
from terrapod_core.errors import Conflict, Forbidden
from terrapod_core.states import divergence, queries
from terrapod_core.states.models import StateStatus, StateVersion
from terrapod_core.states.succession import check_follows, is_same as is_same_state, require_lock
from terrapod_core.states.writing import Arrived, StateWriter, is_same
from terrapod_core.storage import Objects
from terrapod_core.storage.claims import Claim, Claims
from terrapod_core.workspaces import Workspace, Workspaces, queries as workspaces_queries
from terrapod_core.workspaces.conditions import raise_on

STOPPING: Final = timedelta(minutes=1)
"""A runner that is back may hand in a snapshot before it hears that its phase is over. Then it gives terraform half a minute, and hands in
the last state.
"""


class Standing(Enum):
    """How a runner stands to the apply whose state it hands in."""

    HOLDER = auto()
    """It carries the apply out."""
    CANCELED = auto()
    """Its lease is over because the run was cancelled."""
    LOST = auto()
    """Its lease is over because it was not heard."""


StandingOf: TypeAlias = Callable[[Session], Standing]
"""Finds it out; asked again under the workspace's row lock, because it may change while the bytes arrive. Raises when nothing is taken."""


@dataclass(frozen=True)
class _Declared:
    """What the runner said about the bytes."""

    version_id: str
    workspace_id: str
    run_id: str
    actor: Actor
    serial: int
    lineage: str
    md5: str
    standing: StandingOf

    def version(self, now: datetime, *, current: bool, holder: bool) -> StateVersion:
        return StateVersion(
            id=self.version_id,
            workspace_id=self.workspace_id,
            serial=self.serial,
            lineage=self.lineage or None,
            md5=self.md5,
            status=StateStatus.PENDING.value,
            intermediate=holder,
            rescued=not current,
            run_id=self.run_id,
            created_by_name=self.actor.name,
            created_at=now,
            upload_expires_at=now,
        )


class Deposits:
    """Takes states from the runners of applies."""

    def __init__(self, db: Database, workspaces: Workspaces, writer: StateWriter, objects: Objects) -> None:
        self._db = db
        self._workspaces = workspaces
        self._writer = writer
        self._claims = Claims(objects)

    async def put(
        self,
        workspace_id: str,
        run_id: str,
        actor: Actor,
        *,
        serial: int,
        lineage: str,
        md5: str,
        chunks: AsyncIterable[bytes],
        standing: StandingOf,
    ) -> StateVersion:
        """The version that the bytes became; for the same bytes again, the one they had become.

        From the apply's holder it becomes current, which needs the run to hold the workspace, the serial to be above the current
        one, and its lineage unless there is no state yet; it is intermediate until `end` says that it was the last. From a runner
        whose lease is over it is kept as rescued, and a condition tells of it; it becomes current only if the run was cancelled,
        still holds the workspace, and the current state is of the same lineage and a lower serial; it holds it a minute longer then.
        """
        if actor.kind not in (ActorKind.PHASE, ActorKind.SYSTEM):
            raise Forbidden("only the runner of a run leaves its state this way")
        md5 = md5.lower()
        await self._db.read(standing)
        known = await self._db.read(lambda session: queries.from_run(session, run_id, serial, md5))
        if known is not None:
            if not await is_same(chunks, size=known.size or 0, md5=known.md5):
                raise Conflict("the run left another state with this serial and hash before")
            await self._had(workspace_id, run_id)
            return known
        version_id = ids.new("sv")
        arrived = await self._writer.store(version_id, chunks)
        arrived_as = _Declared(version_id, workspace_id, run_id, actor, serial, lineage, md5, standing)
        return await self._claims.settle(arrived.stored, lambda claim: self._arrived(arrived_as, arrived, claim))

    async def end(self, uow: UnitOfWork, workspace: Workspace, run_id: str) -> None:
        """The last state of an apply that has ended is no snapshot any more; the caller has the workspace's row lock."""
        version = await uow.run(lambda session: queries.current(session, workspace.id))
        if version is not None and version.run_id == run_id:
            version.intermediate = False

    async def _arrived(self, declared: _Declared, arrived: Arrived, claim: Claim) -> StateVersion:
        arrived.check(serial=declared.serial, lineage=declared.lineage, md5=declared.md5)
        async with self._db.uow() as uow:
            workspace = await uow.run(lambda session: workspaces_queries.for_update(session, declared.workspace_id))
            if workspace is None:
                raise missing("workspace")
            known = await uow.run(lambda session: queries.from_run(session, declared.run_id, declared.serial, declared.md5))
            if known is not None:
                return known
            current = await uow.run(lambda session: queries.current(session, workspace.id))
            standing = await uow.run(declared.standing)
            if standing is Standing.HOLDER:
                self._check(workspace, current, declared)
            if current is not None and is_same_state(current, declared.serial, declared.lineage, declared.md5):
                if self._hurry(uow, workspace, declared.run_id):
                    await uow.commit()
                return current
            becomes = standing is Standing.HOLDER or (standing is Standing.CANCELED and _fits(workspace, current, declared))
            version = declared.version(uow.now(), current=becomes, holder=standing is Standing.HOLDER)
            uow.add(version)
            await uow.flush()
            stored_anew = await self._writer.finalize(uow, version, arrived)
            if becomes:
                await self._writer.make_current(uow, workspace, version)
            else:
                raise_on(uow, workspace, divergence.rescued(version, uow.now()))
            verb = "create" if becomes else "rescue"
            self._hurry(uow, workspace, declared.run_id)
            self._writer.note(uow, declared.actor, verb, version, workspace, run=declared.run_id, size=version.size)
            if stored_anew:
                claim.make()
            await uow.commit()
            return version

    async def _had(self, workspace_id: str, run_id: str) -> None:
        """What is there already may be all that was awaited."""
        async with self._db.uow() as uow:
            workspace = await uow.run(lambda session: workspaces_queries.for_update(session, workspace_id))
            if workspace is not None and self._hurry(uow, workspace, run_id):
                await uow.commit()

    def _hurry(self, uow: UnitOfWork, workspace: Workspace, run_id: str) -> bool:
        """The runner of a run that is over is back, so its lock need not last much longer; whether that was news."""
        until = uow.now() + STOPPING
        if workspace.lock_until is None or workspace.lock_until <= until:
            return False
        return self._workspaces.hold_for_state(uow, workspace, run_id, until)

    def _check(self, workspace: Workspace, current: StateVersion | None, declared: _Declared) -> None:
        require_lock(workspace, "run", declared.run_id)
        if not is_same_state(current, declared.serial, declared.lineage, declared.md5):
            check_follows(current, declared.serial, declared.lineage, declared.md5)


def _fits(workspace: Workspace, current: StateVersion | None, declared: _Declared) -> bool:
    """Whether the state of a cancelled run may become current by itself: nobody came in between, and it goes on from the current one."""
    follows = current is None or (current.lineage == declared.lineage and declared.serial > current.serial)
    return follows and workspace.awaits_state and workspace.is_held_by(declared.run_id)
