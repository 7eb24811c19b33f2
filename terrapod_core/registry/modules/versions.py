"""Versions of modules: create, upload, release, read, list, deprecate, revoke, delete."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, TypeAlias

import msgspec
from msgspec import UNSET
from sqlalchemy import delete
from sqlalchemy.orm import Session

from terrapod_core import audit, ids
from terrapod_core.authz import Actor, Permission
from terrapod_core.authz.gate import missing
from terrapod_core.db import UnitOfWork
from terrapod_core.errors import Conflict, NotFound
from terrapod_core.jsonapi import Page, PageRequest
from terrapod_core.packages import versions as numbers
from terrapod_core.packages.versions import SemanticVersion
from terrapod_core.registry import lifecycle, publishing
from terrapod_core.registry.contents.reader import ModuleReader
from terrapod_core.registry.contents.structs import ModuleContents as Contents
from terrapod_core.registry.door import Door
from terrapod_core.registry.lifecycle import UpdateVersion
from terrapod_core.registry.models import VersionStatus
from terrapod_core.registry.modules import queries
from terrapod_core.registry.modules.documents import CreateVersion
from terrapod_core.registry.modules.models import KIND, Module, ModuleContents, ModuleVersion
from terrapod_core.registry.modules.queries import Address
from terrapod_core.registry.modules.service import NOUN
from terrapod_core.storage import ArchiveKind, Archives, Capabilities, Objects, Purpose, Stored
from terrapod_core.storage.claims import Claim, Claims
from terrapod_core.storage.discards import discard
from terrapod_core.storage.streams import is_same

VERSION_NOUN: Final = "module version"
TYPE: Final = "registry-module-versions"
UPLOAD_LIFE: Final = timedelta(hours=1)
"""How long an upload may begin after its link was given; reading the version gives another."""


@dataclass(frozen=True)
class Origin:
    """What a version is published from, when nobody uploads it."""

    tag: str
    sha: str


Decide: TypeAlias = Callable[[UnitOfWork, Module, ModuleVersion], Awaitable[bool]]
"""Says, in the transaction that writes a version, whether it is still wanted; the module's row is locked."""


