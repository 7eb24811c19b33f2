"""`/registry-providers`, and the links behind which their files are uploaded and fetched."""

from __future__ import annotations

from typing import Final

from quart import Blueprint, Response, request

from terrapod_core import organizations
from terrapod_core.packages.openpgp import SIGNATURE_BYTES
from terrapod_core.packages.sums import SUMS_BYTES
from terrapod_core.registry.documents import UpdateItem
from terrapod_core.registry.lifecycle import UpdateVersion
from terrapod_core.registry.providers.documents import CreatePlatform, CreateProvider, CreateProviderVersion
from terrapod_core.registry.providers.platforms import Platforms
from terrapod_core.registry.providers.releases import Releases
from terrapod_core.registry.providers.resources import PLATFORM, PROVIDER, TAG_BINDING, VERSION
from terrapod_core.registry.providers.service import Providers
from terrapod_core.registry.providers.uploads import Uploads
from terrapod_core.registry.subjects import Downloaded
from terrapod_core.storage import Archives, Capability, Purpose
from terrapod_core.web import CapabilityRoutes, Web
from terrapod_core.web.archives import Archive, answer, begins

ALL: Final = "/organizations/<org>/registry-providers"
SHORT: Final = f"{ALL}/<namespace>/<name>"
"""The contract's; its namespaces are never `private` or `public`."""
LONG: Final = f"{ALL}/private/<namespace>/<name>"
"""The clients'."""

ZIP: Final = "application/zip"
PLAIN: Final = "text/plain; charset=utf-8"
BINARY: Final = "application/octet-stream"


def routes(providers: Providers, releases: Releases, platforms: Platforms, web: Web) -> Blueprint:
    """Mounted at `/api/v2`."""
    registry = Blueprint("registry_providers", __name__)
    _providers(registry, providers, web)
    _by_id(registry, providers, web)
    _versions(registry, releases, web)
    _actions(registry, releases, web)
    _platforms(registry, platforms, web)
    return registry


def _providers(registry: Blueprint, providers: Providers, web: Web) -> None:
    @registry.get(ALL)
    async def list_providers(org: str) -> Response:
        actor = await web.actor()
        organizations.check(org)
        return await web.listing(PROVIDER, await providers.list(actor, web.query()))

    @registry.post(ALL)
    async def create_provider(org: str) -> Response:
        actor = await web.actor()
        organizations.check(org)
        return await web.document(PROVIDER, await providers.create(actor, await web.body(CreateProvider)), status=201)

    @registry.get(SHORT)
    @registry.get(LONG)
    async def show_provider(org: str, namespace: str, name: str) -> Response:
        actor = await web.actor()
        organizations.check(org)
        return await web.document(PROVIDER, await providers.read(actor, namespace, name))

    @registry.patch(SHORT)
    @registry.patch(LONG)
    async def update_provider(org: str, namespace: str, name: str) -> Response:
        actor = await web.actor()
        organizations.check(org)
        changes = await web.body(UpdateItem)
        return await web.document(PROVIDER, await providers.update(actor, namespace, name, changes))

    @registry.delete(SHORT)
    @registry.delete(LONG)
    async def delete_provider(org: str, namespace: str, name: str) -> Response:
        actor = await web.actor()
        organizations.check(org)
        await providers.delete(actor, namespace, name)
        return web.empty()


def _by_id(registry: Blueprint, providers: Providers, web: Web) -> None:
    @registry.get("/registry-providers/<provider_id>")
    async def show_provider_by_id(provider_id: str) -> Response:
        return await web.document(PROVIDER, await providers.read_by_id(await web.actor(), provider_id))

    @registry.get("/registry-providers/<provider_id>/tag-bindings")
    async def list_provider_tag_bindings(provider_id: str) -> Response:
        return await web.unpaged(TAG_BINDING, await providers.labels(await web.actor(), provider_id))


def _versions(registry: Blueprint, releases: Releases, web: Web) -> None:
    @registry.get(f"{SHORT}/versions")
    @registry.get(f"{LONG}/versions")
    async def list_versions(org: str, namespace: str, name: str) -> Response:
        actor = await web.actor()
        organizations.check(org)
        return await web.listing(VERSION, await releases.list(actor, namespace, name, web.query().page))

    @registry.post(f"{SHORT}/versions")
    @registry.post(f"{LONG}/versions")
    async def create_version(org: str, namespace: str, name: str) -> Response:
        actor = await web.actor()
        organizations.check(org)
        new = await web.body(CreateProviderVersion)
        return await web.document(VERSION, await releases.create(actor, namespace, name, new), status=201)

    @registry.get(f"{SHORT}/versions/<version>")
    @registry.get(f"{LONG}/versions/<version>")
    async def show_version(org: str, namespace: str, name: str, version: str) -> Response:
        actor = await web.actor()
        organizations.check(org)
        return await web.document(VERSION, await releases.read(actor, namespace, name, version))

    @registry.patch(f"{SHORT}/versions/<version>")
    @registry.patch(f"{LONG}/versions/<version>")
    async def update_version(org: str, namespace: str, name: str, version: str) -> Response:
        actor = await web.actor()
        organizations.check(org)
        changes = await web.body(UpdateVersion)
        return await web.document(VERSION, await releases.update(actor, namespace, name, version, changes))

    @registry.delete(f"{SHORT}/versions/<version>")
    @registry.delete(f"{LONG}/versions/<version>")
    async def delete_version(org: str, namespace: str, name: str, version: str) -> Response:
        actor = await web.actor()
        organizations.check(org)
        await releases.delete(actor, namespace, name, version)
        return web.empty()


