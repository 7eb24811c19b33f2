"""The first page, and the files that pages link to."""

from __future__ import annotations

from quart import Blueprint, Response, request

from terrapod_core.errors import NotFound
from terrapod_core.ui.pages import Pages, go
from terrapod_core.ui.token_pages import PATH as TOKENS


def home_pages(pages: Pages) -> Blueprint:
    """`/`, `/app`, `/app/static/…`."""
    blueprint = Blueprint("home_pages", __name__)

    @blueprint.get("/")
    async def root() -> Response:
        return go("/app")

    @blueprint.get("/app")
    async def home() -> Response:
        actor = await pages.actor()
        if pages.workspaces is None:
            return go(TOKENS)
        query = pages.web.query()
        search = (request.args.get("search") or "").strip()[:200]
        found = await pages.workspaces.list(actor, query.page, search or None)
        return pages.show("workspaces.html", actor, found=found, search=search, url=pages.web.base_url())

    @blueprint.get("/app/<org>/workspaces")
    async def workspaces(**_where: str) -> Response:
        return go("/app")

    @blueprint.get("/app/static/<name>")
    async def static(name: str) -> Response:
        asset = pages.renderer.assets.get(name)
        if asset is None:
            raise NotFound("there is no such file")
        response = Response(asset.content, content_type=asset.type)
        current = request.args.get("v") == asset.version
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable" if current else "no-cache"
        response.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
        return response

    return blueprint
