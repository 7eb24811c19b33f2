"""Reading variable sets. Synchronous, over a session of `Database.read` or `UnitOfWork.run`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, or_, select
from sqlalchemy.orm import Session, aliased

from terrapod_core.authz import Actor, Authorizer
from terrapod_core.jsonapi import Page, Query
from terrapod_core.organizations import DEFAULT_PROJECT_ID
from terrapod_core.projects import Project, queries as projects
from terrapod_core.projects.models import GUARD as PROJECT_GUARD
from terrapod_core.variables.models import AssignedProject, AssignedWorkspace, Variable, VariableSet
from terrapod_core.workspaces import Workspace, queries as workspaces
from terrapod_core.workspaces.models import GUARD


@dataclass(frozen=True)
class ShownSet:
    """A set as somebody sees it: of what it is assigned to, only what they may read."""

    id: str
    name: str
    description: str
    is_global: bool
    priority: bool
    unadmitted_workspaces: bool
    created_at: datetime
    updated_at: datetime
    var_ids: Sequence[str]
    workspace_ids: Sequence[str]
    project_ids: Sequence[str]


def by_id(session: Session, varset_id: str) -> VariableSet | None:
    """The set, or `None`; says nothing about who may see it."""
    return session.execute(select(VariableSet).where(VariableSet.id == varset_id)).scalar_one_or_none()


def for_update(session: Session, varset_id: str) -> VariableSet | None:
    """The same, with its row locked until the transaction ends: every change of a set or its variables starts here."""
    query = select(VariableSet).where(VariableSet.id == varset_id).with_for_update().execution_options(populate_existing=True)
    return session.execute(query).scalar_one_or_none()


def visible(authz: Authorizer, actor: Actor) -> Select[VariableSet]:
    """The sets that the actor may read: those that reach a workspace which they may read, and those of a project which they own.

    Who sees a workspace is shown the values it gets; a set that is withheld from all that they see is hidden like any other.
    """
    if actor.reads_everything:
        return select(VariableSet)
    seen = authz.visible(select(Workspace.id).where(Workspace.deleted_at.is_(None)), actor, GUARD)
    assigned = select(AssignedWorkspace.varset_id).where(AssignedWorkspace.workspace_id.in_(seen))
    theirs = authz.visible(select(Project.id), actor, PROJECT_GUARD)
    around = seen.with_only_columns(Workspace.project_id).where(Workspace.project_id != DEFAULT_PROJECT_ID)
    in_project = or_(AssignedProject.project_id.in_(theirs), AssignedProject.project_id.in_(around))
    in_default = AssignedProject.project_id == DEFAULT_PROJECT_ID
    return select(VariableSet).where(
        or_(
            VariableSet.id.in_(assigned),
            VariableSet.id.in_(select(AssignedProject.varset_id).where(in_project)),
            and_(VariableSet.is_global, _reaches(seen)),
            and_(
                VariableSet.id.in_(select(AssignedProject.varset_id).where(in_default)),
                _reaches(seen.where(Workspace.project_id == DEFAULT_PROJECT_ID)),
            ),
        )
    )


def _reaches(some: Select[str]) -> ColumnElement[bool]:
    """Whether a set that is shared with all of these workspaces reaches any of them."""
    return and_(some.exists(), or_(VariableSet.unadmitted_workspaces, some.where(Workspace.admitted).exists()))


def listing(session: Session, found: Select[VariableSet], query: Query) -> Page[VariableSet]:
    """One page of these, by name. `q` is a part of the name, `filter[global]` is `true` or `false`."""
    if query.q:
        found = found.where(VariableSet.name.icontains(query.q, autoescape=True))
    if (wanted := query.filter("global")) is not None:
        found = found.where(VariableSet.is_global.is_(wanted == "true"))
    total = session.execute(select(func.count()).select_from(found.subquery())).scalar_one()
    rows = session.execute(found.order_by(VariableSet.name).offset(query.page.offset).limit(query.page.size)).scalars().all()
    return Page(rows, query.page.number, query.page.size, total)


def for_project(found: Select[VariableSet], project_id: str) -> Select[VariableSet]:
    """Those of the sets that are meant for the project's workspaces: global ones, and its own."""
    its_own = select(AssignedProject.varset_id).where(AssignedProject.project_id == project_id)
    return found.where(or_(VariableSet.is_global, VariableSet.id.in_(its_own)))


