"""The new life that a restore begins: nothing that was handed out in the former one counts any more."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Final

from sqlalchemy import delete, update

from terrapod_core import __version__
from terrapod_core.accounts import restored as accounts
from terrapod_core.agents import restored as agents
from terrapod_core.audit import record
from terrapod_core.audit.segments import begin_segment
from terrapod_core.authz import SYSTEM
from terrapod_core.backup.records import Header
from terrapod_core.db import EventHead, ToldEvent, UnitOfWork
from terrapod_core.jobs.models import Job
from terrapod_core.jobs.presence import Process
from terrapod_core.runs import Logs, restored as runs
from terrapod_core.secrets.models import INSTANCE_ID, Instance
from terrapod_core.storage.holds import BackupHold
from terrapod_core.storage.named import NAMED
from terrapod_core.workspaces import Workspaces

UNTOLD: Final = 1_000_000
"""Ids of events that the former life may have told after the backup was made. Whoever has seen one is told to begin anew."""


@dataclass(frozen=True)
class Kept:
    """What may outlive a restore."""

    tokens: bool = False
    """API tokens: those too that were revoked after the backup was made."""
    listeners: bool = False
    """Likewise the listeners of agent pools."""


@dataclass(frozen=True)
class Ended:
    """What the new life ended."""

    runs: int
    listeners: int
    segment: int | None
    """Number of the audit chain's new segment."""


async def begin_epoch(uow: UnitOfWork, workspaces: Workspaces, logs: Logs, header: Header, kept: Kept) -> Ended:
    """In the restore's own transaction. Links, phase tokens and the like end by the epoch itself, the rest by its rows."""
    await uow.session.execute(update(Instance).where(Instance.id == INSTANCE_ID).values(epoch=secrets.token_hex(16), restored_at=uow.now()))
    await accounts.end_credentials(uow, keep_tokens=kept.tokens)
    listeners = await agents.end_credentials(uow, keep_listeners=kept.listeners)
    for named in NAMED:
        if not named.backed_up:
            await uow.session.execute(named.forget())
    await uow.session.execute(delete(BackupHold))
    await uow.session.execute(delete(Process))
    await uow.session.execute(update(Job).values(claimed_until=None))
    await uow.session.execute(delete(ToldEvent))
    await uow.session.execute(update(EventHead).values(last=EventHead.last + UNTOLD, swept=EventHead.last + UNTOLD))
    ended = await runs.end_all(uow, workspaces, logs, header.made_at)
    segment = await begin_segment(uow)
    record(
        uow,
        SYSTEM,
        "instance.restored",
        "instances",
        header.instance,
        made_at=header.made_at.isoformat(timespec="seconds"),
        made_by=header.version,
        version=__version__,
        database=header.database,
        storage=header.storage,
        tokens_kept=kept.tokens,
        listeners_kept=kept.listeners,
        runs_ended=ended,
        segment=segment,
    )
    await uow.flush()
    return Ended(ended, listeners, segment)
