"""Assessments: what a comparison of state and world found."""

from __future__ import annotations

from typing import Final

from tests.docs.route_words.section import API, TOKEN, Section

_RESULT = "GET /assessment-results/{result_id}"

ASSESSMENTS: Final = Section(
    "Assessments",
    API,
    TOKEN,
    {
        "POST /workspaces/{workspace_id}/actions/assess": "Plan what was changed outside of terraform, and nothing else; gives the run.",
        "GET /workspaces/{workspace_id}/current-assessment-result": "What a workspace's newest assessment found; 404 before it.",
        _RESULT: "What an assessment found: resources that have drifted, and checks.",
        f"{_RESULT}/json-output": "The plan of an assessment as JSON, with all values; 204 when it left none.",
        f"{_RESULT}/json-schema": "The schemas of the providers in that plan.",
        f"{_RESULT}/sanitized-plan": "The plan of an assessment as JSON, without sensitive values.",
        f"{_RESULT}/log-output": "The log of the plan, whole, or `limit` bytes from `offset`.",
    },
)
