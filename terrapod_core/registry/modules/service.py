"""Modules: create, read, list, update, delete. Their versions have a service of their own, and so has what terraform asks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from terrapod_core import audit, ids
from terrapod_core.authz import Actor, Permission
from terrapod_core.authz.gate import missing
from terrapod_core.db import UnitOfWork
from terrapod_core.errors import Forbidden, Invalid
from terrapod_core.jsonapi import Page, Query
from terrapod_core.plugin.events import UserDeleted, VCSConnectionDeleted
from terrapod_core.registry import changes as item_changes, publishing
from terrapod_core.registry.door import Door
from terrapod_core.registry.modules import queries, tag_queries
from terrapod_core.registry.modules.connecting import Connecting, Found, Wish, wish
from terrapod_core.registry.modules.documents import ConnectModule, CreateModule, UpdateModule
from terrapod_core.registry.modules.models import KIND, Module, ModuleLabel, ModuleVersion
from terrapod_core.registry.modules.queries import Address
from terrapod_core.storage.discards import discard

NOUN: Final = "module"
TYPE: Final = "registry-modules"


class Modules:
    """go-tfe's `RegistryModules`, as far as they are about modules."""

    def __init__(self, door: Door, connecting: Connecting) -> None:
        self._door = door
        self._connecting = connecting

    async def create(self, actor: Actor, new: CreateModule) -> Module:
        """Make a module without a version, which belongs to the actor, its first publisher.

        Raises `Forbidden` for who may not give this name, `Invalid` for a document that is wrong or names what is there, `Conflict`
        for the name of one that was deleted.
        """
        if (asked := wish(new)) is not None and asked.said:
            raise Invalid("A module that follows a repository is made at registry-modules/vcs", pointer="/data/attributes/vcs-repo")
        return await self._create(actor, new, None, None)

    async def connect(self, actor: Actor, new: ConnectModule) -> Module:
        """The same for one whose versions are the tags of a repository; the tags that are there are published soon.

        The forge is asked for the repository first. Raises `Invalid` also with what it says, `Forbidden` for a connection that the
        actor may not use.
        """
        asked = wish(new)
        if asked is None or asked == Wish():
            raise Invalid("vcs-repo is needed: which repository to follow", pointer="/data/attributes/vcs-repo")
        if new.initial_version:
            raise Invalid(
                "initial-version is of modules that follow a branch; here a tag says it", pointer="/data/attributes/initial-version"
            )
        found = await self._connecting.find(actor, asked, None)
        assert found is not None
        assert found.info is not None
        module = await self._create(actor, new.named(found.info.repo.path), asked, found)
        module.unpublished = ()
        return module

    async def _create(self, actor: Actor, new: CreateModule, asked: Wish | None, found: Found | None) -> Module:
        publishing.check_new_name(self._door.authz, actor, new.name, new.labels_or({}), noun=NOUN)
        namespace = new.checked_namespace()
        async with self._door.db.uow() as uow:
            now = uow.now()
            module = Module(
                id=ids.new("mod"),
                namespace=namespace,
                name=new.name,
                provider=new.provider,
                owner_id=actor.user_id,
                labels={},
                publishers=[actor.user_id] if actor.user_id is not None else [],
                created_at=now,
                updated_at=now,
            )
            uow.add(module)
            await _flush(uow)
            await uow.run(lambda session: publishing.check_name_unburnt(session, KIND, module))
            detail = await item_changes.update_item(uow, self._door.authz, actor, ModuleLabel, module, new, noun=NOUN)
            detail |= await self._connecting.apply(uow, actor, module, asked, found)
            audit.record(uow, actor, "registry-module.create", TYPE, module.id, name=module.address, **detail)
            await item_changes.seen(uow)
            await uow.commit()
        return module

    async def read(self, actor: Actor, wanted: str | Address) -> Module:
        """The module of this id or address, with its versions; `NotFound` when it is not there or not for this actor."""

        def read(session: Session) -> Module:
            module = self._door.allowed(actor, Permission.REGISTRY_READ, queries.module(session, wanted), noun=NOUN)
            queries.with_versions(session, self._door.authz, actor, [module])
            return module

        return await self._door.db.read(read)

    async def list(self, actor: Actor, query: Query) -> Page[Module]:
        """One page of the modules that the actor may read."""
        return await self._door.db.read(lambda session: queries.listing(session, self._door.authz, actor, query))

    async def labels(self, actor: Actor, wanted: str | Address) -> Sequence[ModuleLabel]:
        """All labels of the module, by key."""

        def read(session: Session) -> Sequence[ModuleLabel]:
            module = self._door.allowed(actor, Permission.REGISTRY_READ, queries.module(session, wanted), noun=NOUN)
            return item_changes.labels_of(ModuleLabel, module)

        return await self._door.db.read(read)

    async def update(self, actor: Actor, wanted: str | Address, changes: UpdateModule) -> Module:
        """Change what was sent: labels, owner, publishers, the repository that it follows (none for `null`)."""
        asked, found = wish(changes), None
        if asked is not None:
            before = await self._door.db.read(lambda session: queries.module(session, wanted))
            before = self._door.allowed(actor, Permission.REGISTRY_UPDATE, before, noun=NOUN)
            found = await self._connecting.find(actor, asked, before.vcs_link)
        async with self._door.db.uow() as uow:
            module = await self._taken(uow, actor, wanted)
            changes.check(module)
            detail = await item_changes.update_item(uow, self._door.authz, actor, ModuleLabel, module, changes, noun=NOUN)
            detail |= await self._connecting.apply(uow, actor, module, asked, found)
            if detail:
                audit.record(uow, actor, "registry-module.update", TYPE, module.id, name=module.address, **detail)
                await item_changes.seen(uow)
            await uow.run(lambda session: queries.with_versions(session, self._door.authz, actor, [module]))
            await uow.commit()
        return module

    async def delete(self, actor: Actor, wanted: str | Address) -> None:
        """Delete a module with its versions and their archives. Its address is never given away again."""
        async with self._door.db.uow() as uow:
            await self._remove(uow, actor, await self._taken(uow, actor, wanted))
            await uow.commit()

    async def delete_name(self, actor: Actor, namespace: str, name: str) -> None:
        """The same for every provider of a name, all or none; what the actor may not read is not touched."""
        async with self._door.db.uow() as uow:
            found = await uow.run(lambda session: queries.of_name_for_update(session, namespace, name))
            seen = [each for each in found if self._door.authz.allows(actor, Permission.REGISTRY_READ, each)]
            if not seen:
                raise missing(NOUN)
            kept = [each.address for each in seen if not self._door.authz.allows(actor, Permission.REGISTRY_UPDATE, each)]
            if kept:
                raise Forbidden(f"deleting these modules needs their admin: {', '.join(kept)}", code="level_too_low")
            for module in seen:
                await self._remove(uow, actor, module)
            await uow.commit()

    async def disown(self, event: UserDeleted) -> None:
        """Leave what a deleted user owned to platform admins and roles."""
        await item_changes.disown(self._door.db, Module.id, Module.owner_id, event.user_id, "registry-module.disown")

    async def unlink(self, event: VCSConnectionDeleted) -> None:
        """Let modules know that their connection was deleted: their versions stay. May be called twice."""
        for module_id in await self._door.db.read(tag_queries.orphans):
            async with self._door.db.uow() as uow:
                module = await uow.run(lambda session, one=module_id: queries.for_update(session, one))  # type: ignore[misc]
                if module is not None and (module.vcs_link or {}).get("connection-id") == event.connection_id:
                    await self._connecting.gone(uow, module)
                    await uow.commit()

    async def _taken(self, uow: UnitOfWork, actor: Actor, wanted: str | Address) -> Module:
        """The module with its row locked, for who may change it."""
        module = await uow.run(lambda session: queries.for_update(session, wanted))
        return self._door.allowed(actor, Permission.REGISTRY_UPDATE, module, noun=NOUN)

    async def _remove(self, uow: UnitOfWork, actor: Actor, module: Module) -> None:
        of_module = select(ModuleVersion.version, ModuleVersion.object_key).where(ModuleVersion.module_id == module.id)
        versions = (await uow.session.execute(of_module)).all()
        discard(uow, (row.object_key for row in versions))
        publishing.burn_name(uow, KIND, module)
        await uow.session.delete(module)
        numbers = sorted(row.version for row in versions)
        audit.record(uow, actor, "registry-module.delete", TYPE, module.id, name=module.address, versions=numbers)
        await item_changes.seen(uow)


async def _flush(uow: UnitOfWork) -> None:
    try:
        await uow.flush()
    except IntegrityError as error:
        raise Invalid(
            "Name has already been taken: there is a module of this name for this provider", pointer="/data/attributes/name"
        ) from error
