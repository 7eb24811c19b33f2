"""`…/consumers` and `…/downloads` of modules and providers."""

from __future__ import annotations

from typing import Any, Final

from quart import Blueprint, Response

from terrapod_core.authz import Actor
from terrapod_core.jsonapi import Resource
from terrapod_core.registry.item_routes import paths
from terrapod_core.registry.uses.consumers import Consumers
from terrapod_core.registry.uses.kinds import MODULES, PROVIDERS, Kind
from terrapod_core.registry.uses.queries import Listed
from terrapod_core.registry.uses.resources import MODULE_CONSUMER, MODULE_DOWNLOAD, PROVIDER_CONSUMER, PROVIDER_DOWNLOAD
from terrapod_core.web import Web

CONSUMERS: Final = "workspaces"
DOWNLOADS: Final = "downloads"
"""What `meta` counts."""


def routes(consumers: Consumers, web: Web) -> list[Blueprint]:
    """One for each kind, mounted at `/api/v2`."""
    return [
        _of_kind(MODULES, MODULE_CONSUMER, MODULE_DOWNLOAD, consumers, web),
        _of_kind(PROVIDERS, PROVIDER_CONSUMER, PROVIDER_DOWNLOAD, consumers, web),
    ]


def _of_kind(kind: Kind, consumer: Resource, download: Resource, consumers: Consumers, web: Web) -> Blueprint:
    uses = Blueprint(f"{kind.noun}_uses", __name__)
    at = paths(uses, web, kind.collection, kind.address)

    async def answer(resource: Resource, counted: str, found: Listed) -> Response:
        return await web.listing(resource, found.page, meta={counted: {"total": found.total, "hidden": found.hidden}})

    @at.one.get("/consumers")
    async def list_consumers(actor: Actor, address: Any) -> Response:
        return await answer(consumer, CONSUMERS, await consumers.list(actor, kind, address, web.query()))

    @at.one.get("/downloads")
    async def list_downloads(actor: Actor, address: Any) -> Response:
        return await answer(download, DOWNLOADS, await consumers.downloads(actor, kind, address, web.query()))

    return uses