def shown(session: Session, authz: Authorizer, actor: Actor, varsets: Sequence[VariableSet]) -> list[ShownSet]:
    """The sets with what is in them and what they are assigned to, in three queries for all of them."""
    ids = [varset.id for varset in varsets]
    held = select(Variable.varset_id, Variable.id).where(Variable.varset_id.in_(ids)).order_by(Variable.category, Variable.key)
    assigned = select(AssignedWorkspace.varset_id, Workspace.id).join(Workspace, Workspace.id == AssignedWorkspace.workspace_id)
    assigned = assigned.where(AssignedWorkspace.varset_id.in_(ids), Workspace.deleted_at.is_(None)).order_by(Workspace.name)
    seen = projects.visible(authz, workspaces.InProjects(authz), actor).with_only_columns(Project.id)
    given = select(AssignedProject.varset_id, Project.id).join(Project, Project.id == AssignedProject.project_id)
    given = given.where(AssignedProject.varset_id.in_(ids), Project.id.in_(seen)).order_by(Project.name)
    vars_of, workspaces_of, projects_of = (_grouped(session, query) for query in (held, authz.visible(assigned, actor, GUARD), given))
    return [
        ShownSet(
            id=varset.id,
            name=varset.name,
            description=varset.description,
            is_global=varset.is_global,
            priority=varset.priority,
            unadmitted_workspaces=varset.unadmitted_workspaces,
            created_at=varset.created_at,
            updated_at=varset.updated_at,
            var_ids=vars_of.get(varset.id, ()),
            workspace_ids=workspaces_of.get(varset.id, ()),
            project_ids=projects_of.get(varset.id, ()),
        )
        for varset in varsets
    ]


def variables_page(session: Session, varset_id: str, query: Query) -> Page[Variable]:
    """One page of a set's variables, by category and key."""
    found = select(Variable).where(Variable.varset_id == varset_id)
    total = session.execute(select(func.count()).select_from(found.subquery())).scalar_one()
    ordered = found.order_by(Variable.category, Variable.key).offset(query.page.offset).limit(query.page.size)
    return Page(session.execute(ordered).scalars().all(), query.page.number, query.page.size, total)


def variables_by_id(session: Session, authz: Authorizer, actor: Actor, variable_ids: Sequence[str]) -> Sequence[Variable]:
    """Those of the variables that are of sets which the actor may read."""
    readable = visible(authz, actor).with_only_columns(VariableSet.id)
    query = select(Variable).where(Variable.id.in_(variable_ids), Variable.varset_id.in_(readable))
    return session.execute(query).scalars().all()


def in_another_global_set(session: Session, varset_id: str) -> tuple[str, str] | None:
    """A key of this set that another global set holds in the same category, and that set's name; `None` when there is none."""
    other = aliased(Variable)
    query = (
        select(Variable.key, VariableSet.name)
        .join(other, and_(other.category == Variable.category, other.key == Variable.key, other.varset_id != Variable.varset_id))
        .join(VariableSet, and_(VariableSet.id == other.varset_id, VariableSet.is_global))
        .where(Variable.varset_id == varset_id)
        .order_by(Variable.key, VariableSet.name)
        .limit(1)
    )
    found = session.execute(query).first()
    return (found.key, found.name) if found is not None else None


def _grouped(session: Session, query: Select[*tuple[Any, ...]]) -> Mapping[str, Sequence[str]]:
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for varset_id, ident in session.execute(query):
        groups[varset_id].append(ident)
    return groups
