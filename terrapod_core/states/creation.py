"""New state versions that people make: announced with bytes to follow, whole in the document, or an older one brought back."""

from __future__ import annotations

import re
from collections.abc import AsyncIterable, AsyncIterator, Callable
from datetime import timedelta
from typing import Final, TypeAlias

import msgspec
from sqlalchemy.orm import Session

from terrapod_core import ids
from terrapod_core.authz import Actor, Authorizer, Permission
from terrapod_core.authz.gate import missing
from terrapod_core.db import Database, UnitOfWork
from terrapod_core.errors import Conflict, Invalid, Problem, Problems
from terrapod_core.jsonapi import Ref
from terrapod_core.states import divergence, queries
from terrapod_core.states.models import StateStatus, StateVersion
from terrapod_core.states.reading import MAX_SERIAL, StateReader
from terrapod_core.states.succession import check_follows, is_same, require_lock
from terrapod_core.states.writing import Arrived, StateWriter, with_serial
from terrapod_core.storage import ObjectKind, Objects
from terrapod_core.storage.claims import Claim, Claims
from terrapod_core.storage.streams import inspected
from terrapod_core.workspaces import Workspace, queries as workspaces_queries
from terrapod_core.workspaces.conditions import settle

UPLOAD_LIFE: Final = timedelta(minutes=30)
"""How long an upload may begin after it was announced; the CLI begins at once and tries again for a few minutes."""

WorkspaceOfRun: TypeAlias = Callable[[Session, str], str | None]
"""The id of the workspace that a run belongs to; `None` when there is no such run."""

_MD5 = re.compile(r"[0-9a-fA-F]{32}")
SOURCE: Final = "/data/relationships/rollback-state-version"


class CreateStateVersion(msgspec.Struct, kw_only=True):
    """What is sent to announce a state. The bytes themselves (`state`) are taken out of the document before it gets here."""

    serial: int
    md5: str
    lineage: str | None = None
    force: bool | None = None
    run: Ref | None = None

    def check(self) -> None:
        """Raise `Invalid` with everything that is wrong with it."""
        problems = Problems()
        if not 0 <= self.serial <= MAX_SERIAL:
            problems.add(f"serial must be between 0 and {MAX_SERIAL}", attribute="serial")
        if _MD5.fullmatch(self.md5) is None:
            problems.add("md5 must be the MD5 hash of the state: 32 hexadecimal digits", attribute="md5")
        if self.lineage is not None and len(self.lineage) > 255:
            problems.add("lineage must have at most 255 characters", attribute="lineage")
        problems.refuse()


class RollBack(msgspec.Struct, kw_only=True):
    """Which state to bring back."""

    rollback_state_version: Ref


