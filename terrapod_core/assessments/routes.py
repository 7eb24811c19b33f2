"""`/assessment-results`: what assessments found, and the documents of the plans they are taken from."""

from __future__ import annotations

from quart import Blueprint, Response, request

from terrapod_core.assessments.resources import ASSESSMENT_RESULT
from terrapod_core.assessments.service import Assessments
from terrapod_core.runs import Logs
from terrapod_core.runs.phase_routes import TEXT, number, whole_log
from terrapod_core.runs.plan_routes import PlanDocuments
from terrapod_core.runs.resources import RUN
from terrapod_core.web import Web


def routes(assessments: Assessments, documents: PlanDocuments, logs: Logs, web: Web) -> Blueprint:
    """Mounted at `/api/v2`."""
    api = Blueprint("assessments", __name__)

    @api.post("/workspaces/<workspace_id>/actions/assess")
    async def assess(workspace_id: str) -> Response:
        return await web.document(RUN, await assessments.start(await web.actor(), workspace_id))

    @api.get("/workspaces/<workspace_id>/current-assessment-result")
    async def current_result(workspace_id: str) -> Response:
        return await web.document(ASSESSMENT_RESULT, await assessments.current(await web.actor(), workspace_id))

    @api.get("/assessment-results/<result_id>")
    async def show_result(result_id: str) -> Response:
        return await web.document(ASSESSMENT_RESULT, await assessments.read(await web.actor(), result_id))

    @api.get("/assessment-results/<result_id>/json-output")
    async def json_output(result_id: str) -> Response:
        return await documents.json_output(*await assessments.plan(await web.actor(), result_id, documents.NEEDS))

    @api.get("/assessment-results/<result_id>/json-schema")
    async def json_schema(result_id: str) -> Response:
        return await documents.json_schema(*await assessments.plan(await web.actor(), result_id))

    @api.get("/assessment-results/<result_id>/sanitized-plan")
    async def sanitized_plan(result_id: str) -> Response:
        return await documents.redacted(*await assessments.plan(await web.actor(), result_id))

    @api.get("/assessment-results/<result_id>/log-output")
    async def log_output(result_id: str) -> Response:
        plan, _ = await assessments.plan(await web.actor(), result_id)
        offset = number("offset", 0)
        if "limit" not in request.args:
            return web.download(whole_log(logs, plan.id, offset), size=None, content_type=TEXT)
        response = Response(await logs.read(plan.id, offset, number("limit")), content_type=TEXT)
        response.headers["Cache-Control"] = "no-store"
        return response

    return api
