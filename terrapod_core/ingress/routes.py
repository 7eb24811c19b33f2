"""`/vcs-changes`: what a workspace saw in its repository, and what became of it."""

from __future__ import annotations

from quart import Blueprint, Response

from terrapod_core.ingress.resources import CHANGE
from terrapod_core.ingress.service import Changes
from terrapod_core.web import Web


def routes(changes: Changes, web: Web) -> Blueprint:
    """Mounted at `/api/v2`."""
    ingress = Blueprint("ingress", __name__)

    @ingress.get("/workspaces/<workspace_id>/vcs-changes")
    async def list_changes(workspace_id: str) -> Response:
        return await web.listing(CHANGE, await changes.list(await web.actor(), workspace_id, web.query().page))

    @ingress.get("/vcs-changes/<change_id>")
    async def show_change(change_id: str) -> Response:
        return await web.document(CHANGE, await changes.read(await web.actor(), change_id))

    @ingress.post("/vcs-changes/<change_id>/actions/approve")
    async def approve_change(change_id: str) -> Response:
        actor = await web.actor()
        return await web.document(CHANGE, await changes.approve(actor, change_id, await web.comment()))

    @ingress.post("/workspaces/<workspace_id>/actions/look-at-repository")
    async def look_at_repository(workspace_id: str) -> Response:
        await changes.look_now(await web.actor(), workspace_id)
        return web.empty(202)

    return ingress
