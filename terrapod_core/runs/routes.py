"""`/runs`: the contract's paths and the ones real clients call, side by side. Plans and applies are in `plan_routes.py`."""

from __future__ import annotations

from quart import Blueprint, Response, redirect, request

from terrapod_core import organizations
from terrapod_core.authz.gate import missing
from terrapod_core.configurations import Configurations
from terrapod_core.configurations.resources import CONFIGURATION_VERSION
from terrapod_core.runs.again import Again
from terrapod_core.runs.filters import RunFilters
from terrapod_core.runs.requests import CreateRun
from terrapod_core.runs.resources import CAPACITY, RUN, Capacity
from terrapod_core.runs.service import Runs
from terrapod_core.web import Web


def routes(runs: Runs, again: Again, configurations: Configurations, web: Web) -> Blueprint:
    """Everything under `/api/v2` that has to do with runs as a whole."""
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

    return api