class Creation:
    """Makes state versions for the holder of a workspace's lock."""

    def __init__(self, db: Database, authz: Authorizer, writer: StateWriter, objects: Objects, workspace_of_run: WorkspaceOfRun) -> None:
        self._db = db
        self._authz = authz
        self._writer = writer
        self._objects = objects
        self._claims = Claims(objects)
        self._workspace_of_run = workspace_of_run

    def check_writer(self, session: Session, actor: Actor, workspace_id: str, *, lock: bool = False) -> Workspace:
        """The workspace, when the actor may write its state now; `lock` locks its row."""
        workspace = (workspaces_queries.for_update if lock else workspaces_queries.by_id)(session, workspace_id)
        return self._writable(actor, workspace)

    async def look_up_writable(self, actor: Actor, workspace_id: str) -> Workspace:
        """The same without a session: the workspace is only looked at."""
        return self._writable(actor, await self._db.look_up(workspaces_queries.BY_ID, workspace_id=workspace_id))

    def _writable(self, actor: Actor, workspace: Workspace | None) -> Workspace:
        if workspace is None:
            raise missing("workspace")
        self._authz.require(actor, Permission.STATE_WRITE, workspace)
        require_lock(workspace, "user", actor.user_id)
        return workspace

    async def announce(self, actor: Actor, workspace_id: str, new: CreateStateVersion) -> tuple[StateVersion, Workspace]:
        """A pending version for bytes to follow.

        The same state once more gives the version there is, pending or final, whose links then take the same bytes again.
        """
        new.check()
        async with self._db.uow() as uow:
            workspace, version = await uow.run(lambda session: self._locked(session, actor, workspace_id, new))
            if version is None:
                version = self._new(uow, actor, workspace, ids.new("sv"), new)
                version.run_id = await self._run_id(uow, workspace, new.run)
                uow.add(version)
                self._writer.note(uow, actor, "create", version, workspace, force=version.force)
            version.upload_expires_at = uow.now() + UPLOAD_LIFE
            await uow.commit()
        return version, workspace

    async def whole(
        self, actor: Actor, workspace_id: str, chunks: AsyncIterable[bytes], document: Callable[[], CreateStateVersion]
    ) -> tuple[StateVersion, Workspace]:
        """A final version from the bytes in the document. `document` is asked once `chunks` has ended: both come in one stream."""
        await self.look_up_writable(actor, workspace_id)
        version_id = ids.new("sv")
        arrived = await self._writer.store(version_id, chunks)

        async def decide(claim: Claim) -> tuple[StateVersion, Workspace]:
            new = document()
            new.check()
            arrived.check(serial=new.serial, lineage=new.lineage, md5=new.md5.lower())
            async with self._db.uow() as uow:
                workspace, known = await uow.run(lambda session: self._locked(session, actor, workspace_id, new))
                if known is not None and known.status == StateStatus.FINALIZED:
                    return known, workspace
                version = self._new(uow, actor, workspace, version_id, new)
                version.run_id = await self._run_id(uow, workspace, new.run)
                await self._finish(uow, actor, workspace, version, arrived, claim, "create", force=version.force)
                return version, workspace

        return await self._claims.settle(arrived.stored, decide)

    async def roll_back(self, actor: Actor, workspace_id: str, back: RollBack) -> tuple[StateVersion, Workspace]:
        """A final version with the content of an older one and the next serial, for the holder of the lock.

        A rescued state needs the level admin: nobody knows what else its runner did. `Conflict` when the current state changes
        meanwhile.
        """

        def source_of(session: Session) -> StateVersion:
            workspace = self.check_writer(session, actor, workspace_id)
            source = queries.by_id(session, back.rollback_state_version.id or "")
            if source is None or source.workspace_id != workspace.id or source.status != StateStatus.FINALIZED:
                raise Invalid(problems=(Problem("there is no such state version in this workspace", SOURCE),))
            if source.rescued:
                self._authz.require(actor, Permission.WORKSPACE_UPDATE, workspace)
            return source

        def writable(session: Session, source: StateVersion) -> Workspace:
            return self.check_writer(session, actor, source.workspace_id, lock=True)

        return await self._bring_back(actor, source_of, writable, "rollback")

    async def promote(self, actor: Actor, version_id: str) -> tuple[StateVersion, Workspace]:
        """The same with a rescued state, for an admin, who needs no lock: nobody else may have one."""

        def source_of(session: Session) -> StateVersion:
            source = queries.by_id(session, version_id)
            if source is None:
                raise missing("state version")
            self._promotable(session, actor, source)
            if not source.rescued:
                raise Conflict("only a state that was rescued from a lost runner is promoted; to bring back another one, roll back to it")
            return source

        def writable(session: Session, source: StateVersion) -> Workspace:
            return self._promotable(session, actor, source, lock=True)

        return await self._bring_back(actor, source_of, writable, "promote")

    def _promotable(self, session: Session, actor: Actor, source: StateVersion, *, lock: bool = False) -> Workspace:
        workspace = (workspaces_queries.for_update if lock else workspaces_queries.by_id)(session, source.workspace_id)
        if workspace is None:
            raise missing("state version")
        self._authz.require(actor, Permission.WORKSPACE_UPDATE, workspace, noun="state version")
        if workspace.locked:
            require_lock(workspace, "user", actor.user_id)
        return workspace

    async def _bring_back(
        self, actor: Actor, source_of: Callable[[Session], StateVersion], writable: Callable[[Session, StateVersion], Workspace], verb: str
    ) -> tuple[StateVersion, Workspace]:
        """`writable` gives the workspace with its row locked, or refuses."""

        def read(session: Session) -> tuple[StateVersion, StateVersion | None]:
            source = source_of(session)
            return source, queries.current(session, source.workspace_id)

        source, current = await self._db.read(read)
        # A rescued state may be ahead of the current one: the next serial is above both, so that no serial means two things.
        serial = max(source.serial, current.serial if current is not None else 0) + 1
        version_id = ids.new("sv")
        arrived = await self._writer.store(version_id, self._rewritten(source, serial))

        async def decide(claim: Claim) -> tuple[StateVersion, Workspace]:
            async with self._db.uow() as uow:
                workspace = await uow.run(lambda session: writable(session, source))
                now_current = await uow.run(lambda session: queries.current(session, workspace.id))
                if (now_current.id if now_current else None) != (current.id if current else None):
                    raise Conflict("the workspace's state changed meanwhile; look at it, and try again")
                new = CreateStateVersion(serial=serial, md5=arrived.stored.md5, lineage=source.lineage)
                version = self._new(uow, actor, workspace, version_id, new)
                version.rollback_of_id = source.id
                if source.rescued:
                    settle(uow, workspace, divergence.CODE, f"{source.id} was made current")
                await self._finish(uow, actor, workspace, version, arrived, claim, verb, to=source.id)
                return version, workspace

        return await self._claims.settle(arrived.stored, decide)

    # -- inside

    async def _finish(
        self,
        uow: UnitOfWork,
        actor: Actor,
        workspace: Workspace,
        version: StateVersion,
        arrived: Arrived,
        claim: Claim,
        verb: str,
        **detail: object,
    ) -> None:
        uow.add(version)
        await uow.flush()
        stored_anew = await self._writer.finalize(uow, version, arrived)
        await self._writer.make_current(uow, workspace, version)
        self._writer.note(uow, actor, verb, version, workspace, size=version.size, **detail)
        if stored_anew:
            claim.make()
        await uow.commit()

    def _locked(self, session: Session, actor: Actor, workspace_id: str, new: CreateStateVersion) -> tuple[Workspace, StateVersion | None]:
        workspace = self.check_writer(session, actor, workspace_id, lock=True)
        return workspace, self._known(session, actor, workspace, new)

    def _known(self, session: Session, actor: Actor, workspace: Workspace, new: CreateStateVersion) -> StateVersion | None:
        """The version there is for this very state, or `None` when it may come; else `Conflict`."""
        md5 = new.md5.lower()
        current, announced = queries.may_precede(session, workspace, new.serial, md5, actor.user_id)
        if is_same(current, new.serial, new.lineage, md5):
            return current
        if not new.force:
            check_follows(current, new.serial, new.lineage, md5)
        alike = announced is not None and (announced.lineage, announced.force) == (new.lineage or None, bool(new.force))
        return announced if alike else None

    def _new(self, uow: UnitOfWork, actor: Actor, workspace: Workspace, version_id: str, new: CreateStateVersion) -> StateVersion:
        now = uow.now()
        return StateVersion(
            id=version_id,
            workspace_id=workspace.id,
            serial=new.serial,
            lineage=new.lineage or None,
            md5=new.md5.lower(),
            status=StateStatus.PENDING.value,
            force=bool(new.force),
            created_by_id=actor.user_id,
            created_by_name=actor.name,
            created_at=now,
            upload_expires_at=now + UPLOAD_LIFE,
        )

    async def _run_id(self, uow: UnitOfWork, workspace: Workspace, run: Ref | None) -> str | None:
        if run is None:
            return None
        run_id = run.id or ""
        if await uow.run(lambda session: self._workspace_of_run(session, run_id)) != workspace.id:
            raise Invalid(problems=(Problem("there is no such run in this workspace", "/data/relationships/run"),))
        return run_id

    async def _rewritten(self, source: StateVersion, serial: int) -> AsyncIterator[bytes]:
        """The bytes of a state with another serial. Read twice: where the serial stands is known when all of it was seen."""
        assert source.object_key is not None
        reader = StateReader()
        async for _ in inspected(self._objects.get(ObjectKind.STATE, source.content_id, source.object_key), reader):
            pass
        content = self._objects.get(ObjectKind.STATE, source.content_id, source.object_key)
        async for chunk in with_serial(content, reader.state.serial_span, serial):
            yield chunk
