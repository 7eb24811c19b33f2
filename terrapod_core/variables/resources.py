"""What variables and variable sets look like on the wire."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from terrapod_core.authz import Actor
from terrapod_core.jsonapi import ABSENT, Includes, Rendering, Resource, attr, to_many, to_one
from terrapod_core.organizations import NAME
from terrapod_core.variables.models import VariableSet
from terrapod_core.variables.precedence import SCOPES
from terrapod_core.variables.set_queries import ShownSet
from terrapod_core.variables.sets import VariableSets
from terrapod_core.variables.values import ShownVariable


def _origin(variable: ShownVariable) -> Any:
    origin = variable.origin
    if origin is None:
        return ABSENT
    of_set = variable.varset_id is not None
    return {
        "type": "varsets" if of_set else "workspaces",
        "id": variable.varset_id if of_set else variable.workspace_id,
        "name": origin.name,
        "scope": SCOPES[origin.tier],
        "priority": origin.has_priority,
    }


def _holder(variable: ShownVariable) -> str:
    if variable.varset_id is not None:
        return f"/api/v2/varsets/{variable.varset_id}"
    return f"/api/v2/workspaces/{variable.workspace_id}"


def _self(variable: ShownVariable) -> str:
    return f"{_holder(variable)}/{'relationships/' if variable.varset_id is not None else ''}vars/{variable.id}"


def _workspace(variable: ShownVariable) -> Any:
    return variable.workspace_id or ABSENT


def _varset(variable: ShownVariable) -> Any:
    return variable.varset_id or ABSENT


def _if_of_workspace(variable: ShownVariable) -> Any:
    return ABSENT if variable.workspace_id is None else _holder(variable)


def _if_of_varset(variable: ShownVariable) -> Any:
    return ABSENT if variable.varset_id is None else _holder(variable)


# A variable of a set has no `configurable`: go-tfe, and with it terraform, reads that as a workspace and fails on anything else.
VARIABLE: Final = Resource(
    type="vars",
    attributes=[
        attr("key", writable=True),
        attr("value", writable=True),
        attr("sensitive", writable=True),
        attr("category", writable=True),
        attr("hcl", writable=True),
        attr("description", writable=True),
        attr("version_id"),
        attr("created_at"),
        attr("updated_at"),
        attr("origin", from_=_origin),
    ],
    relationships=[
        to_one("configurable", "workspaces", id_from=_workspace, related=_if_of_workspace),
        to_one("workspace", "workspaces", id_from=_workspace, related=_if_of_workspace),
        to_one("varset", "varsets", id_from=_varset, related=_if_of_varset),
    ],
    links={"self": _self},
)


def _permissions(_varset: ShownSet, rendering: Rendering) -> dict[str, bool]:
    may = isinstance(rendering.actor, Actor) and rendering.actor.is_platform_admin
    return {"can-update": may, "can-destroy": may}


VARIABLE_SET: Final = Resource(
    type="varsets",
    attributes=[
        attr("name", writable=True),
        attr("description", writable=True),
        attr("global", writable=True, from_=lambda varset: varset.is_global),
        attr("priority", writable=True),
        attr("unadmitted_workspaces", writable=True),
        attr("var_count", from_=lambda varset: len(varset.var_ids)),
        attr("workspace_count", from_=lambda varset: len(varset.workspace_ids)),
        attr("project_count", from_=lambda varset: len(varset.project_ids)),
        attr("created_at"),
        attr("updated_at"),
        attr("permissions", from_=_permissions),
    ],
    relationships=[
        to_one("organization", "organizations", id_from=lambda _varset: NAME, related=f"/api/v2/organizations/{NAME}"),
        to_one("parent", "organizations", id_from=lambda _varset: NAME, related=f"/api/v2/organizations/{NAME}"),
        to_many("vars", "vars", ids_from="var_ids", writable=True, related="/api/v2/varsets/{id}/relationships/vars"),
        to_many("workspaces", "workspaces", ids_from="workspace_ids", writable=True),
        to_many("projects", "projects", ids_from="project_ids", writable=True),
    ],
    links={"self": "/api/v2/varsets/{id}"},
)


def withheld(varsets: Sequence[VariableSet], reason: str) -> list[dict[str, str]]:
    """The sets that a workspace does not get, by name alone."""
    return [{"type": "varsets", "id": varset.id, "name": varset.name, "reason": reason} for varset in varsets]


def includes(registry: Includes, varsets: VariableSets) -> None:
    """Let `include=vars` work on sets."""
    registry.add(VARIABLE, varsets.variables.load)
