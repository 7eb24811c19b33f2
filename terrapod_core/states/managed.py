"""The resources of a state one by one (go-tfe's `WorkspaceResources`), from what was noted when the state came."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from terrapod_core import ids
from terrapod_core.jsonapi import Page, Query
from terrapod_core.states.models import StateVersion
from terrapod_core.states.reading import INDICES

_PROVIDER: Final = re.compile(r'provider\["[^"/]*/([^"]+)"\]')


@dataclass(frozen=True)
class ManagedResource:
    """One instance of a resource in a state."""

    version: StateVersion
    address: str
    name: str
    module: str
    provider: str
    provider_type: str
    name_index: str | None

    @property
    def id(self) -> str:
        """Its id: the same as long as the workspace has something at this address."""
        return ids.of_name("wsr", f"{self.version.workspace_id} {self.address}")


_SORTS: Final[dict[str, Callable[[ManagedResource], str]]] = {
    "name": lambda one: one.name,
    "nameIndex": lambda one: one.name_index or "",
    "provider": lambda one: one.provider,
    "providerType": lambda one: one.provider_type,
    "module": lambda one: one.module,
}


def page(version: StateVersion, query: Query) -> Page[ManagedResource]:
    """One page of them; `q` is looked for in the addresses. As many as the state version lists, which is not all of a very large one."""
    found = [one for one in _all(version) if not query.q or query.q.lower() in one.address.lower()]
    for sort in reversed(query.sort):
        if sort.name in _SORTS:
            found.sort(key=_SORTS[sort.name], reverse=sort.descending)
    wanted = query.page
    return Page(found[wanted.offset : wanted.offset + wanted.size], wanted.number, wanted.size, len(found))


def _all(version: StateVersion) -> Iterator[ManagedResource]:
    for entry in version.resources or ():
        module, kind, name = entry["module"], entry["type"], entry["name"]
        provider = _PROVIDER.search(entry["provider"])
        path = "" if module == "root" else f"{module}."
        for index in _indices(entry):
            place = "" if index is None else f"[{msgspec.json.encode(index).decode()}]"
            yield ManagedResource(
                version=version,
                address=f"{path}{kind}.{name}{place}",
                name=name,
                module=module,
                provider=provider[1] if provider else entry["provider"],
                provider_type=kind.removeprefix("data."),
                name_index=None if index is None else str(index),
            )


def _indices(entry: dict[str, Any]) -> Sequence[int | str | None]:
    """What tells its instances apart: nothing, for a resource without `count` and `for_each`; no instance, no index."""
    indices: Sequence[int | str] | None = entry.get(INDICES)
    return indices or [None][: entry["count"]]
