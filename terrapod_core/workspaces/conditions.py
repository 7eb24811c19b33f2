"""Health conditions of a workspace: what is wrong with it, since when, and what to do.

Some are written down when they arise and stay until they are dealt with (`raise_on`, `settle`); others follow from how the server is
set up and are worked out whenever a workspace is shown. `Conditions.of` is the one place where both come together.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, TypeAlias

from terrapod_core import audit
from terrapod_core.authz import SYSTEM, Actor, Permission
from terrapod_core.db import UnitOfWork
from terrapod_core.errors import NotFound
from terrapod_core.workspaces.door import Door
from terrapod_core.workspaces.models import Workspace

EXTRA: Final = "workspace_conditions"
"""Under this name a `Rendering` carries the `Conditions`."""


class Severity(StrEnum):
    """How much it matters."""

    WARNING = "warning"
    """Something that people want to do here does not work."""
    ERROR = "error"
    """Going on without a look may do harm."""


@dataclass(frozen=True, kw_only=True)
class Condition:
    """One thing that is wrong, in words for the person who has to deal with it."""

    code: str
    severity: Severity
    detail: str
    """What happened, or how it is."""
    remedy: str
    """What to do about it."""
    since: datetime | None
    """`None` when nobody knows."""
    run_id: str | None = None

    def document(self) -> dict[str, Any]:
        """As it stands in documents, and in the workspace's row."""
        return {
            "code": self.code,
            "severity": self.severity.value,
            "detail": self.detail,
            "remedy": self.remedy,
            "since": self.since.isoformat().replace("+00:00", "Z") if self.since is not None else None,
            "run-id": self.run_id,
        }


Check: TypeAlias = Callable[[Workspace], Condition | None]
"""Works one condition out from the workspace, with what was set on it; it may not ask the database: it is called for each row of a list."""

Add: TypeAlias = Callable[[Sequence[Workspace]], Awaitable[None]]
"""Puts onto workspaces what plugins say of them."""


def state_awaited(workspace: Workspace) -> Condition | None:
    """`state-awaited`: a cancelled run keeps the workspace a while, because its runner may still hand in a state."""
    if workspace.lock_until is None or workspace.locked_at is None:
        return None
    until = workspace.lock_until.strftime("%Y-%m-%d %H:%M UTC")
    return Condition(
        code="state-awaited",
        severity=Severity.WARNING,
        detail=(
            f"the apply of {workspace.lock_holder_id} was cancelled and its runner is not heard, but may still run: "
            f"the workspace stays locked until {until}, so that the state it holds can become the current one"
        ),
        remedy=(
            "Wait: the lock ends a minute after a state has come, when the runner is known to be gone, or at that time. An admin who knows "
            "that nothing will come unlocks the workspace by force; a state that comes after that is kept as a rescued one."
        ),
        since=workspace.locked_at,
        run_id=workspace.lock_holder_id,
    )


class Conditions:
    """The conditions of workspaces: those that are written down, and those that the checks of other rooms find."""

    def __init__(self, checks: Sequence[Check] = (), add: Add | None = None) -> None:
        self._checks = tuple(checks)
        self._add = add

    async def look(self, workspaces: Sequence[Workspace]) -> None:
        """Let plugins add to workspaces that are about to be shown."""
        if self._add is not None:
            await self._add(workspaces)

    def of(self, workspace: Workspace) -> list[dict[str, Any]]:
        """All of them: those written down first, and at last what plugins have added."""
        found = (check(workspace) for check in self._checks)
        return [*workspace.conditions, *(each.document() for each in found if each is not None), *workspace.added_conditions]


def shown(workspace: Workspace, extra: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The conditions for a document, by the `Conditions` that the rendering carries."""
    conditions: Conditions = extra.get(EXTRA) or _WRITTEN_DOWN
    return conditions.of(workspace)


_WRITTEN_DOWN: Final = Conditions()


def raise_on(uow: UnitOfWork, workspace: Workspace, condition: Condition) -> None:
    """Write a condition down, in place of an earlier one of its code. The caller has the workspace's row lock."""
    others = [each for each in workspace.conditions if each["code"] != condition.code]
    workspace.conditions = [*others, condition.document()]
    audit.record(
        uow,
        SYSTEM,
        "workspace.condition",
        "workspaces",
        workspace.id,
        name=workspace.name,
        code=condition.code,
        detail=condition.detail,
        run=condition.run_id,
    )


def settle(uow: UnitOfWork, workspace: Workspace, code: str, why: str, *, before: datetime | None = None) -> bool:
    """Take a condition away, if it is there and (with `before`) arose before that moment; whether it did. The caller has the row lock."""
    found = next((each for each in workspace.conditions if each["code"] == code), None)
    if found is None or (before is not None and datetime.fromisoformat(found["since"]) >= before):
        return False
    workspace.conditions = [each for each in workspace.conditions if each is not found]
    audit.record(uow, SYSTEM, "workspace.condition-settled", "workspaces", workspace.id, name=workspace.name, code=code, why=why)
    return True


class Acknowledging:
    """People who say that they have dealt with a condition."""

    def __init__(self, door: Door) -> None:
        self._door = door

    async def acknowledge(self, actor: Actor, workspace_id: str, code: str, comment: str | None) -> Workspace:
        """Take away a condition that is written down; needs admin. `NotFound` when the workspace has no condition of that code."""
        async with self._door.db.uow() as uow:
            workspace = await self._door.taken(uow, actor, Permission.WORKSPACE_UPDATE, workspace_id)
            kept = [each for each in workspace.conditions if each["code"] != code]
            if len(kept) == len(workspace.conditions):
                raise NotFound(f"the workspace has no condition {code} that could be acknowledged; others end when their cause does")
            workspace.conditions = kept
            audit.record(
                uow, actor, "workspace.acknowledge-condition", "workspaces", workspace.id, name=workspace.name, code=code, comment=comment
            )
            await uow.commit()
        return workspace
