"""Who is served next, across workspaces: applies first, the oldest before all; then plans, in turns.

Plan-only runs pass by the queue of their workspace, so one person or one workspace could have a thousand plans queued. They
take turns instead. A plan's round is how many plans of the same person would be carried out at once if it were started; rounds
are served one after the other, and within a round the person goes first whose last start is longest ago. Among one person's
plans the same goes by workspace. So a newcomer waits for one plan of everybody else at most, and whoever has a thousand loses
nothing by it while nobody else wants a runner.

Nothing is written for that but the moment of each launch: the order is one query over what is queued and what was launched lately.
The server's own runner and each agent pool have turns of their own: who waits for one gains nothing by the others.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import ColumnElement, Select, and_, case, func, null, or_, select, true
from sqlalchemy.orm import Session

from terrapod_core.runs.models import Phase, Run
from terrapod_core.runs.status import RUNNING, PhaseStatus, RunStatus
from terrapod_core.workspaces import Workspace

REMEMBERED: Final = timedelta(hours=1)
"""How long a start counts as somebody's last one; whoever had none for this long goes first in their round."""

MOST: Final = 50
"""Phases looked at in one pass of the dispatcher; more runners than that do not become free at once."""

LIVE: Final = (PhaseStatus.QUEUED.value, PhaseStatus.RUNNING.value)
"""What a phase is that some runner has, or may have."""


UNTAKEN: Final = and_(Phase.status == PhaseStatus.QUEUED.value, Phase.lease_expires_at.is_(None))
"""Of the phases those that wait and that no runner has."""

OF_SERVER: Final = Workspace.agent_pool_id.is_(None)
"""Of the phases those that the server launches itself."""


def of_pool(pool_id: str) -> ColumnElement[bool]:
    """Of the phases those that the listeners of this pool carry out."""
    return Workspace.agent_pool_id == pool_id


def launchable(session: Session, now: datetime, creators: Collection[str] | None = None) -> list[Phase]:
    """Queued phases of the server that nobody has, in the order in which they are to be launched; the first fifty.

    `creators` (ids) are those whose runs may be launched; `None`: everybody's.
    """
    ids = [row.id for row in session.execute(in_turn(now, creators, OF_SERVER).limit(MOST))]
    found = {phase.id: phase for phase in session.execute(select(Phase).where(Phase.id.in_(ids))).scalars()}
    return [found[each] for each in ids if each in found]


def launched(session: Session) -> list[Phase]:
    """Phases that some runner has, or should have; the server's and the listeners'."""
    return list(session.execute(select(Phase).where(Phase.status.in_(LIVE), Phase.lease_expires_at.is_not(None))).scalars())


def in_turn(now: datetime, creators: Collection[str] | None = None, whose: ColumnElement[bool] | None = None) -> Select[str, str]:
    """Phase and run of everything that is queued and that no runner has, in the order of service; of these creators alone.

    `whose` (`OF_SERVER`, `of_pool`) says who carries it out; `None` for all together.
    """
    here = true() if whose is None else whose
    queued = [here, UNTAKEN]
    if creators is not None:
        queued.append(Run.created_by_id.in_(creators))
    person = func.coalesce(Run.created_by_id, Run.workspace_id)
    at_work = case((Phase.lease_expires_at.is_not(None), 1), else_=0)
    served = (
        select(
            person.label("person"),
            Run.workspace_id.label("workspace_id"),
            func.sum(at_work).label("running"),
            func.max(Phase.launched_at).label("last"),
        )
        .join(Run, Run.id == Phase.run_id)
        .join(Workspace, Workspace.id == Run.workspace_id)
        .where(here, or_(Phase.launched_at > now - REMEMBERED, Phase.status.in_(LIVE)))
        .group_by(person, Run.workspace_id)
        .cte("served")
    )
    by_person = (
        select(served.c.person, func.sum(served.c.running).label("running"), func.max(served.c.last).label("last"))
        .group_by(served.c.person)
        .cte("by_person")
    )
    waiting = (
        select(Phase.id, Phase.run_id, Phase.kind, Phase.queued_at, person.label("person"), served.c.last)
        .add_columns(
            (
                func.row_number().over(partition_by=(Phase.kind, person, Run.workspace_id), order_by=(Phase.queued_at, Phase.id))
                + func.coalesce(served.c.running, 0)
            ).label("nth")
        )
        .join(Run, Run.id == Phase.run_id)
        .join(Workspace, Workspace.id == Run.workspace_id)
        .outerjoin(served, (served.c.person == person) & (served.c.workspace_id == Run.workspace_id))
        .where(*queued)
        .cte("waiting")
    )
    own_order = (waiting.c.nth, waiting.c.last.asc().nulls_first(), waiting.c.queued_at, waiting.c.id)
    own_place = func.row_number().over(partition_by=(waiting.c.kind, waiting.c.person), order_by=own_order)
    turns = (
        select(waiting.c.id, waiting.c.run_id, waiting.c.kind, waiting.c.queued_at, by_person.c.last)
        .add_columns((own_place + func.coalesce(by_person.c.running, 0)).label("round"))
        .outerjoin(by_person, by_person.c.person == waiting.c.person)
        .cte("turns")
    )
    is_apply = turns.c.kind == "apply"
    return select(turns.c.id, turns.c.run_id).order_by(
        turns.c.kind,
        case((is_apply, 0), else_=turns.c.round),
        case((is_apply, null()), else_=turns.c.last).asc().nulls_first(),
        turns.c.queued_at,
        turns.c.id,
    )


def order_of_service(session: Session, now: datetime) -> tuple[int, Sequence[str]]:
    """How many runs are being carried out, and the ids of all that wait: those a runner is being started for, those
    that are queued, and those that have not got their workspace yet, each before the next.
    """
    running = session.execute(select(func.count()).select_from(Run).where(Run.status.in_(RUNNING))).scalar_one()
    starting = select(Phase.run_id).where(Phase.status == PhaseStatus.QUEUED.value, Phase.lease_expires_at.is_not(None))
    pending = select(Run.id).where(Run.status == RunStatus.PENDING.value).order_by(Run.created_at, Run.id)
    return running, [
        *session.execute(starting.order_by(Phase.launched_at, Phase.id)).scalars(),
        *(row.run_id for row in session.execute(in_turn(now))),
        *session.execute(pending).scalars(),
    ]
