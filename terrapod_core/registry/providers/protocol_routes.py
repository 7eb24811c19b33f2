"""The provider registry protocol, which terraform and tofu speak at `init`."""

from __future__ import annotations

from typing import Final

from quart import Blueprint, Response

from terrapod_core.registry.providers.installs import Installs
from terrapod_core.web import Web
from terrapod_core.web.documents import JSON, listed
from terrapod_core.web.listings import etag

BASE: Final = "/registry/providers/<namespace>/<name>"


def routes(installs: Installs, web: Web) -> Blueprint:
    """Mounted at `/api/v2`; discovery says so, as `providers.v1`."""
    registry = Blueprint("provider_protocol", __name__)

    @registry.get(f"{BASE}/versions")
    async def list_provider_versions(namespace: str, name: str) -> Response:
        provider, document = await installs.versions(await web.actor(engine=True), namespace, name)
        return listed(document, etag(provider.id, provider.revision))

    @registry.get(f"{BASE}/<version>/download/<os>/<arch>")
    async def find_provider_package(namespace: str, name: str, version: str, os: str, arch: str) -> Response:
        actor = await web.actor(engine=True)
        found = await installs.find(actor, namespace, name, version, os, arch)
        return Response(installs.package(actor, found, web.base_url()), headers={"Cache-Control": "no-store"}, content_type=JSON)

    return registry
