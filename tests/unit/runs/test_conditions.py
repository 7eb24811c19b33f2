"""Conditions that follow from how runs are carried out here."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from terrapod_core.runs import Isolation
from terrapod_core.runs.conditions import no_isolation
from terrapod_core.workspaces import Workspace

SINCE = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    ("isolated", "allow_users", "mode", "told"),
    [
        (False, False, "remote", True),
        (False, False, "local", False),
        (False, False, "agent", False),
        (False, True, "remote", False),
        (True, False, "remote", False),
    ],
)
def test_a_remote_workspace_tells_that_its_users_may_not_run(isolated: bool, allow_users: bool, mode: str, told: bool) -> None:
    check = no_isolation(lambda: Isolation(isolated=isolated, allow_users=allow_users), SINCE)
    found = check(Workspace(execution_mode=mode))
    assert (found is not None) is told
    if found is not None:
        assert (found.code, found.since) == ("no-isolation", SINCE)
        assert "runner.local.allow_unisolated_users" in found.remedy
