"""How it goes with the pools that carry out the runs of workspaces."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from terrapod_core.agents.standing import standing
from terrapod_core.agents.status import SILENT_AFTER
from terrapod_core.workspaces.conditions import Check, Condition, Severity
from terrapod_core.workspaces.models import Workspace


def look(session: Session, found: Sequence[Workspace], now: datetime) -> None:
    """Let each workspace know how it goes with its pool (`pool_standing`); one query for all, and none where nobody has a pool."""
    pool_ids = {each.agent_pool_id for each in found if each.agent_pool_id is not None}
    standings = standing(session, pool_ids, now)
    for each in found:
        each.pool_standing = standings.get(each.agent_pool_id or "")


def no_agent(now: Callable[[], datetime]) -> Check:
    """`no-agent`: nobody in the workspace's pool takes runs. Of a workspace that `look` has not seen nothing is told."""

    def check(workspace: Workspace) -> Condition | None:
        pool = workspace.pool_standing
        if pool is None or pool.ready:
            return None
        heard = pool.last_heard_at
        silent = heard is not None and now() - heard >= SILENT_AFTER
        why = "has no listeners" if heard is None else "has no listener that is heard" if silent else "has no listener that takes more runs"
        return Condition(
            code="no-agent",
            severity=Severity.WARNING,
            detail=f"runs of this workspace wait: the agent pool that is to carry them out {why}",
            remedy=(
                "Start a listener of the pool, or look why those that joined are not heard, or are draining; "
                "or give the workspace another pool or another execution mode."
            ),
            since=heard if silent else None,
        )

    return check
