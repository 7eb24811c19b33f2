"""Counting the changes of what can be seen, so that a remembered list knows when it is no longer true."""

from __future__ import annotations

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from terrapod_core.authz.levels import GuardKind
from terrapod_core.authz.models import Visibility
from terrapod_core.db import UnitOfWork


def generation(session: Session, kind: GuardKind) -> int:
    """How many changes there were."""
    return session.execute(select(Visibility.generation).where(Visibility.kind == kind.value)).scalar_one()


async def changed(uow: UnitOfWork, kind: GuardKind) -> None:
    """Note a change of names, labels or owners, in the transaction that makes it.

    The last thing before the commit: the row is locked until then, and everybody who changes something waits for it.
    """
    await uow.session.execute(
        update(Visibility)
        .where(Visibility.kind == kind.value)
        .values(generation=Visibility.generation + 1)
        .execution_options(synchronize_session=False)
    )
