"""`/organizations`. Changing one is no route: there is nothing to change."""

from __future__ import annotations

from typing import Final

from quart import Blueprint, Response, request

from terrapod_core.organizations.resources import ENTITLEMENT_SET, ORGANIZATION
from terrapod_core.organizations.service import Organizations, check
from terrapod_core.web import Web

BELOW: Final = "/api/v2/organizations/"


def routes(service: Organizations, web: Web) -> Blueprint:
    """Mounted at `/api/v2`."""
    organizations = Blueprint("organizations", __name__)

    @organizations.before_app_request
    async def only_the_one() -> None:
        # Here and not in each route, so that another name is 404 for a wrong method and an unknown path below it too.
        if request.path.startswith(BELOW):
            name = request.path.removeprefix(BELOW).partition("/")[0]
            if name:
                await web.actor(engine=True)
                check(name)

    @organizations.get("/organizations")
    async def list_organizations() -> Response:
        return await web.unpaged(ORGANIZATION, service.list(await web.actor(), web.query().q))

    @organizations.get("/organizations/<org>")
    async def show_organization(org: str) -> Response:
        return await web.document(ORGANIZATION, service.read(await web.actor(), org))

    @organizations.get("/organizations/<org>/entitlement-set")
    async def show_entitlement_set(org: str) -> Response:
        return await web.document(ENTITLEMENT_SET, service.read(await web.actor(engine=True), org))

    return organizations
