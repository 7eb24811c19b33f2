"""What becomes of workspaces whose owner is gone."""

from __future__ import annotations

from typing import Final

from sqlalchemy import select, update

from terrapod_core import audit
from terrapod_core.authz import SYSTEM, GuardKind, visibility
from terrapod_core.db import Database
from terrapod_core.workspaces.models import Workspace

BATCH: Final = 500


async def disown(db: Database, user_id: str) -> int:
    """Leave everything that a user owned to platform admins and roles, a batch to a transaction; how many that were."""
    changed = 0
    while True:
        async with db.uow() as uow:
            some = select(Workspace.id).where(Workspace.owner_id == user_id).limit(BATCH)
            theirs = update(Workspace).where(Workspace.id.in_(some)).values(owner_id=None).returning(Workspace.id)
            freed = (await uow.session.execute(theirs.execution_options(synchronize_session=False))).all()
            if freed:
                audit.record(uow, SYSTEM, "workspace.disown", "users", user_id, workspaces=sorted(row[0] for row in freed))
                await visibility.changed(uow, GuardKind.WORKSPACE)
            await uow.commit()
        changed += len(freed)
        if len(freed) < BATCH:
            return changed
