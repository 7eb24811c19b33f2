"""What assessment results look like on the wire."""

from __future__ import annotations

from typing import Final

from terrapod_core.assessments import queries
from terrapod_core.authz import Authorizer
from terrapod_core.jsonapi import Includes, Resource, attr, to_one

_SELF: Final = "/api/v2/assessment-results/{id}"

ASSESSMENT_RESULT: Final = Resource(
    type="assessment-results",
    attributes=[
        attr("drifted"),
        attr("succeeded"),
        attr("error_message"),
        # HashiCorp's pages say so, its OpenAPI document and clients as above.
        attr("error_msg", from_=lambda result: result.error_message),
        attr("resources_drifted"),
        attr("resources_undrifted"),
        attr("all_checks_succeeded"),
        attr("checks_passed"),
        attr("checks_failed"),
        attr("checks_errored"),
        attr("checks_unknown"),
        attr("created_at"),
    ],
    relationships=[
        to_one("workspace", "workspaces", related="/api/v2/workspaces/{workspace_id}"),
        to_one("run", "runs", related="/api/v2/runs/{run_id}"),
        to_one("source", "plans", id_from="plan_id", related="/api/v2/plans/{plan_id}"),
    ],
    links={
        "self": _SELF,
        "json-output": f"{_SELF}/json-output",
        "json-schema": f"{_SELF}/json-schema",
        "sanitized-plan": f"{_SELF}/sanitized-plan",
        "log-output": f"{_SELF}/log-output",
    },
)


def includes(registry: Includes, authz: Authorizer) -> None:
    """Let `include=current_assessment_result` work on workspaces."""
    registry.add(ASSESSMENT_RESULT, lambda session, actor, ids: queries.readable(session, authz, actor, ids))
