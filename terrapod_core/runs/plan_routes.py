"""`/plans`, `/applies`, and the same by their run's id: the phases of a run and what a plan has left."""

from __future__ import annotations

from typing import Final

from quart import Blueprint, Response

from terrapod_core.authz import Permission
from terrapod_core.errors import NotFound
from terrapod_core.runs import plan_json
from terrapod_core.runs.links import Links
from terrapod_core.runs.models import Phase
from terrapod_core.runs.plan_json import PlanRedactor
from terrapod_core.runs.queries import RunView
from terrapod_core.runs.resources import APPLY, PLAN
from terrapod_core.runs.service import Runs
from terrapod_core.storage import ObjectKind, Objects
from terrapod_core.web import Web

JSON: Final = "application/json"


class PlanDocuments:
    """Answers for plans that the caller found with the permission that each needs: `NEEDS` the JSON, reading runs the others.

    A plan that has not ended is answered with 204. Raises `Gone` for what retention has removed.
    """

    NEEDS: Final = Permission.PLAN_JSON_READ

    def __init__(self, objects: Objects, redactor: PlanRedactor, web: Web) -> None:
        self._objects = objects
        self._redactor = redactor
        self._web = web

    async def json_output(self, plan: Phase, _view: RunView) -> Response:
        """All of it."""
        plan_json.check_kept(plan)
        if plan.plan_json_key is None:
            return self._web.empty(204)
        chunks = self._objects.get(ObjectKind.PLAN_JSON, plan.id, plan.plan_json_key)
        return self._web.download(chunks, size=None, content_type=JSON)

    async def redacted(self, plan: Phase, view: RunView) -> Response:
        """Without sensitive values; `NotFound` when it has no JSON."""
        if not plan.is_final:
            return self._web.empty(204)
        pieces, size = await self._redactor.redacted(plan, view.workspace.id)
        return self._web.download(pieces, size=size, content_type=JSON)

    async def json_schema(self, plan: Phase, _view: RunView) -> Response:
        """The schemas of its providers; `NotFound` when it has none."""
        if not plan.is_final:
            return self._web.empty(204)
        if plan.provider_schemas_key is None:
            raise NotFound("this plan has no provider schemas")
        chunks = self._objects.get(ObjectKind.PROVIDER_SCHEMAS, plan.id, plan.provider_schemas_key)
        return self._web.download(chunks, size=None, content_type=JSON)


def plan_routes(runs: Runs, links: Links, documents: PlanDocuments, web: Web) -> Blueprint:
    """Mounted beside `routes`."""
    api = Blueprint("plans", __name__, url_prefix="/api/v2")

    @api.get("/runs/<run_id>/plan")
    async def run_plan(run_id: str) -> Response:
        return await show_plan((await runs.show(await web.actor(), run_id)).run.plan_id)

    @api.get("/runs/<run_id>/apply")
    async def run_apply(run_id: str) -> Response:
        return await show_apply((await runs.show(await web.actor(), run_id)).run.apply_id)

    @api.get("/plans/<plan_id>")
    async def show_plan(plan_id: str) -> Response:
        phase, view = await runs.phase(await web.actor(), _of_kind(plan_id, "plan"))
        return await web.document(PLAN, links.view(phase, view.workspace))

    @api.get("/applies/<apply_id>")
    async def show_apply(apply_id: str) -> Response:
        phase, view = await runs.phase(await web.actor(), _of_kind(apply_id, "apply"))
        return await web.document(APPLY, links.view(phase, view.workspace))

    @api.get("/runs/<run_id>/plan/json-output")
    async def run_json_output(run_id: str) -> Response:
        return await json_output((await runs.show(await web.actor(), run_id)).run.plan_id)

    @api.get("/plans/<plan_id>/json-output")
    async def json_output(plan_id: str) -> Response:
        return await documents.json_output(*await runs.phase(await web.actor(), _of_kind(plan_id, "plan"), documents.NEEDS))

    @api.get("/plans/<plan_id>/json-output-redacted")
    async def json_output_redacted(plan_id: str) -> Response:
        return await documents.redacted(*await runs.phase(await web.actor(), _of_kind(plan_id, "plan")))

    @api.get("/runs/<run_id>/plan/json-schema")
    async def run_json_schema(run_id: str) -> Response:
        return await json_schema((await runs.show(await web.actor(), run_id)).run.plan_id)

    @api.get("/plans/<plan_id>/json-schema")
    async def json_schema(plan_id: str) -> Response:
        return await documents.json_schema(*await runs.phase(await web.actor(), _of_kind(plan_id, "plan")))

    return api


def _of_kind(phase_id: str, kind: str) -> str:
    if not phase_id.startswith(f"{kind}-"):
        raise NotFound(f"there is no such {kind}, or you may not see it")
    return phase_id
