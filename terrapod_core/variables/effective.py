"""Everything that bears on one workspace's variables, gathered and merged."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import exists, or_, select
from sqlalchemy.orm import Session

from terrapod_core.organizations import DEFAULT_PROJECT_ID
from terrapod_core.variables.models import AssignedProject, AssignedWorkspace, Variable, VariableSet
from terrapod_core.variables.precedence import WITH_PRIORITY, Candidate, InForce, Layer, Origin, RunValue, Tier, merge
from terrapod_core.workspaces import Workspace

NOT_ADMITTED: Final = "the set is shared with all, and no platform admin has admitted this workspace to what all share"


@dataclass(frozen=True)
class Bearing:
    """A set that is meant for a workspace, and as what it comes to it: nowhere, when it is withheld."""

    varset: VariableSet
    origins: Sequence[Origin]


@dataclass(frozen=True)
class Effective:
    """What is in force for a workspace."""

    in_force: Sequence[InForce]
    withheld: Sequence[VariableSet]
    """Sets that would bear on it, were it admitted."""


def of_workspace(session: Session, workspace: Workspace, run: Sequence[RunValue] = ()) -> Effective:
    """The values in force, with those that a run was given on the command line."""
    bearing = sets_of(session, workspace)
    held = _held(session, workspace.id, [each.varset.id for each in bearing if each.origins])
    layers = [Layer(Origin(Tier.WORKSPACE, workspace.name), held[workspace.id]), Layer(Origin(Tier.RUN), run)]
    layers += [Layer(origin, held[each.varset.id]) for each in bearing for origin in each.origins]
    return Effective(merge(layers), [each.varset for each in bearing if not each.origins])


def sets_of(session: Session, workspace: Workspace) -> list[Bearing]:
    """The sets that are meant for the workspace, by name: global ones, those of its project, and its own."""
    assigned = exists().where(AssignedWorkspace.varset_id == VariableSet.id, AssignedWorkspace.workspace_id == workspace.id)
    in_project = exists().where(AssignedProject.varset_id == VariableSet.id, AssignedProject.project_id == workspace.project_id)
    query = select(VariableSet, assigned.label("assigned"), in_project.label("in_project"))
    found = session.execute(query.where(or_(VariableSet.is_global, assigned, in_project)).order_by(VariableSet.name)).all()
    return [
        Bearing(varset, [_origin(varset, tier) for tier in _tiers(workspace, varset, assigned=its_own, in_project=of_project)])
        for varset, its_own, of_project in found
    ]


def _tiers(workspace: Workspace, varset: VariableSet, *, assigned: bool, in_project: bool) -> Iterator[Tier]:
    """As what the set reaches the workspace.

    Anybody makes workspaces, and puts them into the default project: what is given to either is shared with everybody, and
    reaches only workspaces that were admitted, unless the set says otherwise.
    """
    shared = workspace.admitted or varset.unadmitted_workspaces
    if varset.is_global and shared:
        yield Tier.GLOBAL
    if in_project and (shared or workspace.project_id != DEFAULT_PROJECT_ID):
        yield Tier.PROJECT
    if assigned:
        yield Tier.ASSIGNED


def _origin(varset: VariableSet, tier: Tier) -> Origin:
    return Origin(WITH_PRIORITY[tier] if varset.priority else tier, varset.name, varset.id)


def _held(session: Session, workspace_id: str, varset_ids: Sequence[str]) -> dict[str, list[Candidate]]:
    """The variables of the workspace and of the sets, by who holds them."""
    query = select(Variable).where(or_(Variable.workspace_id == workspace_id, Variable.varset_id.in_(varset_ids)))
    held: defaultdict[str, list[Candidate]] = defaultdict(list)
    for variable in session.execute(query).scalars():
        held[variable.workspace_id or variable.varset_id or ""].append(variable)
    return held
