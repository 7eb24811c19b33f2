"""Bytes that come by themselves, behind a link or under a pending version's id: no credential, so every rule is checked here.

Until a version's time is over its bytes are taken: only those whose md5, serial and lineage were declared make it final. Others are
refused and change nothing, so that the right ones can follow; the same ones again are fine.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from sqlalchemy.orm import Session

from terrapod_core.authz import SYSTEM, Actor, ActorKind
from terrapod_core.db import Database
from terrapod_core.errors import Conflict, NotFound
from terrapod_core.states import queries
from terrapod_core.states.models import StateStatus, StateVersion
from terrapod_core.states.scanner import Scanner
from terrapod_core.states.succession import check_follows, is_same as is_same_state, require_lock
from terrapod_core.states.writing import Arrived, StateWriter, is_same
from terrapod_core.storage import ObjectKind, Objects, Stored
from terrapod_core.storage.claims import Claim, Claims
from terrapod_core.storage.streams import inspected
from terrapod_core.workspaces import Workspace, queries as workspaces_queries

NOT_WAITING: Final = "no upload is waited for here: the state version does not exist, or its time is over"


class ParsedView(Scanner):
    """Checks that what is kept as the parsed view of a state is a JSON object."""

    what = "parsed state"

    def finish(self) -> None:
        if self.seen:
            super().finish()


class Uploads:
    """Takes the bytes of announced state versions."""

    def __init__(self, db: Database, writer: StateWriter, objects: Objects, limit: int) -> None:
        self._db = db
        self._writer = writer
        self._objects = objects
        self._claims = Claims(objects)
        self._limit = limit

    async def content(self, version_id: str, chunks: AsyncIterator[bytes], declared: int | None = None) -> None:
        """Take the state itself; it is the workspace's current one when this returns. `declared` is the announced length, if any.

        `NotFound`, before a byte is read, when nothing is waited for; `Invalid` when the bytes are not the announced ones;
        `Conflict` when another state came first or the lock is lost.
        """
        version = await self._waiting(version_id)
        if version.status == StateStatus.FINALIZED:
            wrong_size = declared is not None and declared != version.size
            if wrong_size or not await is_same(chunks, size=version.size or 0, md5=version.md5):
                raise Conflict("the state version has its bytes already, and these are others")
            return
        arrived = await self._writer.store(version_id, chunks)
        lost = await self._claims.settle(arrived.stored, lambda claim: self._arrived(version, arrived, claim))
        if lost is not None:
            raise lost

    async def parsed(self, version_id: str, chunks: AsyncIterator[bytes], declared: int | None = None, *, linked: bool) -> None:
        """Take the parsed view (`terraform show -json`), before or after the state itself. An empty one is fine and keeps nothing.

        Without a link (`linked`) a final version takes none: its id is known to readers, a pending one's to those who write.
        """
        version = await self._waiting(version_id)
        if version.status == StateStatus.FINALIZED and version.json_object_key is None and not linked:
            raise NotFound(NOT_WAITING)
        if declared == 0:
            return
        if version.json_object_key is not None:
            if not await is_same(chunks, size=version.json_size or 0, sha256=version.json_sha256):
                raise Conflict("the state version has its parsed view already, and this is another one")
            return
        stored = await self._objects.put(ObjectKind.STATE_JSON, version_id, inspected(chunks, ParsedView()), limit=self._limit)
        await self._claims.settle(stored, lambda claim: self._parsed(version_id, stored, claim))

    async def _waiting(self, version_id: str) -> StateVersion:
        version = await self._db.look_up(queries.BY_ID, version_id=version_id)
        if version is None or version.status == StateStatus.DISCARDED or version.upload_expires_at <= self._db.clock.now():
            raise NotFound(NOT_WAITING)
        return version

    async def _arrived(self, announced: StateVersion, arrived: Arrived, claim: Claim) -> Conflict | None:
        """The transaction that makes the version final; the conflict that discarded it, if one did."""
        async with self._db.uow() as uow:
            workspace, concerned = await uow.run(lambda session: self._concerned(session, announced, arrived.state.serial))
            version, current = concerned.version, concerned.current
            if version is None:
                raise NotFound(NOT_WAITING)
            arrived.check(serial=version.serial, lineage=version.lineage, md5=version.md5)
            if version.status == StateStatus.FINALIZED:
                return None  # two uploads of the same bytes: the other one was first
            state, md5 = arrived.state, arrived.stored.md5
            if is_same_state(current, state.serial, state.lineage, md5) and version.status == StateStatus.DISCARDED:
                return None
            try:
                require_lock(workspace, "user", version.created_by_id)
                if not version.force:
                    check_follows(current, state.serial, state.lineage, md5)
                if version.status == StateStatus.DISCARDED:
                    raise Conflict("the time for this upload is over; announce the state again")
            except Conflict as conflict:
                version.status = StateStatus.DISCARDED.value
                self._writer.note(uow, _maker(version), "discard", version, workspace, reason=conflict.detail)
                await uow.commit()
                return conflict
            stored_anew = await self._writer.finalize(uow, version, arrived)
            await self._writer.make_current(uow, workspace, version, overtakes=concerned.overtakes)
            self._writer.note(uow, _maker(version), "upload", version, workspace, size=version.size)
            if stored_anew:
                claim.make()
            await uow.commit()
            return None

    def _concerned(self, session: Session, announced: StateVersion, serial: int) -> tuple[Workspace, queries.Concerned]:
        """All rows that the transaction is about, locked in two statements: the workspace's first, as everywhere."""
        workspace = workspaces_queries.for_update(session, announced.workspace_id)
        if workspace is None:
            raise NotFound(NOT_WAITING)
        return workspace, queries.concerned(session, workspace, announced.id, serial)

    def _locked(self, session: Session, version_id: str) -> tuple[StateVersion, Workspace]:
        """Both rows, locked: the workspace's first, as everywhere. The version may have been discarded meanwhile."""
        version = queries.by_id(session, version_id)
        workspace = workspaces_queries.for_update(session, version.workspace_id) if version is not None else None
        version = queries.for_update(session, version_id)
        if version is None or workspace is None:
            raise NotFound(NOT_WAITING)
        return version, workspace

    async def _parsed(self, version_id: str, stored: Stored, claim: Claim) -> None:
        async with self._db.uow() as uow:
            version, workspace = await uow.run(lambda session: self._locked(session, version_id))
            if version.json_object_key is not None:
                if version.json_sha256 != stored.sha256:
                    raise Conflict("another parsed view arrived first")
                return
            if version.status == StateStatus.DISCARDED or not stored.size:
                return  # nobody will ask for it
            known = await uow.run(lambda session: queries.same_content(session, workspace.id, stored.sha256, parsed=True))
            version.json_content_of, version.json_object_key = known or (None, stored.key)
            version.json_size, version.json_sha256 = stored.size, stored.sha256
            self._writer.note(uow, _maker(version), "upload-json", version, workspace, size=stored.size)
            if known is None:
                claim.make()
            await uow.commit()


def _maker(version: StateVersion) -> Actor:
    if version.created_by_id is None:
        return SYSTEM
    return Actor(ActorKind.USER, version.created_by_id, version.created_by_name)
