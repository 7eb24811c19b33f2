"""Assessments: starting one, what they found, and the documents of their plans."""

from __future__ import annotations

from typing import Final

from tests.support.access.needs import On, P, Row, read

_RESULT = "GET /api/v2/assessment-results/<result_id>"

ROWS: Final[dict[str, Row]] = {
    "POST /api/v2/workspaces/<workspace_id>/actions/assess": Row(On(P.RUN_PLAN)),
    "GET /api/v2/workspaces/<workspace_id>/current-assessment-result": read(P.RUN_READ),
    _RESULT: read(P.RUN_READ),
    f"{_RESULT}/json-output": read(P.PLAN_JSON_READ),
    f"{_RESULT}/json-schema": read(P.RUN_READ),
    f"{_RESULT}/sanitized-plan": read(P.RUN_READ),
    f"{_RESULT}/log-output": read(P.RUN_READ),
}

LATER: Final[dict[str, str]] = {}
