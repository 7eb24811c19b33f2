"""What plugins add to workspaces, fetched once for all that are shown."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import structlog

from terrapod_core.extensions.lookup import Lookup
from terrapod_core.plugin import PluginCondition, WorkspaceAddition, WorkspaceAdditions, WorkspaceFacts
from terrapod_core.workspaces import Workspace
from terrapod_core.workspaces.conditions import Condition, Severity

SECONDS: Final = 2.0

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
        said = [await self._asked(name, plugin, facts) for name, plugin in self._additions.items()]
        for workspace in workspaces:
            added = [found[workspace.id] for found in said if workspace.id in found]
            workspace.added_attributes = {name: value for each in added for name, value in each.attributes.items()}
            workspace.added_conditions = [condition for each in added for condition in each.conditions]

    async def _asked(self, name: str, plugin: WorkspaceAdditions, facts: Sequence[WorkspaceFacts]) -> dict[str, _Added]:
        try:
            async with asyncio.timeout(SECONDS):
                found = await plugin.of(facts)
            return {each.id: _added(name, found[each.id]) for each in facts if each.id in found}
        except Exception:
            log.exception("a plugin adds nothing to workspaces", plugin=name)
            return {}


@dataclass(frozen=True)
class _Added:
    """What one plugin adds to one workspace, fit to be shown."""

    attributes: Mapping[str, Any]
    conditions: Sequence[dict[str, Any]]


def _added(plugin: str, said: WorkspaceAddition) -> _Added:
    """Raises whatever comes of an addition that cannot be shown."""
    attributes = {name: value for name, value in said.attributes.items() if _is_own(plugin, name)}
    conditions = [_condition(each) for each in said.conditions if _is_own(plugin, each.code)]
    msgspec.json.encode((attributes, conditions))  # what has no JSON is found here, and not when the page is written
    return _Added(attributes, conditions)


def _is_own(plugin: str, name: str) -> bool:
    """Whether it is a name of the plugin's own; it may not pass for the core's, or for another's."""
    if name.startswith(f"{plugin}-"):
        return True
    log.warning("a plugin adds under a name that is not its own", plugin=plugin, name=name)
    return False


def _condition(said: PluginCondition) -> dict[str, Any]:
    return Condition(
        code=said.code, severity=Severity(said.severity), detail=said.detail, remedy=said.remedy, since=said.since, run_id=said.run_id
    ).document()
