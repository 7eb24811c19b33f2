"""`/run-events` and `/comments`: what happened to a run, and what was said about it."""

from __future__ import annotations

from quart import Blueprint, Response

from terrapod_core.runs.comments import Comments, CreateComment
from terrapod_core.runs.resources import COMMENT, RUN_EVENT
from terrapod_core.runs.service import Runs
from terrapod_core.web import Web


def routes(runs: Runs, comments: Comments, web: Web) -> Blueprint:
    """Mounted at `/api/v2`."""
    api = Blueprint("run_comments", __name__)

    @api.get("/runs/<run_id>/run-events")
    async def run_events(run_id: str) -> Response:
        return await web.unpaged(RUN_EVENT, await runs.events(await web.actor(), run_id))

    @api.get("/run-events/<event_id>")
    async def run_event(event_id: str) -> Response:
        return await web.document(RUN_EVENT, await runs.event(await web.actor(), event_id))

    @api.get("/runs/<run_id>/comments")
    async def list_comments(run_id: str) -> Response:
        return await web.listing(COMMENT, await comments.list(await web.actor(), run_id, web.query().page))

    @api.post("/runs/<run_id>/comments")
    async def create_comment(run_id: str) -> Response:
        actor = await web.actor()
        return await web.document(COMMENT, await comments.create(actor, run_id, await web.body(CreateComment)), status=201)

    @api.get("/comments/<comment_id>")
    async def show_comment(comment_id: str) -> Response:
        return await web.document(COMMENT, await comments.read(await web.actor(), comment_id))

    return api
