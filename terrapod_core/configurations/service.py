"""Configuration versions: create, upload, read, list, download, archive."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, timedelta
from typing import Final, TypeAlias

import msgspec
from sqlalchemy import Select, delete
from sqlalchemy.orm import Session

from terrapod_core import audit, ids
from terrapod_core.authz import SYSTEM, Actor, ActorKind, Authorizer, Permission
from terrapod_core.authz.gate import missing
from terrapod_core.configurations import queries
from terrapod_core.configurations.models import ConfigurationStatus, ConfigurationVersion
from terrapod_core.db import Database, UnitOfWork
from terrapod_core.errors import Conflict, Invalid, InvalidTransition, NotFound
from terrapod_core.jsonapi import Page, PageRequest
from terrapod_core.plugin.events import ConfigurationUploaded, WorkspaceDeleted
from terrapod_core.settings import Limits
from terrapod_core.storage import Capabilities, ObjectKind, Objects, Purpose, Stored
from terrapod_core.storage.claims import Claim, Claims
from terrapod_core.storage.discards import discard, remove_discarded
from terrapod_core.storage.streams import inspected, is_same
from terrapod_core.tarballs import ArchiveInspector, ArchiveLimits
from terrapod_core.workspaces import Workspace, Workspaces, queries as workspaces_queries

NOUN: Final = "configuration version"
UPLOAD_LIFE: Final = timedelta(hours=1)
"""How long an upload may begin after the version was made."""
DOWNLOAD_LIFE: Final = timedelta(minutes=15)
BATCH: Final = 100

InUse: TypeAlias = Callable[[Session, str], bool]
"""Whether a run that has not ended needs this configuration version."""
Used: TypeAlias = Callable[[], Select[str]]
"""The ids of all those that such runs need, as a query: the table is a higher room's."""


class CreateConfigurationVersion(msgspec.Struct, kw_only=True):
    """What is sent to make one."""

    auto_queue_runs: bool = True
    speculative: bool = False
    provisional: bool = False


