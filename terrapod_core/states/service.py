"""State versions: create, read, list, download, roll back; and what runs leave."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable, Collection, Sequence
from typing import Final

from sqlalchemy import delete
from sqlalchemy.orm import Session

from terrapod_core import audit
from terrapod_core.authz import SYSTEM, Actor, Authorizer, Permission
from terrapod_core.authz.gate import missing
from terrapod_core.db import Database, SettledCounts
from terrapod_core.errors import NotFound
from terrapod_core.jsonapi import Page, PageRequest, Query
from terrapod_core.plugin.events import WorkspaceDeleted
from terrapod_core.secrets import Keyring
from terrapod_core.settings import Limits
from terrapod_core.states import managed, queries
from terrapod_core.states.creation import CreateStateVersion, Creation, RollBack, WorkspaceOfRun
from terrapod_core.states.managed import ManagedResource
from terrapod_core.states.models import StateStatus, StateVersion, StateVersionOutput
from terrapod_core.states.phases import Deposits
from terrapod_core.states.uploads import Uploads
from terrapod_core.states.views import Views
from terrapod_core.states.writing import StateWriter
from terrapod_core.storage import Capabilities, ObjectKind, Objects, Purpose
from terrapod_core.storage.discards import discard, remove_discarded
from terrapod_core.workspaces import Workspace, Workspaces, queries as workspaces_queries

NOUN: Final = "state version"
BATCH: Final = 100


class States:
    """go-tfe's `StateVersions` and `StateVersionOutputs`.

    `current` and `content` ask nobody: they are for rooms above, which have asked.
    """

    def __init__(
        self,
        db: Database,
        authz: Authorizer,
        workspaces: Workspaces,
        objects: Objects,
        capabilities: Capabilities,
        keyring: Keyring,
        limits: Limits,
        workspace_of_run: WorkspaceOfRun = lambda _session, _run_id: None,
    ) -> None:
        self._db = db
        self._authz = authz
        self._objects = objects
        self._totals = SettledCounts()
        writer = StateWriter(workspaces, objects, keyring, limits.state_bytes)
        self._creation = Creation(db, authz, writer, objects, workspace_of_run)
        self.deposits = Deposits(db, workspaces, writer, objects)
        """What the runners of applies hand in."""
        self._views = Views(authz, capabilities, keyring, db.clock)
        self.uploads = Uploads(db, writer, objects, limits.state_bytes)
        """What comes without a credential, behind a link or under a pending version's id."""
        self.pace = writer.pace

    # -- writing

    async def create(self, actor: Actor, workspace_id: str, new: CreateStateVersion) -> StateVersion:
        """Announce a state: a pending version with the links its bytes go to, or the version there is for the very same state.

        Needs the level write and the actor's own lock (`Conflict`), a serial above the current one and its lineage, unless forced.
        """
        version, workspace = await self._creation.announce(actor, workspace_id, new)
        return await self._filled(actor, version, workspace, upload=True)

    async def create_whole(
        self, actor: Actor, workspace_id: str, chunks: AsyncIterable[bytes], document: Callable[[], CreateStateVersion]
    ) -> StateVersion:
        """Make a state current whose bytes came in the document; the same rules. `document` is asked when `chunks` has ended."""
        version, workspace = await self._creation.whole(actor, workspace_id, chunks, document)
        return await self._filled(actor, version, workspace, upload=True)

    async def roll_back(self, actor: Actor, workspace_id: str, back: RollBack) -> StateVersion:
        """Make an older state current again, under the next serial; needs the level write and the actor's own lock."""
        version, workspace = await self._creation.roll_back(actor, workspace_id, back)
        return await self._filled(actor, version, workspace)

    async def promote(self, actor: Actor, version_id: str) -> StateVersion:
        """Make a rescued state the current one, under the next serial; needs admin, and a workspace that nobody else has locked.

        The condition that told of it ends. `Conflict` for a state that was not rescued.
        """
        version, workspace = await self._creation.promote(actor, version_id)
        return await self._filled(actor, version, workspace)

    async def check_may_write(self, actor: Actor, workspace_id: str) -> None:
        """Raise what `create` would raise about the actor and the lock; for refusing before a large body is read."""
        await self._creation.look_up_writable(actor, workspace_id)

    # -- reading

    async def read(self, actor: Actor, version_id: str) -> StateVersion:
        """One version; `NotFound` when it is not there or not for this actor."""

        def read(session: Session) -> StateVersion:
            version, workspace = self._found(session, actor, version_id, Permission.STATE_READ)
            return self._views.fill(session, actor, [(version, workspace)])[0]

        return await self._db.read(read)

    async def read_current(self, actor: Actor, workspace_id: str) -> StateVersion:
        """The workspace's current version; `NotFound` when it has no state, which terraform takes for an empty one."""

        def read(session: Session) -> StateVersion:
            workspace = self._readable(actor, workspaces_queries.by_id(session, workspace_id))
            version = queries.current(session, workspace.id)
            if version is None:
                raise NotFound("the workspace has no state yet")
            return self._views.fill(session, actor, [(version, workspace)])[0]

        return await self._db.read(read)

    async def list(self, actor: Actor, workspace_id: str, page: PageRequest, status: str | None = None) -> Page[StateVersion]:
        """One page of a workspace's versions, newest first: final ones, and pending ones for those who may write."""
        return await self._db.read(
            lambda session: self._page(session, actor, workspaces_queries.by_id(session, workspace_id), page, status)
        )

    async def list_by_name(self, actor: Actor, workspace: str, page: PageRequest, status: str | None = None) -> Page[StateVersion]:
        """The same, of the workspace of that name."""
        return await self._db.read(lambda session: self._page(session, actor, workspaces_queries.by_name(session, workspace), page, status))

    async def outputs(self, actor: Actor, version_id: str, page: PageRequest) -> Page[StateVersionOutput]:
        """One page of a version's outputs, by name; values of sensitive ones are left out."""

        def read(session: Session) -> Page[StateVersionOutput]:
            version, _ = self._found(session, actor, version_id, Permission.STATE_READ)
            found = queries.outputs(session, version.id, page)
            self._views.outputs(found.items)
            return found

        return await self._db.read(read)

    async def current_outputs(self, actor: Actor, workspace_id: str) -> Sequence[StateVersionOutput]:
        """All outputs of the current state, by name, values of sensitive ones left out; none when there is no state."""

        def read(session: Session) -> Sequence[StateVersionOutput]:
            workspace = self._readable(actor, workspaces_queries.by_id(session, workspace_id))
            version = queries.current(session, workspace.id)
            return self._views.outputs(queries.outputs(session, version.id).items) if version is not None else []

        return await self._db.read(read)

    async def resources(self, actor: Actor, workspace_id: str, query: Query) -> Page[ManagedResource]:
        """One page of what is in the current state; nothing when there is no state."""

        def read(session: Session) -> Page[ManagedResource]:
            workspace = self._readable(actor, workspaces_queries.by_id(session, workspace_id))
            version = queries.current(session, workspace.id)
            return managed.page(version, query) if version is not None else Page([], query.page.number, query.page.size, 0)

        return await self._db.read(read)

    async def output(self, actor: Actor, output_id: str) -> StateVersionOutput:
        """One output with its value; a sensitive one needs the level plan."""

        def read(session: Session) -> StateVersionOutput:
            found = queries.output_by_id(session, output_id)
            workspace = workspaces_queries.by_id(session, found[1].workspace_id) if found is not None else None
            if found is None or workspace is None:
                raise missing("output")
            needed = Permission.OUTPUT_READ_SENSITIVE if found[0].sensitive else Permission.STATE_READ
            self._authz.require(actor, needed, workspace, noun="output")
            if not self._views.may_see(actor, workspace, found[1]):
                raise missing("output")
            return self._views.outputs([found[0]], secrets=True)[0]

        return await self._db.read(read)

    async def download_link(self, actor: Actor, version_id: str) -> str:
        """The path of a link that gives the state to whoever holds it, for a quarter of an hour; needs the level plan."""
        version, _ = await self._db.read(lambda session: self._found(session, actor, version_id, Permission.STATE_DOWNLOAD))
        if version.status != StateStatus.FINALIZED:
            raise NotFound(f"the state version has no content: it is {version.status}")
        return self._views.download(Purpose.STATE_DOWNLOAD, version)

    async def open(self, version_id: str, *, parsed: bool = False) -> tuple[AsyncIterator[bytes], int]:
        """The bytes of a version (or its parsed view) and their number, for whoever has shown a link; `NotFound` when they are gone."""

        def read(session: Session) -> StateVersion | None:
            version = queries.by_id(session, version_id)
            gone = version is None or workspaces_queries.by_id(session, version.workspace_id) is None
            return None if gone else version

        version = await self._db.read(read)
        if version is not None and parsed and version.json_object_key is not None:
            return self._objects.get(ObjectKind.STATE_JSON, version.json_content_id, version.json_object_key), version.json_size or 0
        if version is None or parsed or version.object_key is None:
            raise NotFound("the state is gone")
        return self.content(version), version.size or 0

    def load(self, session: Session, actor: Actor, wanted: Sequence[str]) -> Sequence[StateVersion]:
        """Those of `wanted` that the actor may see; for `include=current_state_version`."""
        pairs = [
            (version, workspace)
            for version, workspace in queries.visible(session, self._authz, actor, wanted)
            if self._views.may_see(actor, workspace, version)
        ]
        return self._views.fill(session, actor, pairs)

    def load_outputs(self, session: Session, actor: Actor, wanted: Sequence[str]) -> Sequence[StateVersionOutput]:
        """Those of `wanted` that the actor may see, values of sensitive ones left out; for `include=outputs`."""
        return self._views.outputs(queries.visible_outputs(session, self._authz, actor, wanted))

    def bring_outputs(self, session: Session, actor: Actor, workspaces: Sequence[Workspace]) -> Sequence[StateVersionOutput]:
        """The outputs of these workspaces that the actor may see, values of sensitive ones left out; the workspaces name them then."""
        found = queries.current_outputs(session, self._authz, actor, workspaces)
        for workspace in workspaces:
            workspace.output_ids = [output.id for output in found.get(workspace.id, ())]
        return self._views.outputs([output for outputs in found.values() for output in outputs])

    # -- for rooms above

    async def left_by(self, run_id: str) -> str | None:
        """The path of a link to the newest state that a run left, rescued ones included, good for a quarter of an hour; `None` without."""
        version = await self._db.read(lambda session: queries.newest_of_run(session, run_id))
        return self._views.download(Purpose.STATE_DOWNLOAD, version) if version is not None else None

    def current(self, session: Session, workspace_id: str) -> StateVersion | None:
        """The workspace's current state; `None` when it has none."""
        return queries.current(session, workspace_id)

    def content(self, version: StateVersion) -> AsyncIterator[bytes]:
        """The bytes of a final version."""
        assert version.object_key is not None
        return self._objects.get(ObjectKind.STATE, version.content_id, version.object_key)

    # -- background

    async def discard_overdue(self) -> None:
        """Give up announced versions whose bytes did not come in time."""
        async with self._db.uow() as uow:
            for version in await uow.run(lambda session: queries.overdue(session, uow.now(), BATCH)):
                version.status = StateStatus.DISCARDED.value
                audit.record(uow, SYSTEM, "state-version.discard", "state-versions", version.id, serial=version.serial)
            await uow.commit()

    async def remove_workspace(self, event: WorkspaceDeleted) -> None:
        """Remove all that a deleted workspace left here; may be interrupted and repeated anywhere."""
        while await self._let_go(event.workspace_id):
            pass
        await remove_discarded(self._db, self._objects)

    async def _let_go(self, workspace_id: str) -> bool:
        """Remove a batch of a workspace's rows; whether there were any."""
        async with self._db.uow() as uow:
            rows = await uow.run(lambda session: queries.of_workspace(session, workspace_id, BATCH))
            discard(uow, (row.object_key for row in rows if row.content_of is None))
            discard(uow, (row.json_object_key for row in rows if row.json_content_of is None))
            ids = [row.id for row in rows]
            await uow.session.execute(delete(StateVersionOutput).where(StateVersionOutput.state_version_id.in_(ids)))
            await uow.session.execute(delete(StateVersion).where(StateVersion.id.in_(ids)))
            await uow.commit()
        return bool(rows)

    # -- inside

    def _readable(self, actor: Actor, workspace: Workspace | None) -> Workspace:
        if workspace is None:
            raise missing("workspace")
        self._authz.require(actor, Permission.STATE_READ, workspace)
        return workspace

    def _found(self, session: Session, actor: Actor, version_id: str, permission: Permission) -> tuple[StateVersion, Workspace]:
        version = queries.by_id(session, version_id)
        workspace = workspaces_queries.by_id(session, version.workspace_id) if version is not None else None
        if version is None or workspace is None:
            raise missing(NOUN)
        self._authz.require(actor, permission, workspace, noun=NOUN)
        if not self._views.may_see(actor, workspace, version):
            raise missing(NOUN)
        return version, workspace

    def _page(
        self, session: Session, actor: Actor, workspace: Workspace | None, page: PageRequest, status: str | None
    ) -> Page[StateVersion]:
        workspace = self._readable(actor, workspace)
        writes = self._authz.allows(actor, Permission.STATE_WRITE, workspace)
        statuses: Collection[StateStatus] = {StateStatus.FINALIZED} | ({StateStatus.PENDING} if writes else set())
        if status is not None:
            shown = set(StateStatus) if writes else {StateStatus.FINALIZED}
            statuses = [each for each in shown if each.value == status]
        found = queries.listing(session, workspace.id, statuses, page, self._totals, self._db.clock.now())
        self._views.fill(session, actor, [(version, workspace) for version in found.items])
        return found

    async def _filled(self, actor: Actor, version: StateVersion, workspace: Workspace, *, upload: bool = False) -> StateVersion:
        if version.status == StateStatus.PENDING:  # without outputs, so without a look for them
            return self._views.link(actor, workspace, version, upload=upload)

        def read(session: Session) -> StateVersion:
            self._views.fill(session, actor, [(version, workspace)])
            return self._views.link(actor, workspace, version, upload=upload)

        return await self._db.read(read)
