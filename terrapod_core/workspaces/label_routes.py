"""Tags, tag bindings and remote-state consumers."""

from __future__ import annotations

from quart import Blueprint, Response

from terrapod_core import organizations
from terrapod_core.web import Web
from terrapod_core.workspaces.resources import EFFECTIVE_TAG_BINDING, TAG, TAG_BINDING, WORKSPACE
from terrapod_core.workspaces.service import Workspaces


def label_routes(service: Workspaces, web: Web) -> Blueprint:
    """Mounted at `/api/v2`."""
    labels = Blueprint("labels", __name__)
    tagging, sharing = service.tagging, service.sharing

    @labels.get("/workspaces/<workspace_id>/tag-bindings")
    async def list_tag_bindings(workspace_id: str) -> Response:
        return await web.unpaged(TAG_BINDING, await tagging.list_bindings(await web.actor(), workspace_id))

    @labels.patch("/workspaces/<workspace_id>/tag-bindings")
    async def add_tag_bindings(workspace_id: str) -> Response:
        actor = await web.actor()
        return await web.unpaged(TAG_BINDING, await tagging.add_bindings(actor, workspace_id, await web.refs()))

    @labels.get("/workspaces/<workspace_id>/effective-tag-bindings")
    async def list_effective_tag_bindings(workspace_id: str) -> Response:
        return await web.unpaged(EFFECTIVE_TAG_BINDING, await tagging.list_bindings(await web.actor(), workspace_id))

    @labels.get("/workspaces/<workspace_id>/relationships/tag-bindings")
    async def list_related_tag_bindings(workspace_id: str) -> Response:
        return await web.unpaged(TAG_BINDING, await tagging.list_bindings(await web.actor(), workspace_id))

    @labels.post("/workspaces/<workspace_id>/relationships/tag-bindings")
    async def add_related_tag_bindings(workspace_id: str) -> Response:
        actor = await web.actor()
        await tagging.add_bindings(actor, workspace_id, await web.refs())
        return web.empty()

    @labels.patch("/workspaces/<workspace_id>/relationships/tag-bindings")
    async def replace_tag_bindings(workspace_id: str) -> Response:
        actor = await web.actor()
        await tagging.replace_bindings(actor, workspace_id, await web.refs())
        return web.empty()

    @labels.get("/workspaces/<workspace_id>/relationships/tags")
    async def list_workspace_tags(workspace_id: str) -> Response:
        return await web.listing(TAG, await tagging.list_tags(await web.actor(), workspace_id, web.query()))

    @labels.post("/workspaces/<workspace_id>/relationships/tags")
    async def add_tags(workspace_id: str) -> Response:
        actor = await web.actor()
        await tagging.add_tags(actor, workspace_id, await web.refs())
        return web.empty()

    @labels.delete("/workspaces/<workspace_id>/relationships/tags")
    async def remove_tags(workspace_id: str) -> Response:
        actor = await web.actor()
        await tagging.remove_tags(actor, workspace_id, await web.refs())
        return web.empty()

    @labels.get("/organizations/<org>/tags")
    async def list_tags(org: str) -> Response:
        actor = await web.actor()
        organizations.check(org)
        return await web.listing(TAG, await tagging.list_all_tags(actor, web.query()))

    @labels.get("/workspaces/<workspace_id>/relationships/remote-state-consumers")
    async def list_remote_state_consumers(workspace_id: str) -> Response:
        page = await sharing.list(await web.actor(), workspace_id, web.query())
        await service.look_at_pools(page.items)
        return await web.listing(WORKSPACE, page)

    @labels.post("/workspaces/<workspace_id>/relationships/remote-state-consumers")
    async def add_remote_state_consumers(workspace_id: str) -> Response:
        actor = await web.actor()
        await sharing.add(actor, workspace_id, await web.refs())
        return web.empty()

    @labels.patch("/workspaces/<workspace_id>/relationships/remote-state-consumers")
    async def replace_remote_state_consumers(workspace_id: str) -> Response:
        actor = await web.actor()
        await sharing.replace(actor, workspace_id, await web.refs())
        return web.empty()

    @labels.delete("/workspaces/<workspace_id>/relationships/remote-state-consumers")
    async def remove_remote_state_consumers(workspace_id: str) -> Response:
        actor = await web.actor()
        await sharing.remove(actor, workspace_id, await web.refs())
        return web.empty()

    return labels
