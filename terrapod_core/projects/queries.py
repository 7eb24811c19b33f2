"""Reading projects. Everything here runs over a session of `Database.read` or `UnitOfWork.run`."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from sqlalchemy import Select, func, or_, select
from sqlalchemy.orm import Session

from terrapod_core.authz import Actor, Authorizer
from terrapod_core.jsonapi import Page, Query
from terrapod_core.organizations import DEFAULT_PROJECT_ID
from terrapod_core.projects.execution import Execution
from terrapod_core.projects.models import GUARD, Project


class WorkspacesInProjects(Protocol):
    """What projects need to know of the workspaces in them; the workspaces' room answers."""

    def count(self, session: Session, actor: Actor, project_ids: Sequence[str]) -> Mapping[str, int]:
        """How many workspaces the actor sees in each of these projects; those without any may be left out."""
        ...

    def of(self, actor: Actor) -> Select[str]:
        """The ids of the projects in which the actor sees a workspace."""
        ...

    def hold(self, session: Session, project_id: str) -> None:
        """Keep those that inherit the project's execution mode from changing; comes before the lock of the project's row."""
        ...

    def follow(self, session: Session, project_id: str, execution: Execution, now: datetime) -> int:
        """Let those that inherit the project's execution mode have this one from now on; how many there are."""
        ...


def by_id(session: Session, project_id: str) -> Project | None:
    """The project, or `None`; says nothing about who may see it."""
    return session.execute(select(Project).where(Project.id == project_id)).scalar_one_or_none()


def for_update(session: Session, project_id: str) -> Project | None:
    """The same, with its row locked until the transaction ends."""
    query = select(Project).where(Project.id == project_id).with_for_update().execution_options(populate_existing=True)
    return session.execute(query).scalar_one_or_none()


def for_share(session: Session, project_id: str) -> Project | None:
    """The same, with its row kept from changing: for whoever takes something of it over into a row of their own."""
    query = select(Project).where(Project.id == project_id).with_for_update(read=True).execution_options(populate_existing=True)
    return session.execute(query).scalar_one_or_none()


def there(session: Session, project_ids: Collection[str]) -> Collection[str]:
    """Those of these ids that are projects."""
    return set(session.execute(select(Project.id).where(Project.id.in_(project_ids))).scalars())


def name_of(session: Session, project_id: str | None) -> str:
    """The project's name; empty for none."""
    return session.execute(select(Project.name).where(Project.id == project_id)).scalar_one_or_none() or ""


def visible(authz: Authorizer, workspaces: WorkspacesInProjects, actor: Actor) -> Select[Project]:
    """The projects the actor may read: the default one, what the gate says, and those of the workspaces that they see."""
    if actor.reads_everything:
        return select(Project)
    allowed = authz.visible(select(Project.id), actor, GUARD)
    return select(Project).where(or_(Project.id == DEFAULT_PROJECT_ID, Project.id.in_(allowed), Project.id.in_(workspaces.of(actor))))


def listing(session: Session, authz: Authorizer, workspaces: WorkspacesInProjects, actor: Actor, query: Query) -> Page[Project]:
    """One page of what the actor may read. `filter[names]` is a list without regard to case and wins over `q`."""
    found = visible(authz, workspaces, actor)
    names = query.filter_list("names")
    if names:
        found = found.where(func.lower(Project.name).in_([name.lower() for name in names]))
    elif query.q:
        found = found.where(Project.name.icontains(query.q, autoescape=True))
    descending = any(sort.name == "name" and sort.descending for sort in query.sort)
    order = Project.name.desc() if descending else Project.name.asc()
    total = session.execute(select(func.count()).select_from(found.subquery())).scalar_one()
    rows = session.execute(found.order_by(order).offset(query.page.offset).limit(query.page.size)).scalars().all()
    return Page(rows, query.page.number, query.page.size, total)


def with_counts(session: Session, workspaces: WorkspacesInProjects, actor: Actor, projects: Sequence[Project]) -> Sequence[Project]:
    """The same projects, each knowing its `workspace_count`; one query for all of them."""
    counts = workspaces.count(session, actor, [project.id for project in projects]) if projects else {}
    for project in projects:
        project.workspace_count = counts.get(project.id, 0)
    return projects
