"""`/configuration-versions`, and the links behind which archives are uploaded and downloaded."""

from __future__ import annotations

from typing import Final

from quart import Blueprint, Response, redirect, request

from terrapod_core.configurations.resources import CONFIGURATION_VERSION, INGRESS_ATTRIBUTES
from terrapod_core.configurations.service import Configurations, CreateConfigurationVersion
from terrapod_core.storage import Capability, Purpose
from terrapod_core.storage.streams import opened
from terrapod_core.web import CapabilityRoutes, Web, stream

WHAT: Final = "configuration archive"


def routes(service: Configurations, web: Web) -> Blueprint:
    """Mounted at `/api/v2`."""
    configurations = Blueprint("configurations", __name__)

    @configurations.post("/workspaces/<workspace_id>/configuration-versions")
    async def create(workspace_id: str) -> Response:
        actor = await web.actor()
        # The CLI's cloud block says so; go-tfe's word for what it makes.
        source = "terraform+cloud" if request.headers.get("X-Terraform-Integration") == "cloud" else "tfe-api"
        version = await service.create(actor, workspace_id, await web.body(CreateConfigurationVersion), source=source)
        return await web.document(CONFIGURATION_VERSION, version, status=201)

    @configurations.get("/workspaces/<workspace_id>/configuration-versions")
    async def list_versions(workspace_id: str) -> Response:
        page = await service.list(await web.actor(), workspace_id, web.query().page)
        return await web.listing(CONFIGURATION_VERSION, page)

    @configurations.get("/configuration-versions/<version_id>")
    async def show(version_id: str) -> Response:
        return await web.document(CONFIGURATION_VERSION, await service.read(await web.actor(), version_id))

    @configurations.get("/configuration-versions/<version_id>/ingress-attributes")
    async def ingress_attributes(version_id: str) -> Response:
        actor = await web.actor()
        version = await service.read(actor, version_id)
        return web.json(INGRESS_ATTRIBUTES.document(version if version.ingress is not None else None, web.rendering(actor)))

    @configurations.get("/configuration-versions/<version_id>/download")
    async def download(version_id: str) -> Response:
        link = await service.download_link(await web.actor(), version_id)
        answer: Response = redirect(web.absolute(link), 302)  # type: ignore[assignment]
        answer.headers["Cache-Control"] = "no-store"
        return answer

    @configurations.post("/configuration-versions/<version_id>/actions/archive")
    async def archive(version_id: str) -> Response:
        await service.archive(await web.actor(), version_id)
        return web.empty(202)

    return configurations


def links(service: Configurations, web: Web, capabilities: CapabilityRoutes) -> None:
    """Answer for the links of archives."""

    async def upload(capability: Capability) -> Response:
        body = web.upload(web.settings.limits.configuration_bytes, WHAT)
        await service.upload(capability.object_id, body, request.content_length)
        return Response(b"", content_type="application/json")

    async def download(capability: Capability) -> Response:
        chunks, size = await service.content_of(capability.object_id)
        return stream(await opened(chunks), size=size, content_type="application/x-tar")

    capabilities.on(Purpose.CONFIGURATION_UPLOAD, upload)
    capabilities.on(Purpose.CONFIGURATION_DOWNLOAD, download)
