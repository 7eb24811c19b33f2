"""`/runs`, `/plans`, `/applies`: the contract's paths and the ones real clients call, side by side."""

from __future__ import annotations

from quart import Blueprint, Response, redirect, request

from terrapod_core import organizations
from terrapod_core.authz import Permission
from terrapod_core.authz.gate import missing
from terrapod_core.configurations import Configurations
from terrapod_core.configurations.resources import CONFIGURATION_VERSION
from terrapod_core.errors import NotFound
from terrapod_core.runs import plan_json
from terrapod_core.runs.again import Again
from terrapod_core.runs.filters import RunFilters
from terrapod_core.runs.links import Links
from terrapod_core.runs.plan_json import PlanRedactor
from terrapod_core.runs.requests import CreateRun
from terrapod_core.runs.resources import APPLY, CAPACITY, PLAN, RUN, Capacity
from terrapod_core.runs.service import Runs
from terrapod_core.storage import ObjectKind, Objects
from terrapod_core.web import Web


def routes(
    runs: Runs, again: Again, links: Links, objects: Objects, redactor: PlanRedactor, configurations: Configurations, web: Web
) -> Blueprint:
    """Everything under `/api/v2` that has to do with runs."""
    api = Blueprint("runs", __name__, url_prefix="/api/v2")

    @api.post("/runs")
    async def create_run() -> Response:
        actor = await web.actor()
        new = await web.body(CreateRun)
        by_cli = "Terraform-Version" in request.headers or "X-Terraform-Integration" in request.headers
        message = "Triggered via CLI" if by_cli else "Queued manually via the API"
        return await web.document(RUN, await runs.create(actor, new, message=message), status=201)

    @api.get("/runs")
    async def list_all_runs() -> Response:
        actor = await web.actor()
        query = web.query()
        if (org := request.args.get("organization_name")) is not None:
            organizations.check(org)
        workspace_id = request.args.get("workspace_id")
        if workspace_id is not None and not workspace_id.isprintable():
            raise missing("workspace")  # no database is asked for what it could not hold
        return await web.listing(RUN, await runs.page(actor, query.page, RunFilters.of(query), workspace_id))

    @api.get("/runs/<run_id>")
    async def show_run(run_id: str) -> Response:
        return await web.document(RUN, await runs.show(await web.actor(), run_id))

    @api.get("/workspaces/<workspace_id>/runs")
    async def list_workspace_runs(workspace_id: str) -> Response:
        query = web.query()
        return await web.listing(RUN, await runs.page(await web.actor(), query.page, RunFilters.of(query), workspace_id))

    @api.get("/organizations/<org>/runs")
    async def list_runs(org: str) -> Response:
        actor = await web.actor()
        organizations.check(org)
        query = web.query()
        return await web.listing(RUN, await runs.page(actor, query.page, RunFilters.of(query)))

    @api.get("/organizations/<org>/runs/queue")
    async def queue(org: str) -> Response:
        actor = await web.actor()
        organizations.check(org)
        return await web.listing(RUN, await runs.queue(actor, web.query().page))

    @api.get("/organizations/<org>/capacity")
    async def capacity(org: str) -> Response:
        await web.actor()
        organizations.check(org)
        pending, running = await runs.capacity()
        return await web.document(CAPACITY, Capacity(org, pending, running))

    @api.post("/runs/<run_id>/actions/apply")
    @api.post("/runs/<run_id>/actions/confirm")
    async def confirm(run_id: str) -> Response:
        await runs.confirm(await web.actor(), run_id, await web.comment())
        return web.empty(202)

    @api.post("/runs/<run_id>/actions/discard")
    async def discard(run_id: str) -> Response:
        await runs.discard(await web.actor(), run_id, await web.comment())
        return web.empty(202)

    @api.post("/runs/<run_id>/actions/cancel")
    async def cancel(run_id: str) -> Response:
        await runs.cancel(await web.actor(), run_id, await web.comment())
        return web.empty(202)

    @api.post("/runs/<run_id>/actions/force-cancel")
    async def force_cancel(run_id: str) -> Response:
        await runs.force_cancel(await web.actor(), run_id, await web.comment())
        return web.empty(202)

    @api.post("/runs/<run_id>/actions/force-execute")
    async def force_execute(run_id: str) -> Response:
        await again.force_execute(await web.actor(), run_id, await web.comment())
        return web.empty(202)

    @api.post("/runs/<run_id>/actions/retry")
    async def retry(run_id: str) -> Response:
        actor, comment = await web.actor(), await web.comment()
        return await web.document(RUN, await again.retry(actor, run_id, comment), status=201)

    @api.get("/runs/<run_id>/configuration-version")
    async def run_configuration(run_id: str) -> Response:
        actor = await web.actor()
        run = (await runs.show(actor, run_id)).run
        return await web.document(CONFIGURATION_VERSION, await configurations.read(actor, run.configuration_version_id))

    @api.get("/runs/<run_id>/configuration-version/download")
    async def run_configuration_download(run_id: str) -> Response:
        actor = await web.actor()
        run = (await runs.show(actor, run_id)).run
        link = await configurations.download_link(actor, run.configuration_version_id)
        answer: Response = redirect(web.absolute(link), 302)  # type: ignore[assignment]
        answer.headers["Cache-Control"] = "no-store"
        return answer

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
        phase, _ = await runs.phase(await web.actor(), _of_kind(plan_id, "plan"), Permission.PLAN_JSON_READ)
        plan_json.check_kept(phase)
        if phase.plan_json_key is None:
            return web.empty(204)
        chunks = objects.get(ObjectKind.PLAN_JSON, phase.id, phase.plan_json_key)
        return web.download(chunks, size=None, content_type="application/json")

    @api.get("/plans/<plan_id>/json-output-redacted")
    async def json_output_redacted(plan_id: str) -> Response:
        phase, view = await runs.phase(await web.actor(), _of_kind(plan_id, "plan"))
        if not phase.is_final:
            return web.empty(204)
        pieces, size = await redactor.redacted(phase, view.workspace.id)
        return web.download(pieces, size=size, content_type="application/json")

    @api.get("/runs/<run_id>/plan/json-schema")
    async def run_json_schema(run_id: str) -> Response:
        return await json_schema((await runs.show(await web.actor(), run_id)).run.plan_id)

    @api.get("/plans/<plan_id>/json-schema")
    async def json_schema(plan_id: str) -> Response:
        phase, _ = await runs.phase(await web.actor(), _of_kind(plan_id, "plan"))
        if not phase.is_final:
            return web.empty(204)
        if phase.provider_schemas_key is None:
            raise NotFound("this plan has no provider schemas")
        chunks = objects.get(ObjectKind.PROVIDER_SCHEMAS, phase.id, phase.provider_schemas_key)
        return web.download(chunks, size=None, content_type="application/json")

    return api


def _of_kind(phase_id: str, kind: str) -> str:
    if not phase_id.startswith(f"{kind}-"):
        raise NotFound(f"there is no such {kind}, or you may not see it")
    return phase_id