class ModuleVersions:
    """go-tfe's `RegistryModules`, as far as they are about versions."""

    def __init__(
        self,
        door: Door,
        archives: Archives,
        objects: Objects,
        capabilities: Capabilities,
        *,
        limit: int,
        reader: ModuleReader,
        actor_of: publishing.ActorOf,
    ) -> None:
        """`limit` is of an archive, in bytes."""
        self._door = door
        self._archives = archives
        self._claims = Claims(objects)
        self._capabilities = capabilities
        self._limit = limit
        self._reader = reader
        self._actor_of = actor_of

    # -- people's side

    async def create(self, actor: Actor, wanted: str | Address, new: CreateVersion) -> ModuleVersion:
        """Make a version that waits for its archive, and whose upload link the result carries.

        Raises `Invalid` for a number that is not semantic, `Conflict` for one that is there, or was published and deleted.
        """
        async with self._door.db.uow() as uow:
            module = await self._taken(uow, actor, Permission.REGISTRY_PUBLISH, wanted)
            version = await self._new(uow, actor, module, numbers.checked(new.version), ids.new("modver"))
            self._record(uow, actor, "create", module, version, held=version.is_held)
            await uow.commit()
        return self._linked(actor, version)

    async def list(self, actor: Actor, wanted: str | Address, page: PageRequest) -> Page[ModuleVersion]:
        """One page of a module's versions, the newest number first; what is not published is for those who publish."""

        def read(session: Session) -> Page[ModuleVersion]:
            module = self._door.allowed(actor, Permission.REGISTRY_READ, queries.module(session, wanted), noun=NOUN)
            found = queries.versions(session, module.id, page, unpublished=self._publishes(actor, module))
            for version in found.items:
                self._linked(actor, version)
            return found

        return await self._door.db.read(read)

    async def read(self, actor: Actor, wanted: str | Address, version: str) -> ModuleVersion:
        """One version, by its number, with what is known of its archive; `NotFound` when it is not there or not for this actor."""

        def read(session: Session) -> ModuleVersion:
            module = self._door.allowed(actor, Permission.REGISTRY_READ, queries.module(session, wanted), noun=NOUN)
            found = self._found(session, actor, module, version)
            found.contents = queries.contents(session, found.id)
            return self._linked(actor, found)

        return await self._door.db.read(read)

    async def update(self, actor: Actor, wanted: str | Address, version: str, changes: UpdateVersion) -> ModuleVersion:
        """Deprecate or revoke a version, or take that back. Revoking needs the module's admin, deprecating the level write."""
        needed = Permission.REGISTRY_PUBLISH if changes.revocation is UNSET else Permission.REGISTRY_UPDATE
        async with self._door.db.uow() as uow:
            module = await self._taken(uow, actor, needed, wanted)
            found = await uow.run(lambda session: self._found(session, actor, module, version))
            changes.check()
            detail = lifecycle.change(found, changes, uow.now())
            if detail:
                module.tell(uow.now())
                self._record(uow, actor, "update", module, found, **detail)
            await uow.commit()
        return found

    async def release(self, actor: Actor, wanted: str | Address, version: str) -> ModuleVersion:
        """Publish a version that is held; for the module's publishers."""
        async with self._door.db.uow() as uow:
            module = await self._taken(uow, actor, Permission.REGISTRY_PUBLISH, wanted)
            found = await uow.run(lambda session: self._found(session, actor, module, version))
            publishing.check_release(module, found, actor)
            found.release(uow.now())
            module.tell(uow.now())
            self._record(uow, actor, "release", module, found, created_by=found.created_by_name)
            await uow.commit()
        return found

    async def delete(self, actor: Actor, wanted: str | Address, version: str) -> None:
        """Delete a version with its archive. One that was published needs the module's admin, and its number is never given again."""
        async with self._door.db.uow() as uow:
            module = await self._taken(uow, actor, Permission.REGISTRY_PUBLISH, wanted)
            found = await uow.run(lambda session: self._found(session, actor, module, version))
            if found.is_published:
                self._door.allowed(actor, Permission.REGISTRY_UPDATE, module, noun=NOUN)
                module.tell(uow.now())
            discard(uow, [found.object_key])
            publishing.burn_number(uow, KIND, module, found)
            await uow.session.execute(delete(ModuleVersion).where(ModuleVersion.id == found.id))
            self._record(uow, actor, "delete", module, found, status=found.status)
            await uow.commit()

    # -- the upload link

    async def upload(self, version_id: str, chunks: AsyncIterator[bytes], declared: int | None = None) -> None:
        """Take the archive; whoever calls has shown the link of this version. `declared` is the announced length, if any.

        The first archive that holds a module is the version's, for ever, and the version is published (or held) when this returns.
        The same bytes again are fine; others are a `Conflict`. `Invalid` says what is wrong with an archive, and leaves the version
        waiting for a right one.
        """
        version = await self._door.db.read(lambda session: queries.version_by_id(session, version_id))
        if version is None:
            raise _gone()
        if version.sha256 is not None:
            if not await is_same(chunks, declared, version.size or 0, version.sha256):
                raise _other(version)
            return
        stored = await self._archives.put(ArchiveKind.MODULE, version_id, chunks, limit=self._limit)
        await self._claims.settle(stored, lambda claim: self._uploaded(version_id, version.module_id, stored, claim))

    async def _uploaded(self, version_id: str, module_id: str, stored: Stored, claim: Claim) -> None:
        # What is stored is read, not what passes: what is known of a version is known of the very bytes that others will get.
        contents = await self._reader.understand(self._archives.read(stored.key))
        async with self._door.db.uow() as uow:
            module = await uow.run(lambda session: queries.for_update(session, module_id))
            version = await uow.run(lambda session: queries.version_by_id(session, version_id))
            if module is None or version is None:
                raise _gone()
            if version.sha256 is not None:
                if version.sha256 != stored.sha256:
                    raise _other(version)
                return
            maker = await uow.run(lambda session: publishing.maker(session, self._door.authz, self._actor_of, module, version))
            version.is_held = version.is_held or publishing.holds_back(module, maker)
            _complete(uow, module, version, stored, contents)
            self._record(uow, maker, "upload", module, version, status=version.status, size=stored.size, sha256=stored.sha256)
            claim.make()
            await uow.commit()

    # -- tags

    async def check_new(self, actor: Actor, module_id: str, number: SemanticVersion) -> None:
        """Raise what `publish` would raise of the actor and the number, before there are files."""

        def check(session: Session) -> None:
            module = self._door.allowed(actor, Permission.REGISTRY_PUBLISH, queries.module(session, module_id), noun=NOUN)
            publishing.check_number_free(session, KIND, module, number, queries.version(session, module_id, number))

        await self._door.db.read(check)

    async def publish(
        self, actor: Actor, module_id: str, number: SemanticVersion, origin: Origin, chunks: AsyncIterator[bytes], decide: Decide
    ) -> None:
        """Publish an archive as a new version in the actor's name, or hold it, as an upload of theirs would be.

        What `decide` writes and the version are there together, or neither. Raises as `create` and `upload` do.
        """
        version_id = ids.new("modver")
        stored = await self._archives.put(ArchiveKind.MODULE, version_id, chunks, limit=self._limit)

        async def write(claim: Claim) -> None:
            contents = await self._reader.understand(self._archives.read(stored.key))
            async with self._door.db.uow() as uow:
                module = await self._taken(uow, actor, Permission.REGISTRY_PUBLISH, module_id)
                version = await self._new(uow, actor, module, number, version_id)
                version.tag, version.commit_sha = origin.tag, origin.sha
                if not await decide(uow, module, version):
                    return
                await uow.flush()
                _complete(uow, module, version, stored, contents)
                about = {"status": version.status, "size": stored.size, "sha256": stored.sha256, "tag": origin.tag, "commit": origin.sha}
                self._record(uow, actor, "publish-tag", module, version, **about)
                claim.make()
                await uow.commit()

        await self._claims.settle(stored, write)

    # -- inside

    async def _new(self, uow: UnitOfWork, actor: Actor, module: Module, number: SemanticVersion, version_id: str) -> ModuleVersion:
        """A version that has no archive yet, of a module whose row is locked. Raises `Conflict` for a number that is not free."""
        there = await uow.run(lambda session: queries.version(session, module.id, number))
        await uow.run(lambda session: publishing.check_number_free(session, KIND, module, number, there))
        now = uow.now()
        version = ModuleVersion(
            id=version_id,
            module_id=module.id,
            version=str(number),
            version_order=number.order,
            status=VersionStatus.PENDING.value,
            is_held=publishing.holds_back(module, actor),
            created_by_id=actor.user_id,
            created_by_name=actor.name,
            created_at=now,
            updated_at=now,
        )
        uow.add(version)
        return version

    async def _taken(self, uow: UnitOfWork, actor: Actor, permission: Permission, wanted: str | Address) -> Module:
        """The module with its row locked: whatever becomes of its versions, one thing at a time."""
        module = await uow.run(lambda session: queries.for_update(session, wanted))
        return self._door.allowed(actor, permission, module, noun=NOUN)

    def _publishes(self, actor: Actor, module: Module) -> bool:
        return self._door.authz.allows(actor, Permission.REGISTRY_PUBLISH, module)

    def _found(self, session: Session, actor: Actor, module: Module, text: str) -> ModuleVersion:
        """The version of this number, when the actor, who reads the module, may see it."""
        number = SemanticVersion.parse(text)
        version = queries.version(session, module.id, number) if number is not None else None
        if version is None or not (version.is_published or self._publishes(actor, module)):
            raise missing(VERSION_NOUN)
        return version

    def _linked(self, actor: Actor, version: ModuleVersion) -> ModuleVersion:
        """The version with its upload link while it waits, for who made it alone: whatever arrives there is published in their name."""
        waits = version.status == VersionStatus.PENDING and actor.user_id is not None and version.created_by_id == actor.user_id
        expires = self._door.db.clock.now() + UPLOAD_LIFE
        version.upload_path = self._capabilities.url_path(Purpose.MODULE_UPLOAD, "PUT", version.id, expires=expires) if waits else None
        return version

    def _record(self, uow: UnitOfWork, actor: Actor, action: str, module: Module, version: ModuleVersion, **detail: object) -> None:
        named = {"module": module.address, "version": version.version}
        audit.record(uow, actor, f"registry-module-version.{action}", TYPE, version.id, **named, **detail)


def _complete(uow: UnitOfWork, module: Module, version: ModuleVersion, stored: Stored, contents: Contents) -> None:
    """The archive is here, and what it holds is known: publish the version, or let it wait for a publisher."""
    version.object_key, version.size, version.sha256 = stored.key, stored.size, stored.sha256
    version.wrapper = contents.wrapper
    uow.add(ModuleContents(version_id=version.id, contents=msgspec.json.encode(contents).decode()))
    version.complete(uow.now())
    if version.is_published:
        module.tell(uow.now())


def _gone() -> NotFound:
    return NotFound("the module version is gone: it was deleted, or its module was")


def _other(version: ModuleVersion) -> Conflict:
    return Conflict(
        f"version {version.version} has its archive already, and this is another one; publish the next version", code="version_exists"
    )
