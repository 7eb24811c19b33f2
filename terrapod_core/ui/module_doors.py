"""The door of the pages of modules, over the services of modules."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import msgspec

from terrapod_core.authz import Actor
from terrapod_core.authz.gate import missing
from terrapod_core.jsonapi import PageRequest
from terrapod_core.registry.contents.structs import Configuration, ModuleContents
from terrapod_core.registry.modules import following
from terrapod_core.registry.modules.models import Module, ModuleVersion
from terrapod_core.registry.uses.kinds import MODULES
from terrapod_core.ui.registry_doors import ItemDoor
from terrapod_core.ui.registry_views import ModuleView


class ModuleDoor(ItemDoor[Module, ModuleVersion]):
    """Modules, for their pages."""

    kind = MODULES
    lists = "modules"

    async def show(self, actor: Actor, address: Sequence[str], number: str | None, versions: PageRequest, part: str) -> ModuleView:
        """A module as its page shows it."""
        view, module, version = await self.look(actor, address, number, versions)
        # It may be long.
        contents = await asyncio.to_thread(_contents, version.contents) if version is not None else None
        size = version.size if version is not None else None
        shown = ModuleView(**vars(view), size=size, contents=contents, part=_part(contents, part))
        return replace(shown, repository=module.vcs_link, problems=following.problems(module))


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
