"""What a configuration document changes, and whether its sender may: decided before anything is written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from terrapod_core.plugin import Caller, Forbidden, WorkspaceFacts
from terrapod_sync.configuration import Configuration, WorkspaceConfig
from terrapod_sync.models import GlobalConfig, SyncedWorkspace

ORGANIZATION: Final = "default"
ORPHANED: Final = frozenset({"editor-gone", "editor-may-not"})
"""Codes of problems that end when somebody who may puts the entry again, be it as it was."""


@dataclass(frozen=True)
class Seen:
    """The workspaces that there are."""

    named: Mapping[str, WorkspaceFacts]
    """By the document's name of them; those that the caller may read."""
    known: frozenset[str]
    """Ids with an entry; what is said of entries below holds for these alone."""
    readable: Mapping[str, WorkspaceFacts]
    """By id: those with an entry that the caller may read."""
    gone: frozenset[str]
    """Ids with an entry and no workspace."""


@dataclass(frozen=True)
class Put:
    """One entry of the document, with the row that it has already."""

    name: str
    config: WorkspaceConfig
    workspace: WorkspaceFacts
    row: SyncedWorkspace | None

    @property
    def entry(self) -> dict[str, Any]:
        """As it is kept."""
        found: dict[str, Any] = msgspec.to_builtins(self.config)
        return found


@dataclass
class Difference:
    """What becomes of each entry. Those that are in none of the lists stay as they are, with the name of who edited them last."""

    added: list[Put] = field(default_factory=list)
    changed: list[Put] = field(default_factory=list)
    taken_over: list[Put] = field(default_factory=list)
    """As they were, but whoever edited them last is gone or may not any more."""
    respelled: list[Put] = field(default_factory=list)
    """As they were under another name of the same workspace, put by somebody who may say so."""
    removed: list[tuple[SyncedWorkspace, WorkspaceFacts]] = field(default_factory=list)
    gone: list[SyncedWorkspace] = field(default_factory=list)
    order: list[str] = field(default_factory=list)
    """Ids of all that stay, in order."""

    def touched(self) -> Iterator[WorkspaceFacts]:
        """Workspaces whose entry is another afterwards."""
        yield from (each.workspace for each in (*self.added, *self.changed))
        yield from (workspace for _row, workspace in self.removed)


def plain(name: str) -> str | None:
    """The workspace's own name; None for one in an organization that there is not."""
    organization, _slash, rest = name.rpartition("/")
    return rest if organization in ("", ORGANIZATION) else None


def shown_name(row: SyncedWorkspace, workspace: WorkspaceFacts) -> str:
    """As it was put, with the name that the workspace has now."""
    return f"{ORGANIZATION}/{workspace.name}" if "/" in row.name else workspace.name


def difference(rows: Sequence[SyncedWorkspace], wanted: Mapping[str, WorkspaceConfig], seen: Seen) -> Difference:
    """What the document changes. `rows` are in their order; entries that the caller cannot see are no part of it."""
    found = Difference()
    by_id = {row.workspace_id: row for row in rows}
    puts = [Put(name, config, seen.named[name], by_id.get(seen.named[name].id)) for name, config in wanted.items()]
    for put in puts:
        _sort_in(put, found)
    kept = {put.workspace.id for put in puts}
    for row in rows:
        if row.workspace_id in seen.gone:
            found.gone.append(row)
        elif row.workspace_id in seen.readable and row.workspace_id not in kept:
            found.removed.append((row, seen.readable[row.workspace_id]))
    found.order = _order(rows, [put.workspace.id for put in puts], seen)
    return found


def check_rights(caller: Caller, found: Difference, now: GlobalConfig, wanted: Configuration) -> None:
    """Raise `Forbidden`, naming what the caller may not change."""
    lacking = next((each for each in found.touched() if not each.may("admin")), None)
    if lacking is not None:
        raise Forbidden(
            f"adding, changing or removing the entry of '{lacking.name}' needs the level admin on the workspace; you have {lacking.level}"
        )
    if is_changed(now, wanted) and not caller.is_platform_admin:
        raise Forbidden(
            "only a platform admin may change enabled and conflict_resolution;"
            f" put them as they are: {str(now.enabled).lower()} and {now.conflict_resolution}"
        )


def is_changed(now: GlobalConfig, wanted: Configuration) -> bool:
    """Whether what is set for all workspaces becomes another."""
    return (now.enabled, now.conflict_resolution) != (wanted.enabled, wanted.conflict_resolution)


def _sort_in(put: Put, found: Difference) -> None:
    if put.row is None:
        found.added.append(put)
    elif put.entry != put.row.entry:
        found.changed.append(put)
    elif put.workspace.may("admin"):
        if put.row.problem_code in ORPHANED:
            found.taken_over.append(put)
        if put.row.name != put.name:
            found.respelled.append(put)


def _order(rows: Sequence[SyncedWorkspace], wanted: Sequence[str], seen: Seen) -> list[str]:
    """The document's order; between its entries, those that its sender does not see stay where they are."""
    rest, order = iter(wanted), list[str]()
    mine = set(wanted) | set(seen.readable)
    for row in rows:
        if row.workspace_id in seen.gone:
            continue
        if row.workspace_id not in mine:
            order.append(row.workspace_id)
        elif (following := next(rest, None)) is not None:
            order.append(following)
    return [*order, *rest]
