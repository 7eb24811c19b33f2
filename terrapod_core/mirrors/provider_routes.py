"""Providers of others: the network mirror protocol (`index.json`, `<version>.json`), and the registry's under the same prefix."""

from __future__ import annotations

from typing import Final

from quart import Blueprint, Response

from terrapod_core.mirrors import addresses
from terrapod_core.mirrors.file_routes import BINARY, Files
from terrapod_core.mirrors.providers import ProviderMirror
from terrapod_core.mirrors.refusals import Noted, noting
from terrapod_core.storage import Capability, Purpose
from terrapod_core.web import CapabilityRoutes, Web
from terrapod_core.web.documents import JSON, listed

BASE: Final = "/v1/providers/<hostname>/<namespace>/<type_name>"
PLAIN: Final = "text/plain; charset=utf-8"


def routes(mirror: ProviderMirror, web: Web, noted: Noted) -> Blueprint:
    """Mounted at the root. `noted` is told what the engine of a run does not get."""
    providers = Blueprint("mirrored_providers", __name__)

    @providers.get(f"{BASE}/index.json")
    async def list_mirrored_provider(hostname: str, namespace: str, type_name: str) -> Response:
        actor = await web.actor(engine=True)
        async with noting(actor, noted):
            return listed(*await mirror.index(actor, addresses.provider(hostname, namespace, type_name)))

    @providers.get(f"{BASE}/<version>.json")
    async def show_mirrored_provider(hostname: str, namespace: str, type_name: str, version: str) -> Response:
        actor = await web.actor(engine=True)
        async with noting(actor, noted):
            return listed(*await mirror.version(actor, addresses.provider(hostname, namespace, type_name), version))

    @providers.get(f"{BASE}/versions")
    async def list_mirrored_provider_versions(hostname: str, namespace: str, type_name: str) -> Response:
        actor = await web.actor(engine=True)
        async with noting(actor, noted):
            return listed(*await mirror.versions(actor, addresses.provider(hostname, namespace, type_name)))

    @providers.get(f"{BASE}/<version>/download/<os>/<arch>")
    async def find_mirrored_provider_package(hostname: str, namespace: str, type_name: str, version: str, os: str, arch: str) -> Response:
        actor = await web.actor(engine=True)
        async with noting(actor, noted):
            found = await mirror.package(actor, addresses.provider(hostname, namespace, type_name), version, os, arch)
        return Response(found, headers={"Cache-Control": "no-store"}, content_type=JSON)

    return providers


def links(mirror: ProviderMirror, files: Files, capabilities: CapabilityRoutes) -> None:
    """Answer for the links of packages of every kind, and of the sums and signatures of providers."""

    async def sums(capability: Capability) -> Response:
        return _file(await mirror.sums(capability.object_id), PLAIN)

    async def signature(capability: Capability) -> Response:
        return _file(await mirror.signature(capability.object_id), BINARY)

    capabilities.on(Purpose.MIRRORED_DOWNLOAD, files.answer)
    capabilities.on(Purpose.MIRRORED_SUMS_DOWNLOAD, sums)
    capabilities.on(Purpose.MIRRORED_SIGNATURE_DOWNLOAD, signature)


def _file(content: bytes, content_type: str) -> Response:
    headers = {"Cache-Control": "no-store", "Content-Disposition": "attachment"}
    return Response(content, headers=headers, content_type=content_type)
