"""What plugins add to workspaces, fetched once for all that are shown."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

import structlog

from terrapod_core.extensions.lookup import Lookup
from terrapod_core.plugin import PluginCondition, WorkspaceAddition, WorkspaceAdditions, WorkspaceFacts
from terrapod_core.workspaces import Workspace
from terrapod_core.workspaces.conditions import Condition, Severity

SECONDS: Final = 2.0

R = TypeVar("R")

log = structlog.get_logger("terrapod.extensions")


class Additions:
    """The additions of all plugins."""

    def __init__(self, additions: Mapping[str, WorkspaceAdditions], lookup: Lookup) -> None:
        self._additions = dict(additions)
        self._lookup = lookup

    async def add(self, workspaces: Sequence[Workspace]) -> None:
        """Put onto these workspaces what the plugins say of them. Never fails: a plugin in trouble adds nothing."""
        if not self._additions or not workspaces:
            return
        facts = [self._lookup.facts(each, None) for each in workspaces]
        for name, plugin in self._additions.items():
            found = await self._asked(name, plugin, facts)
            for workspace in workspaces:
                if (added := found.get(workspace.id)) is not None:
                    workspace.added_attributes = {**workspace.added_attributes, **_own(name, added.attributes, _same)}
                    conditions = {each.code: each for each in added.conditions}
                    workspace.added_conditions = [*workspace.added_conditions, *_own(name, conditions, _condition).values()]

    async def _asked(self, name: str, plugin: WorkspaceAdditions, facts: Sequence[WorkspaceFacts]) -> Mapping[str, WorkspaceAddition]:
        try:
            async with asyncio.timeout(SECONDS):
                return await plugin.of(facts)
        except Exception:
            log.exception("a plugin adds nothing to workspaces", plugin=name)
            return {}


def _own(plugin: str, found: Mapping[str, Any], made: Callable[[Any], R]) -> dict[str, R]:
    """What has a name of the plugin's own; it may not pass for the core's, or for another's."""
    strange = [each for each in found if not each.startswith(f"{plugin}-")]
    if strange:
        log.warning("a plugin adds under a name that is not its own", plugin=plugin, names=strange)
    return {name: made(each) for name, each in found.items() if name not in strange}


def _same(value: Any) -> Any:
    return value


def _condition(said: PluginCondition) -> dict[str, Any]:
    return Condition(
        code=said.code, severity=Severity(said.severity), detail=said.detail, remedy=said.remedy, since=said.since, run_id=said.run_id
    ).document()