def _actions(registry: Blueprint, releases: Releases, web: Web) -> None:
    @registry.post(f"{SHORT}/versions/<version>/actions/publish")
    @registry.post(f"{LONG}/versions/<version>/actions/publish")
    async def publish_version(org: str, namespace: str, name: str, version: str) -> Response:
        actor = await web.actor()
        organizations.check(org)
        return await web.document(VERSION, await releases.publish(actor, namespace, name, version))

    @registry.post(f"{SHORT}/versions/<version>/actions/release")
    @registry.post(f"{LONG}/versions/<version>/actions/release")
    async def release_version(org: str, namespace: str, name: str, version: str) -> Response:
        actor = await web.actor()
        organizations.check(org)
        return await web.document(VERSION, await releases.release(actor, namespace, name, version))


def _platforms(registry: Blueprint, platforms: Platforms, web: Web) -> None:
    @registry.get(f"{SHORT}/versions/<version>/platforms")
    @registry.get(f"{LONG}/versions/<version>/platforms")
    async def list_platforms(org: str, namespace: str, name: str, version: str) -> Response:
        actor = await web.actor()
        organizations.check(org)
        return await web.listing(PLATFORM, await platforms.list(actor, namespace, name, version, web.query().page))

    @registry.post(f"{SHORT}/versions/<version>/platforms")
    @registry.post(f"{LONG}/versions/<version>/platforms")
    async def create_platform(org: str, namespace: str, name: str, version: str) -> Response:
        actor = await web.actor()
        organizations.check(org)
        new = await web.body(CreatePlatform)
        return await web.document(PLATFORM, await platforms.create(actor, namespace, name, version, new), status=201)

    @registry.get(f"{SHORT}/versions/<version>/platforms/<os>/<arch>")
    @registry.get(f"{LONG}/versions/<version>/platforms/<os>/<arch>")
    async def show_platform(org: str, namespace: str, name: str, version: str, os: str, arch: str) -> Response:
        actor = await web.actor()
        organizations.check(org)
        return await web.document(PLATFORM, await platforms.read(actor, namespace, name, version, os, arch))

    @registry.delete(f"{SHORT}/versions/<version>/platforms/<os>/<arch>")
    @registry.delete(f"{LONG}/versions/<version>/platforms/<os>/<arch>")
    async def delete_platform(org: str, namespace: str, name: str, version: str, os: str, arch: str) -> Response:
        actor = await web.actor()
        organizations.check(org)
        await platforms.delete(actor, namespace, name, version, os, arch)
        return web.empty()


def links(uploads: Uploads, archives: Archives, web: Web, capabilities: CapabilityRoutes, downloaded: Downloaded) -> None:
    """Answer for the links of sums, signatures and zips, and tell `downloaded` of each download of a zip that begins."""

    async def whole(limit: int, what: str) -> bytes:
        return b"".join([piece async for piece in web.upload(limit, what)])

    async def upload_sums(capability: Capability) -> Response:
        await uploads.sums(capability.object_id, await whole(SUMS_BYTES, "file SHA256SUMS"))
        return Response(b"", content_type="application/json")

    async def upload_signature(capability: Capability) -> Response:
        await uploads.signature(capability.object_id, await whole(SIGNATURE_BYTES, "signature"))
        return Response(b"", content_type="application/json")

    async def upload_zip(capability: Capability) -> Response:
        body = web.upload(web.settings.limits.provider_bytes, "zip of the provider")
        await uploads.zip(capability.object_id, body, request.content_length)
        return Response(b"", content_type="application/json")

    async def sums(capability: Capability) -> Response:
        version = await uploads.files_of(capability.object_id)
        return _file(version.sums or b"", PLAIN)

    async def signature(capability: Capability) -> Response:
        version = await uploads.files_of(capability.object_id)
        return _file(version.signature or b"", BINARY)

    async def archive(capability: Capability) -> Response:
        platform = await uploads.zip_of(capability.object_id)
        response = await answer(archives, Archive(platform.object_key or "", platform.size or 0, platform.sha256 or "", ZIP))
        if begins(response):
            downloaded(platform.version_id, capability.subject)
        return response

    capabilities.on(Purpose.PROVIDER_SUMS_UPLOAD, upload_sums)
    capabilities.on(Purpose.PROVIDER_SIGNATURE_UPLOAD, upload_signature)
    capabilities.on(Purpose.PROVIDER_UPLOAD, upload_zip)
    capabilities.on(Purpose.PROVIDER_SUMS_DOWNLOAD, sums)
    capabilities.on(Purpose.PROVIDER_SIGNATURE_DOWNLOAD, signature)
    capabilities.on(Purpose.PROVIDER_DOWNLOAD, archive)


def _file(content: bytes, content_type: str) -> Response:
    headers = {"Cache-Control": "no-store", "Content-Disposition": "attachment"}
    return Response(content, headers=headers, content_type=content_type)
