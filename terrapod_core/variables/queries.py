"""Reading variables. Synchronous, over a session of `Database.read` or `UnitOfWork.run`; values stay sealed."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from terrapod_core.variables.models import Variable


def of_workspace(session: Session, workspace_id: str) -> Sequence[Variable]:
    """All variables of the workspace, by category and key."""
    query = select(Variable).where(Variable.workspace_id == workspace_id).order_by(Variable.category, Variable.key)
    return session.execute(query).scalars().all()


def by_id(session: Session, variable_id: str) -> Variable | None:
    """The variable, or `None`."""
    return session.execute(select(Variable).where(Variable.id == variable_id)).scalar_one_or_none()


def for_update(session: Session, variable_id: str) -> Variable | None:
    """The same, with its row locked until the transaction ends."""
    query = select(Variable).where(Variable.id == variable_id).with_for_update().execution_options(populate_existing=True)
    return session.execute(query).scalar_one_or_none()
