"""The condition `drift-found`: the world is not as the state says, in words for those who have to look."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from terrapod_core.db import UnitOfWork
from terrapod_core.workspaces import Workspace
from terrapod_core.workspaces.conditions import Condition, Severity, raise_on

CODE: Final = "drift-found"
_NAMED: Final = 3
_CHARACTERS: Final = 120


def drift_found(addresses: Sequence[str], run_id: str, now: datetime) -> Condition:
    """These resources were changed, as the plan of this run saw."""
    number = "one resource was" if len(addresses) == 1 else f"{len(addresses)} resources were"
    named = ", ".join(each[:_CHARACTERS] for each in addresses[:_NAMED]) + (", …" if len(addresses) > _NAMED else "")
    return Condition(
        code=CODE,
        severity=Severity.WARNING,
        detail=f"{number} changed outside of terraform: {named}",
        remedy=(
            f"Look at the plan of {run_id}. Start a run to make the resources what the configuration says, or a refresh-only run to take "
            "over what they are now. This ends when a run is applied, or with the next assessment that finds no drift."
        ),
        since=now,
        run_id=run_id,
    )


def tell(uow: UnitOfWork, workspace: Workspace, condition: Condition) -> None:
    """Write the condition down. What was known already keeps its beginning, and only news is recorded. The caller has the row lock."""
    known = next((each for each in workspace.conditions if each["code"] == CODE), None)
    if known is None or known["detail"] != condition.detail:
        raise_on(uow, workspace, condition)
        return
    same = {**condition.document(), "since": known["since"]}
    workspace.conditions = [same if each is known else each for each in workspace.conditions]
