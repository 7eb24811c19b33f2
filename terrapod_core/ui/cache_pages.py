"""The page about the caches, for platform admins and auditors."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlencode

from markupsafe import Markup
from quart import Blueprint, Response, request

from terrapod_core.errors import NotFound
from terrapod_core.jsonapi import PageRequest
from terrapod_core.mirrors.caches import Caches, Narrowed
from terrapod_core.ui.pages import Pages, wanted_page

KINDS: Final = {"providers": "provider", "modules": "module", "engines": "engine"}
ROWS: Final = 30
FAILING: Final = 50
LONGEST: Final = 400


def cache_pages(pages: Pages, caches: Caches) -> Blueprint:
    """`/app/caches`."""
    blueprint = Blueprint("cache_pages", __name__)

    @blueprint.get("/app/caches")
    async def show() -> Response:
        actor = await pages.actor()
        held = await caches.held(actor)
        kind = request.args.get("kind", "providers")
        if kind not in KINDS:
            raise NotFound("there is no such cache")
        search = (request.args.get("search") or "").strip()[:LONGEST]
        found = await caches.packages(actor, KINDS[kind], Narrowed(search=search or None, cached=True), wanted_page("page", ROWS))
        failing = await caches.sources(actor, Narrowed(), PageRequest(1, FAILING), failing=True)
        return pages.show(
            "caches.html", actor, kinds=KINDS, kind=kind, held=held, failing=failing, found=found, search=search, turned=_turned, size=shown
        )

    return blueprint


def shown(size: int | None) -> str:
    """A number of bytes, as people say it."""
    value = float(size or 0)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"


def _turned(**changed: str | int) -> Markup:
    """The query of this page with some of it changed; what is changed but for the page begins at the first."""
    now = {name: value for name, value in request.args.items() if name in ("kind", "search") and len(value) <= LONGEST}
    return Markup(urlencode({**now, **changed}))  # noqa: S704 - encoded for a URL
