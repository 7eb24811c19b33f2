"""Configuration versions that are fetched from version control: whole and stored from the beginning."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC
from typing import Any

from terrapod_core import audit, ids
from terrapod_core.authz import Actor
from terrapod_core.configurations.models import ConfigurationStatus, ConfigurationVersion
from terrapod_core.db import Database, UnitOfWork
from terrapod_core.settings import Limits
from terrapod_core.storage import ObjectKind, Objects, Stored
from terrapod_core.storage.claims import Claim, Claims
from terrapod_core.storage.streams import inspected
from terrapod_core.tarballs import ArchiveInspector, ArchiveLimits
from terrapod_core.workspaces import Workspace, Workspaces

Decide = Callable[[UnitOfWork], Awaitable[Workspace | None]]
"""Says, in the transaction that writes the version, for which workspace it is (its row locked); `None`: for none any more."""


class FetchedConfigurations:
    """Stores them."""

    def __init__(self, db: Database, workspaces: Workspaces, objects: Objects, limits: Limits) -> None:
        self._db = db
        self._workspaces = workspaces
        self._objects = objects
        self._claims = Claims(objects)
        self._bytes = limits.configuration_bytes
        self._archive_limits = ArchiveLimits(entries=limits.archive_entries, unpacked_bytes=limits.unpacked_bytes)

    async def store(
        self,
        version_id: str,
        chunks: AsyncIterator[bytes],
        actor: Actor,
        ingress: dict[str, Any],
        decide: Decide,
        *,
        source: str,
        speculative: bool,
        trusted: bool,
        of_fork: bool,
    ) -> bool:
        """Store an archive as a new version; `False` when `decide` did not want it, and nothing is left.

        `actor` answers for it. What `decide` writes and the version are there together or not at all. Raises `Invalid` for what an archive
        may not have, `TooLarge`.
        """
        archive = inspected(chunks, ArchiveInspector(self._archive_limits))
        stored = await self._objects.put(ObjectKind.CONFIGURATION, version_id, archive, limit=self._bytes)

        async def write(claim: Claim) -> bool:
            async with self._db.uow() as uow:
                workspace = await decide(uow)
                if workspace is None:
                    return False
                version = _version(uow, version_id, workspace, actor, stored)
                version.source, version.ingress = source, ingress
                version.speculative, version.trusted, version.of_fork = speculative, trusted, of_fork
                uow.add(version)
                await uow.flush()
                if not speculative:
                    self._workspaces.set_current_configuration(uow, workspace, version.id)
                about = {"workspace": workspace.name, "source": source, "commit": ingress.get("commit_sha"), "trusted": trusted}
                audit.record(uow, actor, "configuration-version.fetch", "configuration-versions", version.id, **about)
                claim.make()
                await uow.commit()
                return True

        return await self._claims.settle(stored, write)


def new_id() -> str:
    """The id of a version that is about to be stored."""
    return ids.new("cv")


def _version(uow: UnitOfWork, version_id: str, workspace: Workspace, actor: Actor, stored: Stored) -> ConfigurationVersion:
    now = uow.now()
    return ConfigurationVersion(
        id=version_id,
        workspace_id=workspace.id,
        status=ConfigurationStatus.UPLOADED.value,
        provisional=False,
        auto_queue_runs=False,
        created_by_id=actor.user_id,
        created_by_name=actor.name,
        object_key=stored.key,
        size=stored.size,
        sha256=stored.sha256,
        status_timestamps={"uploaded-at": now.astimezone(UTC).replace(microsecond=0).isoformat()},
        created_at=now,
        upload_expires_at=now,
    )
