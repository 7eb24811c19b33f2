"""Conditions of workspaces that follow from how runs are carried out on this server."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from terrapod_core.runs.isolation import Isolation
from terrapod_core.workspaces import ExecutionMode, Workspace
from terrapod_core.workspaces.conditions import Check, Condition, Severity


def no_isolation(isolation: Callable[[], Isolation], since: datetime) -> Check:
    """`no-isolation`: the workspace wants its runs here, and its users may not start any. `since` is when the server came up so."""
    condition = Condition(
        code="no-isolation",
        severity=Severity.WARNING,
        detail="runs on this server execute as the server itself, without isolation, so only platform admins may start them",
        remedy=(
            "Run terraform where it is called (execution mode `local`), or have an operator install a sandbox for the runner; "
            "where all users are trusted with the server itself, runner.local.allow_unisolated_users lets everybody run."
        ),
        since=since,
    )

    def check(workspace: Workspace) -> Condition | None:
        return condition if isolation().keeps_users_out and workspace.execution_mode == ExecutionMode.REMOTE else None

    return check