class Configurations:
    """go-tfe's `ConfigurationVersions`."""

    def __init__(
        self,
        db: Database,
        authz: Authorizer,
        workspaces: Workspaces,
        objects: Objects,
        capabilities: Capabilities,
        limits: Limits,
        in_use: InUse,
        used: Used,
        check_uploader: Callable[[Actor, Workspace], None],
    ) -> None:
        self._db = db
        self._authz = authz
        self._workspaces = workspaces
        self._objects = objects
        self._claims = Claims(objects)
        self._capabilities = capabilities
        self._bytes = limits.configuration_bytes
        self._archive_limits = ArchiveLimits(entries=limits.archive_entries, unpacked_bytes=limits.unpacked_bytes)
        self._in_use = in_use
        self._used = used
        self._check_uploader = check_uploader

    # -- people's side

    async def create(self, actor: Actor, workspace_id: str, new: CreateConfigurationVersion, *, source: str) -> ConfigurationVersion:
        """Make a version that waits for its archive; a speculative one needs the level plan, any other write.

        `Forbidden` (`runner_not_isolated`) when nothing would keep what the actor uploads from the server.

        The result carries the link to upload to. One that is neither speculative nor provisional becomes the workspace's
        current one at once (as go-tfe's tests want it), but no run takes it before its archive is there.
        """
        needed = Permission.CONFIGURATION_UPLOAD_SPECULATIVE if new.speculative else Permission.CONFIGURATION_UPLOAD
        async with self._db.uow() as uow:
            workspace = self._allowed(actor, needed, await uow.run(lambda session: workspaces_queries.for_update(session, workspace_id)))
            if workspace.vcs_link is not None and not new.speculative:
                raise Invalid(
                    f"this workspace takes its configuration from {workspace.vcs_link['identifier']}: push there, or disconnect it first; "
                    "a speculative configuration version can be made",
                    code="vcs_connected",
                )
            self._check_uploader(actor, workspace)
            version = self._new(uow, actor, workspace, new, source)
            uow.add(version)
            await uow.flush()
            if not (new.speculative or new.provisional):
                self._workspaces.set_current_configuration(uow, workspace, version.id)
            audit.record(
                uow, actor, "configuration-version.create", "configuration-versions", version.id, workspace=workspace.name, source=source
            )
            await uow.commit()
        return self._linked(actor, workspace, version)

    async def read(self, actor: Actor, version_id: str) -> ConfigurationVersion:
        """One version; `NotFound` when it is not there or not for this actor."""
        return await self._db.read(lambda session: self._found(session, actor, version_id, Permission.CONFIGURATION_READ))

    async def list(self, actor: Actor, workspace_id: str, page: PageRequest) -> Page[ConfigurationVersion]:
        """One page of a workspace's versions, newest first."""

        def read(session: Session) -> Page[ConfigurationVersion]:
            workspace = self._allowed(actor, Permission.CONFIGURATION_READ, workspaces_queries.by_id(session, workspace_id))
            found = queries.listing(session, workspace.id, page)
            for version in found.items:
                self._linked(actor, workspace, version)
            return found

        return await self._db.read(read)

    def load(self, session: Session, actor: Actor, wanted: Sequence[str]) -> Sequence[ConfigurationVersion]:
        """Those of `wanted` that the actor may read, in one query; for `include=configuration_version`."""
        return [self._linked(actor, workspace, version) for version, workspace in queries.visible(session, self._authz, actor, wanted)]

    async def download_link(self, actor: Actor, version_id: str) -> str:
        """The path of a link that gives the archive to whoever holds it, for a quarter of an hour; needs the level write."""
        version = await self._db.read(lambda session: self._found(session, actor, version_id, Permission.CONFIGURATION_DOWNLOAD))
        if version.status != ConfigurationStatus.UPLOADED:
            why = ", its archive was removed" if version.status == ConfigurationStatus.ARCHIVED else ""
            raise NotFound(f"the configuration version has no archive: it is {version.status}{why}")
        return self._capabilities.url_path(Purpose.CONFIGURATION_DOWNLOAD, "GET", version.id, expires=self._db.clock.now() + DOWNLOAD_LIFE)

    async def archive(self, actor: Actor, version_id: str) -> None:
        """Remove the archive and keep what is known about it.

        `InvalidTransition` unless it is uploaded, and while it is the workspace's current one or a run needs it.
        """
        async with self._db.uow() as uow:
            version = await uow.run(lambda session: self._found(session, actor, version_id, Permission.CONFIGURATION_UPLOAD, lock=True))
            if version.status != ConfigurationStatus.UPLOADED:
                raise InvalidTransition(f"configuration could not be archived because it is {version.status}")
            reason = await uow.run(lambda session: self._needed(session, version))
            if reason is not None:
                raise InvalidTransition(f"configuration could not be archived because {reason}")
            self._archive(uow, actor, version)
            await uow.commit()
        await remove_discarded(self._db, self._objects)

    # -- links

    async def upload(self, version_id: str, chunks: AsyncIterator[bytes], declared: int | None = None) -> None:
        """Take the archive; whoever calls has shown the link that `create` gave. `declared` is the announced length, if any.

        The first whole archive that passes the inspection wins and is `uploaded` when this returns. The same bytes again are
        fine; others are a `Conflict`. `Invalid` says what is wrong with an archive, and leaves the version waiting for a right one.
        """
        version = await self._db.read(lambda session: queries.by_id(session, version_id))
        self._check_waiting(version)
        assert version is not None
        if version.status == ConfigurationStatus.UPLOADED:
            if not await is_same(chunks, declared, version.size or 0, version.sha256 or ""):
                raise Conflict("the configuration version has its archive already, and this is another one; make a new one")
            return
        archive = inspected(chunks, ArchiveInspector(self._archive_limits))
        stored = await self._objects.put(ObjectKind.CONFIGURATION, version_id, archive, limit=self._bytes)
        await self._claims.settle(stored, lambda claim: self._uploaded(version_id, stored, claim))

    async def content_of(self, version_id: str) -> tuple[AsyncIterator[bytes], int]:
        """The archive and its size, for whoever has shown the link that `download_link` gave, or the runner of a run of it.

        `NotFound` when there is none (any more).
        """

        version, workspace = await self._db.read(lambda session: self._read(session, version_id))
        if version is None or workspace is None or version.object_key is None or version.status != ConfigurationStatus.UPLOADED:
            raise NotFound("the configuration version has no archive")
        return self.content(version), version.size or 0

    def content(self, version: ConfigurationVersion) -> AsyncIterator[bytes]:
        """The archive of an uploaded version."""
        assert version.object_key is not None
        return self._objects.get(ObjectKind.CONFIGURATION, version.id, version.object_key)

    # -- background

    async def expire(self) -> None:
        """Give up versions whose archive did not come in time."""
        async with self._db.uow() as uow:
            for version in await uow.run(lambda session: queries.overdue(session, uow.now(), BATCH)):
                version.error, version.error_message = (
                    "upload_expired",
                    "No archive was uploaded in time; make a new configuration version.",
                )
                self._move(uow, version, ConfigurationStatus.ERRORED)
                audit.record(uow, SYSTEM, "configuration-version.expire", "configuration-versions", version.id)
            await uow.commit()

    async def archive_old(self, days: int) -> None:
        """Archive versions that were made so many days ago and that nobody needs: not the current one, nor the one that the next
        run would take, nor one of a run that has not ended. May be interrupted and repeated anywhere.
        """
        old = self._db.clock.now() - timedelta(days=days)
        after = ""
        while found := await self._db.read(lambda session, after=after: queries.old(session, old, self._used(), after, BATCH)):  # type: ignore[misc]
            for version_id in found:
                await self._archive_old(version_id)
            after = found[-1]
        await remove_discarded(self._db, self._objects)

    async def _archive_old(self, version_id: str) -> None:
        async with self._db.uow() as uow:
            version, _ = await uow.run(lambda session: self._locked(session, version_id))
            if version is None or version.status != ConfigurationStatus.UPLOADED:
                return
            if await uow.run(lambda session: self._needed(session, version)) is None:
                self._archive(uow, SYSTEM, version, reason="retention")
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
            discard(uow, (row.object_key for row in rows))
            await uow.session.execute(delete(ConfigurationVersion).where(ConfigurationVersion.id.in_([row.id for row in rows])))
            await uow.commit()
        return bool(rows)

    # -- inside

    def _allowed(self, actor: Actor, permission: Permission, workspace: Workspace | None) -> Workspace:
        if workspace is None:
            raise missing("workspace")
        self._authz.require(actor, permission, workspace)
        return workspace

    def _found(
        self, session: Session, actor: Actor, version_id: str, permission: Permission, *, lock: bool = False
    ) -> ConfigurationVersion:
        version, workspace = self._locked(session, version_id) if lock else self._read(session, version_id)
        if version is None or workspace is None:
            raise missing(NOUN)
        self._authz.require(actor, permission, workspace, noun=NOUN)
        return self._linked(actor, workspace, version)

    def _read(self, session: Session, version_id: str) -> tuple[ConfigurationVersion | None, Workspace | None]:
        version = queries.by_id(session, version_id)
        return version, workspaces_queries.by_id(session, version.workspace_id) if version is not None else None

    def _locked(self, session: Session, version_id: str) -> tuple[ConfigurationVersion | None, Workspace | None]:
        """The same with both rows locked, the workspace's first, as everywhere: runs are made under that lock."""
        version = queries.by_id(session, version_id)
        if version is None:
            return None, None
        workspace = workspaces_queries.for_update(session, version.workspace_id)
        return queries.for_update(session, version_id), workspace

    def _new(
        self, uow: UnitOfWork, actor: Actor, workspace: Workspace, new: CreateConfigurationVersion, source: str
    ) -> ConfigurationVersion:
        now = uow.now()
        return ConfigurationVersion(
            id=ids.new("cv"),
            workspace_id=workspace.id,
            status=ConfigurationStatus.PENDING.value,
            source=source,
            speculative=new.speculative,
            provisional=new.provisional,
            auto_queue_runs=new.auto_queue_runs,
            created_by_id=actor.user_id,
            created_by_name=actor.name,
            trusted=self._authz.allows(actor, Permission.CONFIGURATION_UPLOAD, workspace),
            status_timestamps={},
            created_at=now,
            upload_expires_at=now + UPLOAD_LIFE,
        )

    def _linked(self, actor: Actor, workspace: Workspace, version: ConfigurationVersion) -> ConfigurationVersion:
        """The version with its upload link, when it waits and the actor made it or may upload to the workspace."""
        version.upload_path = None
        mine = actor.user_id is not None and actor.user_id == version.created_by_id
        waits = version.status == ConfigurationStatus.PENDING and version.upload_expires_at > self._db.clock.now()
        if waits and (mine or self._authz.allows(actor, Permission.CONFIGURATION_UPLOAD, workspace)):
            version.upload_path = self._capabilities.url_path(
                Purpose.CONFIGURATION_UPLOAD, "PUT", version.id, expires=version.upload_expires_at
            )
        return version

    def _check_waiting(self, version: ConfigurationVersion | None) -> None:
        """Pass for one that waits or is uploaded."""
        if version is None:
            raise NotFound("the configuration version is gone")
        if version.status not in (ConfigurationStatus.PENDING, ConfigurationStatus.UPLOADED):
            raise Conflict(f"the configuration version is {version.status}; make a new one")
        if version.status == ConfigurationStatus.PENDING and version.upload_expires_at <= self._db.clock.now():
            raise NotFound("the time for this upload is over; make a new configuration version")

    async def _uploaded(self, version_id: str, stored: Stored, claim: Claim) -> None:
        async with self._db.uow() as uow:
            version, workspace = await uow.run(lambda session: self._locked(session, version_id))
            self._check_waiting(version)
            if version is None or workspace is None:
                raise NotFound("the workspace of this configuration version is gone")
            if version.status == ConfigurationStatus.UPLOADED:
                if version.sha256 != stored.sha256:
                    raise Conflict("another archive arrived first; make a new configuration version for this one")
                return
            version.object_key, version.size, version.sha256 = stored.key, stored.size, stored.sha256
            self._move(uow, version, ConfigurationStatus.UPLOADED)
            maker = Actor(ActorKind.USER, version.created_by_id, version.created_by_name) if version.created_by_id else SYSTEM
            audit.record(
                uow, maker, "configuration-version.upload", "configuration-versions", version.id, size=stored.size, sha256=stored.sha256
            )
            uow.emit(ConfigurationUploaded(version.id, version.workspace_id))
            claim.make()
            await uow.commit()

    def _needed(self, session: Session, version: ConfigurationVersion) -> str | None:
        """Why the archive has to stay."""
        workspace = workspaces_queries.by_id(session, version.workspace_id)
        latest = queries.latest_usable(session, version.workspace_id)
        if version.id in (workspace.current_configuration_version_id if workspace else None, latest.id if latest else None):
            return "it is current"
        return "a run that has not ended uses it" if self._in_use(session, version.id) else None

    def _move(self, uow: UnitOfWork, version: ConfigurationVersion, status: ConfigurationStatus) -> None:
        version.status = status.value
        at = uow.now().astimezone(UTC).replace(microsecond=0).isoformat()
        version.status_timestamps = {**version.status_timestamps, f"{status.value}-at": at}

    def _archive(self, uow: UnitOfWork, actor: Actor, version: ConfigurationVersion, **detail: str) -> None:
        """Let go of the archive; the version is locked by the caller, who has seen that nobody needs it."""
        discard(uow, [version.object_key])
        version.object_key = None
        self._move(uow, version, ConfigurationStatus.ARCHIVED)
        audit.record(uow, actor, "configuration-version.archive", "configuration-versions", version.id, **detail)
