"""`…/consumers` and `…/downloads` of modules and providers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeAlias

from quart import Blueprint, Response

from terrapod_core import organizations
from terrapod_core.authz import Actor
from terrapod_core.jsonapi import Query, Resource
from terrapod_core.registry.modules import routes as modules_routes
from terrapod_core.registry.providers import routes as providers_routes
from terrapod_core.registry.uses.consumers import Consumers
from terrapod_core.registry.uses.kinds import MODULES, PROVIDERS, Kind
from terrapod_core.registry.uses.queries import Listed
from terrapod_core.registry.uses.resources import MODULE_CONSUMER, MODULE_DOWNLOAD, PROVIDER_CONSUMER, PROVIDER_DOWNLOAD
from terrapod_core.web import Web

CONSUMERS: Final = "workspaces"
DOWNLOADS: Final = "downloads"
"""What `meta` counts."""

Listing: TypeAlias = Callable[[Actor, Kind, Sequence[str], Query], Awaitable[Listed]]


def routes(consumers: Consumers, web: Web) -> Blueprint:
    """Mounted at `/api/v2`."""
    uses = Blueprint("registry_uses", __name__)

    async def answer(resource: Resource, counted: str, listing: Listing, org: str, kind: Kind, *address: str) -> Response:
        actor = await web.actor()
        organizations.check(org)
        found = await listing(actor, kind, address, web.query())
        return await web.listing(resource, found.page, meta={counted: {"total": found.total, "hidden": found.hidden}})

    @uses.get(f"{modules_routes.SHORT}/consumers")
    @uses.get(f"{modules_routes.LONG}/consumers")
    async def list_module_consumers(org: str, namespace: str, name: str, provider: str) -> Response:
        return await answer(MODULE_CONSUMER, CONSUMERS, consumers.list, org, MODULES, namespace, name, provider)

    @uses.get(f"{modules_routes.SHORT}/downloads")
    @uses.get(f"{modules_routes.LONG}/downloads")
    async def list_module_downloads(org: str, namespace: str, name: str, provider: str) -> Response:
        return await answer(MODULE_DOWNLOAD, DOWNLOADS, consumers.downloads, org, MODULES, namespace, name, provider)

    @uses.get(f"{providers_routes.SHORT}/consumers")
    @uses.get(f"{providers_routes.LONG}/consumers")
    async def list_provider_consumers(org: str, namespace: str, name: str) -> Response:
        return await answer(PROVIDER_CONSUMER, CONSUMERS, consumers.list, org, PROVIDERS, namespace, name)

    @uses.get(f"{providers_routes.SHORT}/downloads")
    @uses.get(f"{providers_routes.LONG}/downloads")
    async def list_provider_downloads(org: str, namespace: str, name: str) -> Response:
        return await answer(PROVIDER_DOWNLOAD, DOWNLOADS, consumers.downloads, org, PROVIDERS, namespace, name)

    return uses
