"""Reading what assessments found. Everything here runs over a session of `Database.read` or `UnitOfWork.run`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from terrapod_core.assessments.models import AssessmentResult
from terrapod_core.authz import Actor, Authorizer, Permission
from terrapod_core.runs import Phase, Run, RunStatus
from terrapod_core.runs.models import ASSESSING
from terrapod_core.workspaces import Workspace

BEGUN: Final = (RunStatus.PENDING.value, RunStatus.PLAN_QUEUED.value, RunStatus.PLANNING.value)
"""Where a run is whose plan has not ended."""
_NEWEST: Final = (AssessmentResult.created_at.desc(), AssessmentResult.id.desc())
_APPLIED: Final = 20
"""Applied runs that are looked at, the newest first: more do not end within the moments in which one result is written."""


def by_id(session: Session, result_id: str) -> tuple[AssessmentResult, Workspace] | None:
    """A result and its workspace, or `None`; says nothing about who may see it."""
    query = select(AssessmentResult, Workspace).join(Workspace, Workspace.id == AssessmentResult.workspace_id)
    row = session.execute(query.where(AssessmentResult.id == result_id, Workspace.deleted_at.is_(None))).one_or_none()
    return (row[0], row[1]) if row is not None else None


def readable(session: Session, authz: Authorizer, actor: Actor, result_ids: Sequence[str]) -> list[AssessmentResult]:
    """Those that the actor may see; the loader of `include=current_assessment_result`."""
    query = select(AssessmentResult, Workspace).join(Workspace, Workspace.id == AssessmentResult.workspace_id)
    rows = session.execute(query.where(AssessmentResult.id.in_(result_ids), Workspace.deleted_at.is_(None)))
    return [row[0] for row in rows if authz.allows(actor, Permission.RUN_READ, row[1])]


def is_known(session: Session, run_id: str) -> bool:
    """Whether what this run found is written down."""
    return session.execute(select(AssessmentResult.id).where(AssessmentResult.run_id == run_id)).first() is not None


def run_and_plan(session: Session, run_id: str) -> tuple[Run, Phase] | None:
    """A run with its plan, when its workspace is there."""
    query = select(Run, Phase).join(Phase, Phase.id == Run.plan_id).join(Workspace, Workspace.id == Run.workspace_id)
    row = session.execute(query.where(Run.id == run_id, Workspace.deleted_at.is_(None))).one_or_none()
    return (row[0], row[1]) if row is not None else None


def under_way(session: Session, workspace_id: str) -> str | None:
    """The id of an assessment of the workspace whose plan has not ended; `None` without one."""
    query = select(Run).where(Run.workspace_id == workspace_id, Run.status.in_(BEGUN)).order_by(Run.created_at)
    return next((run.id for run in session.execute(query).scalars() if run.assesses), None)


def applied_since(session: Session, workspace_id: str, moment: datetime) -> bool:
    """Whether a run was applied whose plan compared everything at that moment or later."""
    query = (
        select(Run, Phase)
        .join(Phase, Phase.id == Run.plan_id)
        .where(Run.workspace_id == workspace_id, Run.status == RunStatus.APPLIED.value)
        .order_by(Run.created_at.desc(), Run.id.desc())
        .limit(_APPLIED)
    )
    return any(compared(row[0], row[1], moment) for row in session.execute(query))


def compared(run: Run, plan: Phase, moment: datetime) -> bool:
    """Whether a run's plan compared all of the state with the world, at that moment or later."""
    return run.refresh and not run.target_addrs and plan.finished_at is not None and plan.finished_at >= moment


def too_many(session: Session, workspace_id: str, kept: int) -> Sequence[str]:
    """The ids of a workspace's results beyond its newest `kept`."""
    query = select(AssessmentResult.id).where(AssessmentResult.workspace_id == workspace_id)
    return session.execute(query.order_by(*_NEWEST).offset(kept).limit(1_000)).scalars().all()


def concerned(session: Session, workspace_ids: Collection[str]) -> Collection[str]:
    """Those of the workspaces that had a run which may be an assessment."""
    query = select(Workspace.id).where(Workspace.id.in_(workspace_ids), exists().where(Run.workspace_id == Workspace.id, ASSESSING))
    return session.execute(query).scalars().all()
