"""What uses agent pools, for the agents' room, which is below."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from terrapod_core.authz import Actor, Authorizer
from terrapod_core.projects import Project, queries as project_queries
from terrapod_core.workspaces.models import GUARD, Workspace
from terrapod_core.workspaces.queries import InProjects

MOST_NAMED: Final = 5
"""Of each kind."""


class UsersOfPools:
    """Workspaces whose runs pools carry out, and projects that say so for theirs."""

    def __init__(self, authz: Authorizer) -> None:
        self._authz = authz

    def workspaces(self, session: Session, actor: Actor, pool_ids: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """The ids of the workspaces of each of these pools that the actor may read, by name; one query for all."""
        query = select(Workspace.agent_pool_id, Workspace.id).where(Workspace.agent_pool_id.in_(pool_ids), Workspace.deleted_at.is_(None))
        found: dict[str, list[str]] = {}
        for pool_id, workspace_id in session.execute(self._authz.visible(query, actor, GUARD).order_by(Workspace.name)):
            found.setdefault(pool_id or "", []).append(workspace_id)
        return found

    def described(self, session: Session, actor: Actor, pool_id: str) -> str:
        """How many use the pool, and the names of some that the actor may read; empty when none does."""
        workspaces = select(Workspace.name).where(Workspace.agent_pool_id == pool_id, Workspace.deleted_at.is_(None))
        projects = select(Project.name).where(Project.default_agent_pool_id == pool_id)
        seen = project_queries.visible(self._authz, InProjects(self._authz), actor).with_only_columns(Project.id)
        told = [
            _told(session, "workspace", workspaces, self._authz.visible(workspaces, actor, GUARD).order_by(Workspace.name)),
            _told(session, "project", projects, projects.where(Project.id.in_(seen)).order_by(Project.name)),
        ]
        return " and ".join(each for each in told if each)


def _told(session: Session, noun: str, all_: Select[Any], readable: Select[Any]) -> str:
    number = session.execute(select(func.count()).select_from(all_.subquery())).scalar_one()
    if not number:
        return ""
    names = session.execute(readable.limit(MOST_NAMED)).scalars().all()
    more = ", …" if names and number > len(names) else ""
    return f"{number} {noun}{'' if number == 1 else 's'}" + (f" ({', '.join(names)}{more})" if names else "")
