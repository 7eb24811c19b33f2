"""Where a workspace's runs are carried out: as its project says, or as it says itself."""

from __future__ import annotations

from sqlalchemy.orm import Session

from terrapod_core.agents import check_use
from terrapod_core.authz import Actor, Authorizer
from terrapod_core.projects import Project
from terrapod_core.projects.execution import Execution, Said
from terrapod_core.workspaces.models import Workspace


def chosen(
    session: Session, authz: Authorizer, actor: Actor, said: Said, project: Project, workspace: Workspace | None
) -> dict[str, object]:
    """The columns after a document, of a workspace that is or will be in `project`; `None` for a new one, which inherits by default.

    Raises `Invalid` for a pool that does not go with the mode or that the actor may not read, `Forbidden` for one that it may not use.
    To take what the project says needs no right on the pool: who set it there had that.
    """
    inherits = workspace is None or workspace.inherits_execution_mode
    if said.own is False or (inherits and said.own is None and not said.names):
        return columns(said.agrees(project.execution), inherits=True)
    before = project.execution if workspace is None else workspace.execution
    after = said.after(before)
    if after.pool_id is not None and (inherits or after != before):
        check_use(authz, session, actor, after.pool_id, said.pool_pointer)
    return columns(after, inherits=False)


def inherit(workspace: Workspace, project: Project) -> dict[str, object]:
    """Let a workspace that inherits have what the project says; what of it that changes, for the audit."""
    before = workspace.execution
    if workspace.inherits_execution_mode:
        for name, value in columns(project.execution, inherits=True).items():
            setattr(workspace, name, value)
    return {} if workspace.execution == before else audited(workspace)


def audited(workspace: Workspace) -> dict[str, object]:
    """What the audit says of it."""
    return {"execution_mode": workspace.execution_mode, "agent_pool_id": workspace.agent_pool_id}


def columns(execution: Execution, *, inherits: bool) -> dict[str, object]:
    """As it stands in the row of a workspace."""
    return {"execution_mode": execution.mode.value, "agent_pool_id": execution.pool_id, "inherits_execution_mode": inherits}
