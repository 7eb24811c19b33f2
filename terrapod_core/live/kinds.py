"""What is told of which event, and to whom: the table that streams read and the documentation prints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import msgspec

from terrapod_core.authz import Permission
from terrapod_core.db import ToldEvent
from terrapod_core.plugin.events import (
    ConfigurationUploaded,
    Event,
    RunCreated,
    RunStatusChanged,
    StateVersionFinalized,
    WorkspaceDeleted,
    WorkspaceLocked,
    WorkspaceUnlocked,
)
from terrapod_core.web.streams import event as as_event


@dataclass(frozen=True)
class Kind:
    """One kind of event, as a stream tells it."""

    name: str
    permission: Permission
    """What one needs on the workspace."""
    words: str


KINDS: Final[dict[type[Event], Kind]] = {
    RunCreated: Kind("run.created", Permission.RUN_READ, "a run was queued"),
    RunStatusChanged: Kind("run.status", Permission.RUN_READ, "a run moved from `previous` to `status`, and its plan or apply with it"),
    ConfigurationUploaded: Kind("configuration-version.uploaded", Permission.CONFIGURATION_READ, "a configuration's archive is whole"),
    StateVersionFinalized: Kind("state-version.created", Permission.STATE_READ, "the workspace has a new current state"),
    WorkspaceLocked: Kind("workspace.locked", Permission.WORKSPACE_READ, "somebody or some run holds the workspace's lock"),
    WorkspaceUnlocked: Kind("workspace.unlocked", Permission.WORKSPACE_READ, "the workspace's lock is free"),
    WorkspaceDeleted: Kind("workspace.deleted", Permission.WORKSPACE_READ, "the workspace is gone; its own stream ends with this"),
}
DELETED: Final = KINDS[WorkspaceDeleted]


@dataclass(frozen=True)
class News:
    """An event on its way to those who watch; encoded once for all of them."""

    id: int
    kind: Kind
    workspace_id: str
    run_id: str | None
    text: bytes


def news(row: ToldEvent) -> News | None:
    """The row as it is told; `None` for an event that is not told, or that a newer server or a plugin of another wrote."""
    kind = _BY_EVENT.get(row.event)
    if kind is None:
        return None
    data: dict[str, Any] = {"type": kind.name, **{name.replace("_", "-"): value for name, value in row.payload.items()}}
    data["at"] = row.happened_at
    return News(row.id, kind, row.workspace_id, row.payload.get("run_id"), as_event(kind.name, msgspec.json.encode(data), row.id))


_BY_EVENT: Final = {event.name(): kind for event, kind in KINDS.items()}
