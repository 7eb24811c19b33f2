"""Streams for programs: events of runs, workspaces and the organization, and logs as they grow."""

from __future__ import annotations

from quart import Blueprint, Response, request

from terrapod_core.authz.gate import missing
from terrapod_core.errors import BadRequest
from terrapod_core.live.service import Live
from terrapod_core.web import Web

MOST_DIGITS = 15


def routes(live: Live, web: Web) -> Blueprint:
    """What goes on until the client hangs up; all of it as `text/event-stream`."""
    api = Blueprint("live", __name__, url_prefix="/api/v2")

    @api.get("/runs/<run_id>/events")
    async def watch_run(run_id: str) -> Response:
        actor = await web.actor()
        return web.stream(actor, [await live.run(actor, run_id, _last_seen())])

    @api.get("/workspaces/<workspace_id>/events")
    async def watch_workspace(workspace_id: str) -> Response:
        actor = await web.actor()
        return web.stream(actor, [await live.workspace(actor, workspace_id, _last_seen())])

    @api.get("/organizations/<org>/events")
    async def watch_organization(org: str) -> Response:
        actor = await web.actor()
        return web.stream(actor, [await live.organization(actor, org, _last_seen())])

    @api.get("/plans/<plan_id>/log-stream")
    async def follow_plan(plan_id: str) -> Response:
        return await follow(plan_id, "plan")

    @api.get("/applies/<apply_id>/log-stream")
    async def follow_apply(apply_id: str) -> Response:
        return await follow(apply_id, "apply")

    async def follow(phase_id: str, kind: str) -> Response:
        actor = await web.actor()
        if not phase_id.startswith(f"{kind}-"):
            raise missing(kind)
        source = await live.log(actor, phase_id, _offset())
        # 204 tells a browser's EventSource to stay away: there is nothing more.
        return Response(b"", status=204) if source is None else web.stream(actor, [source])

    return api


def _last_seen() -> str | None:
    """The last event that the client saw, as browsers say it, or in the query for those who cannot set a header."""
    return request.headers.get("Last-Event-ID") or request.args.get("last-event-id")


def _offset() -> int:
    text = _last_seen() or "0"
    if not (text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS):
        raise BadRequest("the last event's id must be the number of bytes that you have of the log", parameter="last-event-id")
    return int(text)
