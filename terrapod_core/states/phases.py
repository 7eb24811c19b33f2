"""States that runs leave behind, through the phase protocol."""

from __future__ import annotations

from collections.abc import AsyncIterable
from dataclasses import dataclass
from datetime import datetime

from terrapod_core import ids
from terrapod_core.authz import Actor, ActorKind
from terrapod_core.authz.gate import missing
from terrapod_core.db import Database
from terrapod_core.errors import Conflict, Forbidden
from terrapod_core.states import queries
from terrapod_core.states.models import StateStatus, StateVersion
from terrapod_core.states.succession import check_follows, is_same as is_same_state, require_lock
from terrapod_core.states.writing import Arrived, StateWriter, is_same
from terrapod_core.storage import Objects
from terrapod_core.storage.claims import Claim, Claims
from terrapod_core.workspaces import Workspace, queries as workspaces_queries


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
    rescued: bool

    def version(self, now: datetime) -> StateVersion:
        return StateVersion(
            id=self.version_id,
            workspace_id=self.workspace_id,
            serial=self.serial,
            lineage=self.lineage or None,
            md5=self.md5,
            status=StateStatus.PENDING.value,
            rescued=self.rescued,
            run_id=self.run_id,
            created_by_name=self.actor.name,
            created_at=now,
            upload_expires_at=now,
        )


class Deposits:
    """Takes states from the runners of applies."""

    def __init__(self, db: Database, writer: StateWriter, objects: Objects) -> None:
        self._db = db
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
        rescued: bool,
    ) -> StateVersion:
        """The version that the bytes became; for the same bytes again, the one they had become.

        Needs the run to hold the workspace, the serial to be above the current one, and its lineage unless there is no state yet.
        A rescued state needs none of this and becomes nobody's current one.
        """
        if actor.kind not in (ActorKind.PHASE, ActorKind.SYSTEM):
            raise Forbidden("only the runner of a run leaves its state this way")
        md5 = md5.lower()
        known = await self._db.read(lambda session: queries.from_run(session, run_id, serial, md5))
        if known is not None:
            if not await is_same(chunks, size=known.size or 0, md5=known.md5):
                raise Conflict("the run left another state with this serial and hash before")
            return known
        version_id = ids.new("sv")
        arrived = await self._writer.store(version_id, chunks)
        arrived_as = _Declared(version_id, workspace_id, run_id, actor, serial, lineage, md5, rescued)
        return await self._claims.settle(arrived.stored, lambda claim: self._arrived(arrived_as, arrived, claim))

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
            if not declared.rescued:
                self._check(workspace, current, declared)
            if current is not None and is_same_state(current, declared.serial, declared.lineage, declared.md5):
                return current
            version = declared.version(uow.now())
            uow.add(version)
            await uow.flush()
            self._writer.finalize(uow, version, arrived)
            if not declared.rescued:
                await self._writer.make_current(uow, workspace, version)
            verb = "rescue" if declared.rescued else "create"
            self._writer.note(uow, declared.actor, verb, version, workspace, run=declared.run_id, size=version.size)
            claim.make()
            await uow.commit()
            return version

    def _check(self, workspace: Workspace, current: StateVersion | None, declared: _Declared) -> None:
        require_lock(workspace, "run", declared.run_id)
        if not is_same_state(current, declared.serial, declared.lineage, declared.md5):
            check_follows(current, declared.serial, declared.lineage, declared.md5)
