"""`/workspaces`, by id and by name. Labels and remote-state consumers are in `label_routes.py`."""

from __future__ import annotations

from quart import Blueprint, Response

from terrapod_core import organizations
from terrapod_core.authz import Actor
from terrapod_core.jsonapi import parse_action
from terrapod_core.web import Web
from terrapod_core.workspaces.documents import CreateWorkspace, UpdateWorkspace
from terrapod_core.workspaces.models import Workspace
from terrapod_core.workspaces.resources import WORKSPACE
from terrapod_core.workspaces.service import Workspaces


def routes(service: Workspaces, web: Web) -> Blueprint:
    """Mounted at `/api/v2`, beside `label_routes`."""
    workspaces = Blueprint("workspaces", __name__)

    async def named(org: str, name: str) -> tuple[Actor, str]:
        """Who asks, and the id of the workspace they name."""
        actor = await web.actor()
        organizations.check(org)
        return actor, (await service.read_by_name(actor, name)).id

    async def shown(workspace: Workspace, *, status: int = 200) -> Response:
        await service.look_at_pools([workspace])
        return await web.document(WORKSPACE, workspace, status=status)

    @workspaces.get("/organizations/<org>/workspaces")
    async def list_workspaces(org: str) -> Response:
        actor = await web.actor()
        organizations.check(org)
        page = await service.list(actor, web.query())
        await service.look_at_pools(page.items)
        return await web.listing(WORKSPACE, page)

    @workspaces.post("/organizations/<org>/workspaces")
    async def create_workspace(org: str) -> Response:
        actor = await web.actor()
        organizations.check(org)
        return await shown(await service.create(actor, await web.body(CreateWorkspace)), status=201)

    @workspaces.get("/organizations/<org>/workspaces/<name>")
    async def show_named_workspace(org: str, name: str) -> Response:
        actor = await web.actor(engine=True)
        organizations.check(org)
        return await shown(await service.read_by_name(actor, name))

    @workspaces.patch("/organizations/<org>/workspaces/<name>")
    async def update_named_workspace(org: str, name: str) -> Response:
        actor, workspace_id = await named(org, name)
        return await shown(await service.update(actor, workspace_id, await web.body(UpdateWorkspace)))

    @workspaces.delete("/organizations/<org>/workspaces/<name>")
    async def delete_named_workspace(org: str, name: str) -> Response:
        await service.delete(*await named(org, name))
        return web.empty()

    @workspaces.post("/organizations/<org>/workspaces/<name>/actions/safe-delete")
    async def safe_delete_named_workspace(org: str, name: str) -> Response:
        await service.safe_delete(*await named(org, name))
        return web.empty()

    @workspaces.get("/workspaces/<workspace_id>")
    async def show_workspace(workspace_id: str) -> Response:
        return await shown(await service.read(await web.actor(engine=True), workspace_id))

    @workspaces.patch("/workspaces/<workspace_id>")
    async def update_workspace(workspace_id: str) -> Response:
        actor = await web.actor()
        return await shown(await service.update(actor, workspace_id, await web.body(UpdateWorkspace)))

    @workspaces.delete("/workspaces/<workspace_id>")
    async def delete_workspace(workspace_id: str) -> Response:
        await service.delete(await web.actor(), workspace_id)
        return web.empty()

    @workspaces.post("/workspaces/<workspace_id>/actions/safe-delete")
    async def safe_delete_workspace(workspace_id: str) -> Response:
        await service.safe_delete(await web.actor(), workspace_id)
        return web.empty()

    @workspaces.post("/workspaces/<workspace_id>/actions/lock")
    async def lock_workspace(workspace_id: str) -> Response:
        actor = await web.actor()
        reason = parse_action(await web.raw_json(), "reason")
        return await shown(await service.locks.lock(actor, workspace_id, reason))

    @workspaces.post("/workspaces/<workspace_id>/actions/unlock")
    async def unlock_workspace(workspace_id: str) -> Response:
        return await shown(await service.locks.unlock(await web.actor(), workspace_id))

    @workspaces.post("/workspaces/<workspace_id>/actions/force-unlock")
    async def force_unlock_workspace(workspace_id: str) -> Response:
        return await shown(await service.locks.force_unlock(await web.actor(), workspace_id))

    @workspaces.post("/workspaces/<workspace_id>/conditions/<code>/actions/acknowledge")
    async def acknowledge_condition(workspace_id: str, code: str) -> Response:
        actor = await web.actor()
        comment = await web.comment()
        return await shown(await service.acknowledging.acknowledge(actor, workspace_id, code, comment))

    @workspaces.post("/projects/<project_id>/relationships/workspaces")
    async def move_workspaces(project_id: str) -> Response:
        actor = await web.actor()
        await service.placing.move(actor, project_id, await web.refs())
        return web.empty()

    return workspaces
