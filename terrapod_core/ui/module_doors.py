"""The door of the pages of modules, over the services of modules."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
from sqlalchemy.orm import Session

from terrapod_core.authz import Actor, Authorizer, Permission
from terrapod_core.authz.gate import missing
from terrapod_core.db import Database
from terrapod_core.jsonapi import Page, PageRequest
from terrapod_core.registry.contents.structs import Configuration, ModuleContents
from terrapod_core.registry.modules.models import Module, ModuleVersion
from terrapod_core.registry.modules.queries import Address
from terrapod_core.registry.modules.service import Modules
from terrapod_core.registry.modules.versions import ModuleVersions
from terrapod_core.registry.uses.kinds import MODULES
from terrapod_core.ui.registry_doors import UsesDoor, asked, changes, chosen_number, line, named, names, numbers, offered, paged, row
from terrapod_core.ui.registry_views import ItemRow, ModuleView, RegistryAction, Search, VersionLine

KIND: Final = "modules"


@dataclass(frozen=True)
class ModuleDoor:
    """Modules, for their pages."""

    modules: Modules
    versions: ModuleVersions
    uses: UsesDoor
    db: Database
    authz: Authorizer

    async def list(self, actor: Actor, page: PageRequest, search: Search) -> Page[ItemRow]:
        """Those the actor may see, by name."""
        found = await self.modules.list(actor, asked(page, search))
        known = await self.db.read(lambda session: self._numbers(session, actor, found.items))
        return paged(found, [row(each, KIND, known.get(each.id, ())) for each in found.items])

    async def show(self, actor: Actor, address: Sequence[str], number: str | None, versions: PageRequest, part: str) -> ModuleView:
        """A module as its page shows it."""
        wanted = Address(*address)
        module = await self.modules.read(actor, wanted)
        page = await self.versions.list(actor, wanted, versions)
        if number is None:
            found = await self.db.read(lambda session: self._numbers(session, actor, [module]))
            number = chosen_number(found.get(module.id, ()))
        version = await self.versions.read(actor, wanted, number) if number is not None else None
        # It may be long.
        contents = await asyncio.to_thread(_contents, version.contents) if version is not None else None
        known = await self.db.read(lambda session: names(session, [module.owner_id, *module.publishers]))
        publishes = self.authz.allows(actor, Permission.REGISTRY_PUBLISH, module)
        updates = self.authz.allows(actor, Permission.REGISTRY_UPDATE, module)
        return ModuleView(
            address=module.address,
            kind=KIND,
            owner=known.get(module.owner_id or ""),
            publishers=named(known, module.publishers),
            labels=module.labels,
            versions=paged(page, [line(each) for each in page.items]),
            shown=line(version) if version is not None else None,
            used_by=await self.uses.of(actor, MODULES, wanted),
            offered=offered(actor, module, version, publishes=publishes, updates=updates),
            may_publish=publishes,
            may_delete=updates,
            size=version.size if version is not None else None,
            contents=contents,
            part=_part(contents, part),
        )

    async def act(self, actor: Actor, address: Sequence[str], number: str, action: RegistryAction, fields: Mapping[str, str]) -> None:
        """Do it, by the same service as the API."""
        wanted = Address(*address)
        match action:
            case RegistryAction.RELEASE:
                await self.versions.release(actor, wanted, number)
            case RegistryAction.DELETE:
                await self.versions.delete(actor, wanted, number)
            case _:
                await self.versions.update(actor, wanted, number, changes(action, fields))

    async def delete(self, actor: Actor, address: Sequence[str]) -> None:
        """Delete a module with all of its versions."""
        await self.modules.delete(actor, Address(*address))

    def _numbers(self, session: Session, actor: Actor, modules: Sequence[Module]) -> Mapping[str, Sequence[VersionLine]]:
        publishes = {each.id for each in modules if self.authz.allows(actor, Permission.REGISTRY_PUBLISH, each)}
        return numbers(session, ModuleVersion.module_id, modules, publishes)


def _contents(text: bytes | None) -> ModuleContents | None:
    return msgspec.json.decode(text, type=ModuleContents) if text is not None else None


def _part(contents: ModuleContents | None, path: str) -> Configuration | None:
    """The module, or the submodule or example of this path; raises `NotFound` for another path."""
    if contents is None:
        return None
    parts = {each.path: each for each in (contents.module, *contents.submodules, *contents.examples)}
    if path not in parts:
        raise missing("part of this module")
    return parts[path]
