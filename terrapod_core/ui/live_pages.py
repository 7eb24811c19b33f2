"""What open pages hear: news and logs, on one stream a page, by the browser's session."""

from __future__ import annotations

from quart import Blueprint, Response, request

from terrapod_core.organizations import NAME
from terrapod_core.ui.pages import Pages
from terrapod_core.ui.run_pages import PATH, offset
from terrapod_core.ui.views import LivePages


def live_pages(pages: Pages, live: LivePages) -> Blueprint:
    """`…/stream` beside the pages that open it."""
    blueprint = Blueprint("live_pages", __name__)

    @blueprint.get(PATH + "/stream")
    async def stream_run(run_id: str, **_where: str) -> Response:
        actor = await pages.actor()
        # The page says how much of which log it has: a browser's own Last-Event-ID is one number, and there are two logs.
        offsets = {phase_id: offset(text) for phase_id, text in request.args.items()}
        return pages.stream(actor, await live.run_page(actor, run_id, offsets))

    @blueprint.get("/app/stream")
    async def stream_workspaces() -> Response:
        actor = await pages.actor()
        return pages.stream(actor, [await live.organization(actor, NAME)])

    return blueprint
