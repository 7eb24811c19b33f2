"""`/state-versions`, the outputs of states, and the links behind which states are uploaded and downloaded."""

from __future__ import annotations

from collections.abc import AsyncIterator

from quart import Blueprint, Response, redirect, request

from terrapod_core import organizations
from terrapod_core.errors import BadRequest
from terrapod_core.jsonapi import Query
from terrapod_core.states.creation import RollBack
from terrapod_core.states.inline import Incoming
from terrapod_core.states.resources import RESOURCE, STATE_VERSION, STATE_VERSION_OUTPUT
from terrapod_core.states.service import States
from terrapod_core.storage import Capability, Purpose
from terrapod_core.storage.streams import opened
from terrapod_core.web import CapabilityRoutes, Web, stream


def routes(service: States, web: Web) -> Blueprint:
    """Mounted at `/api/v2`."""
    states = Blueprint("states", __name__)
    _workspace_routes(states, service, web)
    _version_routes(states, service, web)
    return states


def _workspace_routes(states: Blueprint, service: States, web: Web) -> None:
    def snapshots(response: Response) -> Response:
        response.headers["X-Terraform-Snapshot-Interval"] = str(service.pace.snapshot_seconds)
        return response

    @states.post("/workspaces/<workspace_id>/state-versions")
    async def create(workspace_id: str) -> Response:
        actor = await web.actor()
        await service.check_may_write(actor, workspace_id)
        incoming = Incoming(web.json_upload(web.settings.limits.state_bytes * 4 // 3 + web.settings.limits.json_bytes, "state version"))
        if await incoming.has_state():
            version = await service.create_whole(actor, workspace_id, incoming.state(), incoming.document)
        else:
            version = await service.create(actor, workspace_id, incoming.document())
        if incoming.parsed is not None and version.json_object_key is None:
            await service.uploads.parsed(version.id, _once(incoming.parsed), linked=True)
        return snapshots(await web.document(STATE_VERSION, version, status=201))

    @states.get("/workspaces/<workspace_id>/state-versions")
    async def list_of_workspace(workspace_id: str) -> Response:
        query = web.query()
        page = await service.list(await web.actor(), workspace_id, query.page, query.filter("status"))
        return await web.listing(STATE_VERSION, page)

    @states.patch("/workspaces/<workspace_id>/state-versions")
    async def roll_back(workspace_id: str) -> Response:
        version = await service.roll_back(await web.actor(), workspace_id, await web.body(RollBack))
        return await web.document(STATE_VERSION, version, status=201)

    @states.get("/workspaces/<workspace_id>/current-state-version")
    async def current(workspace_id: str) -> Response:
        return snapshots(await web.document(STATE_VERSION, await service.read_current(await web.actor(engine=True), workspace_id)))

    @states.get("/workspaces/<workspace_id>/current-state-version-outputs")
    async def current_outputs(workspace_id: str) -> Response:
        return await web.unpaged(STATE_VERSION_OUTPUT, await service.current_outputs(await web.actor(engine=True), workspace_id))

    @states.get("/workspaces/<workspace_id>/resources")
    async def resources(workspace_id: str) -> Response:
        return await web.listing(RESOURCE, await service.resources(await web.actor(), workspace_id, web.query()))


def _version_routes(states: Blueprint, service: States, web: Web) -> None:
    @states.get("/state-versions")
    async def list_versions() -> Response:
        actor, query = await web.actor(), web.query()
        organizations.check(_needed(query, "organization"))
        page = await service.list_by_name(actor, _needed(query, "workspace"), query.page, query.filter("status"))
        return await web.listing(STATE_VERSION, page)

    @states.get("/state-versions/<version_id>")
    async def show(version_id: str) -> Response:
        return await web.document(STATE_VERSION, await service.read(await web.actor(engine=True), version_id))

    @states.post("/state-versions/<version_id>/actions/promote")
    async def promote(version_id: str) -> Response:
        return await web.document(STATE_VERSION, await service.promote(await web.actor(), version_id), status=201)

    @states.get("/state-versions/<version_id>/outputs")
    async def outputs(version_id: str) -> Response:
        return await web.listing(STATE_VERSION_OUTPUT, await service.outputs(await web.actor(engine=True), version_id, web.query().page))

    @states.get("/state-version-outputs/<output_id>")
    async def output(output_id: str) -> Response:
        return await web.document(STATE_VERSION_OUTPUT, await service.output(await web.actor(engine=True), output_id))

    @states.get("/state-versions/<version_id>/download")
    async def download(version_id: str) -> Response:
        link = await service.download_link(await web.actor(engine=True), version_id)
        answer: Response = redirect(web.absolute(link), 302)  # type: ignore[assignment]
        answer.headers["Cache-Control"] = "no-store"
        return answer

    # No credential, as the contract has it: the id of a pending version is known to those who may write, and to nobody else.

    @states.put("/state-versions/<version_id>/content")
    async def content(version_id: str) -> Response:
        await service.uploads.content(version_id, _body(web), request.content_length)
        return _taken()

    @states.put("/state-versions/<version_id>/json-content")
    async def json_content(version_id: str) -> Response:
        await service.uploads.parsed(version_id, _body(web), request.content_length, linked=False)
        return _taken()


def links(service: States, web: Web, capabilities: CapabilityRoutes) -> None:
    """Answer for the links of states."""

    async def upload(capability: Capability) -> Response:
        await service.uploads.content(capability.object_id, _body(web), request.content_length)
        return _taken()

    async def upload_parsed(capability: Capability) -> Response:
        await service.uploads.parsed(capability.object_id, _body(web), request.content_length, linked=True)
        return _taken()

    async def download(capability: Capability) -> Response:
        chunks, size = await service.open(capability.object_id, parsed=capability.purpose is Purpose.STATE_JSON_DOWNLOAD)
        return stream(await opened(chunks), size=size, content_type="application/json")

    capabilities.on(Purpose.STATE_UPLOAD, upload)
    capabilities.on(Purpose.STATE_JSON_UPLOAD, upload_parsed)
    capabilities.on(Purpose.STATE_DOWNLOAD, download)
    capabilities.on(Purpose.STATE_JSON_DOWNLOAD, download)


def _taken() -> Response:
    """200 whatever the client accepts: there is nothing in it."""
    return Response(b"", content_type="application/json")


def _body(web: Web) -> AsyncIterator[bytes]:
    return web.upload(web.settings.limits.state_bytes, "state")


def _needed(query: Query, name: str) -> str:
    value = query.filter(f"{name}.name")
    if not value:
        raise BadRequest(f"filter[{name}][name] is required", parameter=f"filter[{name}][name]")
    return value


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data
