"""What of agent pools dies with a restore."""

from __future__ import annotations

from typing import Any

from sqlalchemy import delete, update

from terrapod_core.agents.models import Listener, PoolToken
from terrapod_core.db import UnitOfWork


async def end_credentials(uow: UnitOfWork, *, keep_listeners: bool) -> int:
    """End join tokens and, unless they are kept, listeners: one that was revoked after the backup was made must not come back.

    How many listeners were revoked; their names are free for those that join anew. Requests that were taken stay noted.
    """
    await uow.session.execute(delete(PoolToken))
    if keep_listeners:
        return 0
    trusted = update(Listener).where(Listener.revoked_at.is_(None), Listener.exited_at.is_(None))
    revoked: Any = await uow.session.execute(trusted.values(revoked_at=uow.now(), exited_at=uow.now()))
    return int(revoked.rowcount)
