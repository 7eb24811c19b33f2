"""`/binary-cache`: terraform and tofu for whoever has a credential, and their care for platform admins."""

from __future__ import annotations

from quart import Blueprint, Response, request

from terrapod_core.errors import NotFound
from terrapod_core.mirrors import addresses
from terrapod_core.mirrors.documents import WarmEngines
from terrapod_core.mirrors.engines import Engine, EngineCache
from terrapod_core.mirrors.filling import Packages
from terrapod_core.mirrors.resources import ENGINE, WARMING
from terrapod_core.mirrors.warming import EngineCare
from terrapod_core.storage import Archives, Capability, Purpose
from terrapod_core.web import CapabilityRoutes, Web, stream
from terrapod_core.web.archives import Archive, answer, begins

ZIP = "application/zip"


def routes(cache: EngineCache, care: EngineCare, web: Web) -> Blueprint:
    """Mounted at `/api/v2`."""
    engines = Blueprint("binary_cache", __name__)

    @engines.get("/binary-cache/<tool>/<version>/<os>/<arch>")
    async def download(tool: str, version: str, os: str, arch: str) -> Response:
        await web.actor(engine=True)
        link = await cache.link(await cache.find(tool, version, addresses.platform(os, arch)))
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


def links(cache: EngineCache, packages: Packages, archives: Archives, capabilities: CapabilityRoutes) -> None:
    """Answer for the links to zips: from the store, or while they come from upstream."""

    async def download(capability: Capability) -> Response:
        engine = await cache.linked(capability.object_id)
        response = await _stored(engine)
        if response is None:
            response = await _passed_on(engine)
        response.headers["Content-Disposition"] = f'attachment; filename="{engine.package.filename}"'
        return response

    async def _stored(engine: Engine) -> Response | None:
        package = engine.package
        if package.object_key is None:
            return None
        try:
            response = await answer(archives, Archive(package.object_key, package.size or 0, package.sha256 or "", ZIP))
        except NotFound:
            return None  # the store lost it: `Packages.read` fetches it anew
        if begins(response):
            packages.given(package.id)
        return response

    async def _passed_on(engine: Engine) -> Response:
        if request.method == "HEAD":
            return Response(b"", content_type=ZIP)
        return stream(await packages.read(engine.release, engine.platform), size=None, content_type=ZIP)

    capabilities.on(Purpose.ENGINE_DOWNLOAD, download)
