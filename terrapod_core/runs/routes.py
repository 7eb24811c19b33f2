"""`/runs`, `/plans`, `/applies`: the contract's paths and the ones real clients call, side by side."""

from __future__ import annotations

from quart import Blueprint, Response, request

from terrapod_core import organizations
from terrapod_core.authz import Permission
from terrapod_core.errors import NotFound
from terrapod_core.jsonapi import Query
from terrapod_core.runs import plan_json
from terrapod_core.runs.links import Links
from terrapod_core.runs.queries import RunFilters
from terrapod_core.runs.requests import CreateRun
from terrapod_core.runs.resources import APPLY, CAPACITY, PLAN, RUN, RUN_EVENT, Capacity
from terrapod_core.runs.service import Runs
from terrapod_core.storage import ObjectKind, Objects
from terrapod_core.web import Web


def routes(runs: Runs, links: Links, objects: Objects, web: Web) -> Blueprint:
    """Everything under `/api/v2` that has to do with runs."""
    api = Blueprint("runs", __name__, url_prefix="/api/v2")

    @api.post("/runs")
    async def create_run() -> Response:
        actor = await web.actor()
        new = await web.body(CreateRun)
        by_cli = "Terraform-Version" in request.headers or "X-Terraform-Integration" in request.headers
        message = "Triggered via CLI" if by_cli else "Queued manually via the API"
        return await web.document(RUN, await runs.create(actor, new, message=message), status=201)

    @api.get("/runs/<run_id>")
    async def show_run(run_id: str) -> Response:
        return await web.document(RUN, await runs.show(await web.actor(), run_id))

    @api.get("/workspaces/<workspace_id>/runs")
    async def list_workspace_runs(workspace_id: str) -> Response:
        query = web.query()
        return await web.listing(RUN, await runs.page(await web.actor(), query.page, _filters(query), workspace_id))

    @api.get("/organizations/<org>/runs")
    async def list_runs(org: str) -> Response:
        actor = await web.actor()
        organizations.check(org)
        query = web.query()
        return await web.listing(RUN, await runs.page(actor, query.page, _filters(query)))

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

    @api.get("/runs/<run_id>/run-events")
    async def run_events(run_id: str) -> Response:
        return await web.unpaged(RUN_EVENT, await runs.events(await web.actor(), run_id))

    @api.get("/run-events/<event_id>")
    async def run_event(event_id: str) -> Response:
        return await web.document(RUN_EVENT, await runs.event(await web.actor(), event_id))

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
        if phase.plan_json_key is None:
            return web.empty(204)
        chunks = objects.get(ObjectKind.PLAN_JSON, phase.id, phase.plan_json_key)
        return web.download(chunks, size=None, content_type="application/json")

    @api.get("/plans/<plan_id>/json-output-redacted")
    async def json_output_redacted(plan_id: str) -> Response:
        phase, _ = await runs.phase(await web.actor(), _of_kind(plan_id, "plan"))
        if not phase.is_final:
            return web.empty(204)
        return web.json(await plan_json.redacted(objects, phase), content_type="application/json")

    return api


def _of_kind(phase_id: str, kind: str) -> str:
    if not phase_id.startswith(f"{kind}-"):
        raise NotFound(f"there is no such {kind}, or you may not see it")
    return phase_id


def _filters(query: Query) -> RunFilters:
    return RunFilters(
        statuses=query.filter_list("status"),
        operations=query.filter_list("operation"),
        sources=query.filter_list("source"),
        workspace_names=query.filter_list("workspace_names"),
        text=query.search("basic"),
    )
