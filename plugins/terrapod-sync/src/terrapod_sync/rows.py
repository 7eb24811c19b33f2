"""Workspaces, syncs and conflicts as the Sync API shows them. What is not set is not there, but for the contract's own fields."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from terrapod_sync.models import Conflict, Sync, SyncedWorkspace
from terrapod_sync.words import Status


def moment(value: datetime | None) -> str | None:
    """In UTC with a `Z`, in whole seconds."""
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if value is not None else None


def workspace(name: str, row: SyncedWorkspace | None, *, enabled: bool, now: datetime) -> dict[str, Any]:
    """The contract's five fields. `row` is None for a workspace without an entry; `enabled` is the word for all workspaces."""
    on = row is not None and row.enabled and enabled
    return {
        "name": name,
        "sync_enabled": on,
        "last_sync": moment(row.last_sync_at) if row is not None else None,
        "status": row.status if row is not None and on else Status.DISABLED,
        "next_sync": moment(_next(row, now)) if row is not None and on else None,
    }


def more(row: SyncedWorkspace | None, open_conflicts: Iterable[str], *, now: datetime) -> dict[str, Any]:
    """What else is known of one workspace."""
    if row is None:
        return {}
    resting = row.rests_until is not None and row.rests_until > now
    return _set(
        {
            "run_id": row.last_run_id,
            "sync_id": row.active_sync_id,
            "has_changes": row.has_changes,
            "drifted": row.drifted,
            "attempts": row.attempts or None,
            "ignored_until": moment(row.rests_until) if resting else None,
            "problem": row.problem,
            "problem_code": row.problem_code,
            "problem_since": moment(row.problem_since),
            "conflicts": list(open_conflicts) or None,
        }
    )


def sync(row: Sync) -> dict[str, Any]:
    """One line of a workspace's history."""
    asked = {"id": row.id, "cause": row.cause, "status": row.status, "mode": row.mode, "created_at": moment(row.created_at)}
    return asked | _set(
        {
            "due_at": moment(row.tick_at),
            "ended_at": moment(row.ended_at),
            "attempt": row.attempt or None,
            "run_id": row.run_id,
            "plan": row.plan_digest,
            "has_changes": row.has_changes,
            "drifted": row.drifted,
            "forbidden": row.forbidden or None,
            "reason": row.reason,
        }
    )


def conflict(row: Conflict, name: str) -> dict[str, Any]:
    """A conflict of the workspace with this name."""
    told = {"id": row.id, "workspace": name, "kind": row.kind, "status": row.status, "message": row.detail}
    return (
        told
        | {"created_at": moment(row.created_at)}
        | _set(
            {
                "sync_id": row.sync_id,
                "run_id": row.run_id,
                "plan": row.plan_digest,
                "forbidden": row.steps or None,
                "resolution": row.resolution,
                "resolved_by": row.resolved_by_id,
                "resolved_at": moment(row.resolved_at),
                "ignored_until": moment(row.ignored_until),
                "resulting_run_id": row.resulting_run_id,
            }
        )
    )


def _next(row: SyncedWorkspace, now: datetime) -> datetime | None:
    """The schedule's next moment, without jitter; a retry where one comes instead; nothing before the end of a rest."""
    if row.next_at is None:
        return None
    due = row.next_at if row.attempts or row.tick_at is None else row.tick_at
    return max(due, row.rests_until) if row.rests_until is not None and row.rests_until > now else due


def _set(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
