"""`/projects`. Moving workspaces between projects is the workspaces' route."""

from __future__ import annotations

from quart import Blueprint, Response

from terrapod_core import organizations
from terrapod_core.projects.documents import CreateProject, UpdateProject
from terrapod_core.projects.resources import PROJECT
from terrapod_core.projects.service import Projects
from terrapod_core.web import Web


def routes(service: Projects, web: Web) -> Blueprint:
    """Mounted at `/api/v2`."""
    projects = Blueprint("projects", __name__)

    @projects.get("/organizations/<org>/projects")
    async def list_projects(org: str) -> Response:
        actor = await web.actor()
        organizations.check(org)
        return await web.listing(PROJECT, await service.list(actor, web.query()))

    @projects.post("/organizations/<org>/projects")
    async def create_project(org: str) -> Response:
        actor = await web.actor()
        organizations.check(org)
        return await web.document(PROJECT, await service.create(actor, await web.body(CreateProject)), status=201)

    @projects.get("/projects/<project_id>")
    async def show_project(project_id: str) -> Response:
        return await web.document(PROJECT, await service.read(await web.actor(), project_id))

    @projects.patch("/projects/<project_id>")
    async def update_project(project_id: str) -> Response:
        actor = await web.actor()
        return await web.document(PROJECT, await service.update(actor, project_id, await web.body(UpdateProject)))

    @projects.delete("/projects/<project_id>")
    async def delete_project(project_id: str) -> Response:
        await service.delete(await web.actor(), project_id)
        return web.empty()

    return projects
