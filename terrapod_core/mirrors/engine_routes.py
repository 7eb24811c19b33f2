"""`/binary-cache`: terraform and tofu for whoever has a credential, and their care for platform admins."""

from __future__ import annotations

from quart import Blueprint, Response

from terrapod_core.mirrors import addresses
from terrapod_core.mirrors.documents import WarmEngines
from terrapod_core.mirrors.engines import EngineCache
from terrapod_core.mirrors.resources import ENGINE, WARMING
from terrapod_core.mirrors.warming import EngineCare
from terrapod_core.web import Web


def routes(cache: EngineCache, care: EngineCare, web: Web) -> Blueprint:
    """Mounted at `/api/v2`."""
    engines = Blueprint("binary_cache", __name__)

    @engines.get("/binary-cache/<tool>/<version>/<os>/<arch>")
    async def download(tool: str, version: str, os: str, arch: str) -> Response:
        link = await cache.download(await web.actor(engine=True), tool, version, addresses.platform(os, arch))
        where = web.absolute(link) if link.startswith("/") else link
        headers = {"Location": where, "Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
        return Response(b"", status=302, headers=headers, content_type="text/plain")

    @engines.get("/admin/binary-cache")
    async def list_cached() -> Response:
        return await web.listing(ENGINE, await care.list(await web.actor(), web.query().page))

    @engines.post("/admin/binary-cache/warm")
    async def warm() -> Response:
        actor = await web.actor()
        made = await care.warm(actor, await web.body(WarmEngines))
        response = await web.unpaged(WARMING, made)
        response.status_code = 200 if all(each.row.finished_at is not None for each in made) else 202
        return response

    @engines.get("/admin/binary-cache/warm/<warming_id>")
    async def show_warming(warming_id: str) -> Response:
        return await web.document(WARMING, await care.read(await web.actor(), warming_id))

    @engines.delete("/admin/binary-cache/<tool>/<version>/<os>/<arch>")
    async def purge(tool: str, version: str, os: str, arch: str) -> Response:
        await care.purge(await web.actor(), tool, version, addresses.platform(os, arch))
        return web.empty()

    return engines
