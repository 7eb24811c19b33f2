"""`/registry-modules`: the contract's paths and the clients' longer ones, and the links behind which archives are uploaded and fetched."""

from __future__ import annotations

from typing import Final

from quart import Blueprint, Response, request

from terrapod_core import organizations
from terrapod_core.errors import BadRequest
from terrapod_core.registry.lifecycle import UpdateVersion
from terrapod_core.registry.modules.documents import CreateModule, CreateVersion, UpdateModule
from terrapod_core.registry.modules.protocol import ModuleProtocol
from terrapod_core.registry.modules.queries import Address
from terrapod_core.registry.modules.resources import MODULE, TAG_BINDING, VERSION
from terrapod_core.registry.modules.service import Modules
from terrapod_core.registry.modules.versions import ModuleVersions
from terrapod_core.registry.subjects import Downloaded
from terrapod_core.storage import Archives, Capability, Purpose
from terrapod_core.web import CapabilityRoutes, Web
from terrapod_core.web.archives import Archive, answer, begins

WHAT: Final = "module archive"
GZIP: Final = "application/gzip"

ALL: Final = "/organizations/<org>/registry-modules"
SHORT: Final = f"{ALL}/<namespace>/<name>/<provider>"
"""The contract's; its namespaces are never `private` or `public`."""
LONG: Final = f"{ALL}/private/<namespace>/<name>/<provider>"
"""The clients'."""
ACTION: Final = "/registry-modules/actions/delete/<org>/<name>"
"""Of older clients, which know the organization's namespace alone."""


def routes(modules: Modules, versions: ModuleVersions, web: Web) -> Blueprint:
    """Mounted at `/api/v2`."""
    registry = Blueprint("registry_modules", __name__)
    _modules(registry, modules, web)
    _by_id(registry, modules, versions, web)
    _versions(registry, versions, web)
    _one_version(registry, versions, web)
    _older(registry, modules, versions, web)
    return registry


def _modules(registry: Blueprint, modules: Modules, web: Web) -> None:
    @registry.get(ALL)
    async def list_modules(org: str) -> Response:
        actor = await web.actor()
        organizations.check(org)
        return await web.listing(MODULE, await modules.list(actor, web.query()))

    @registry.post(ALL)
    async def create_module(org: str) -> Response:
        actor = await web.actor()
        organizations.check(org)
        return await web.document(MODULE, await modules.create(actor, await web.body(CreateModule)), status=201)

    @registry.get(SHORT)
    @registry.get(LONG)
    async def show_module(org: str, namespace: str, name: str, provider: str) -> Response:
        actor = await web.actor()
        organizations.check(org)
        return await web.document(MODULE, await modules.read(actor, Address(namespace, name, provider)))

    @registry.patch(SHORT)
    @registry.patch(LONG)
    async def update_module(org: str, namespace: str, name: str, provider: str) -> Response:
        actor = await web.actor()
        organizations.check(org)
        changes = await web.body(UpdateModule)
        return await web.document(MODULE, await modules.update(actor, Address(namespace, name, provider), changes))

    @registry.delete(SHORT)
    @registry.delete(LONG)
    async def delete_module(org: str, namespace: str, name: str, provider: str) -> Response:
        actor = await web.actor()
        organizations.check(org)
        await modules.delete(actor, Address(namespace, name, provider))
        return web.empty()

    @registry.delete(f"{ALL}/private/<namespace>/<name>")
    async def delete_name(org: str, namespace: str, name: str) -> Response:
        actor = await web.actor()
        organizations.check(org)
        await modules.delete_name(actor, namespace, name)
        return web.empty()


def _by_id(registry: Blueprint, modules: Modules, versions: ModuleVersions, web: Web) -> None:
    @registry.get("/registry-modules/<module_id>")
    async def show_module_by_id(module_id: str) -> Response:
        return await web.document(MODULE, await modules.read(await web.actor(), module_id))

    @registry.patch("/registry-modules/<module_id>")
    async def update_module_by_id(module_id: str) -> Response:
        actor = await web.actor()
        return await web.document(MODULE, await modules.update(actor, module_id, await web.body(UpdateModule)))

    @registry.get("/registry-modules/<module_id>/tag-bindings")
    async def list_module_tag_bindings(module_id: str) -> Response:
        return await web.unpaged(TAG_BINDING, await modules.labels(await web.actor(), module_id))

    @registry.get("/registry-modules/<module_id>/versions")
    async def list_versions_by_id(module_id: str) -> Response:
        return await web.listing(VERSION, await versions.list(await web.actor(), module_id, web.query().page))


def _versions(registry: Blueprint, versions: ModuleVersions, web: Web) -> None:
    @registry.get(f"{SHORT}/versions")
    @registry.get(f"{LONG}/versions")
    async def list_versions(org: str, namespace: str, name: str, provider: str) -> Response:
        actor = await web.actor()
        organizations.check(org)
        return await web.listing(VERSION, await versions.list(actor, Address(namespace, name, provider), web.query().page))

    @registry.post(f"{SHORT}/versions")
    @registry.post(f"{LONG}/versions")
    async def create_version(org: str, namespace: str, name: str, provider: str) -> Response:
        actor = await web.actor()
        organizations.check(org)
        new = await web.body(CreateVersion)
        return await web.document(VERSION, await versions.create(actor, Address(namespace, name, provider), new), status=201)

    @registry.get(f"{LONG}/version")
    async def show_version_by_query(org: str, namespace: str, name: str, provider: str) -> Response:
        actor = await web.actor()
        organizations.check(org)
        version = request.args.get("module_version")
        if version is None:
            raise BadRequest("say which version: module_version=1.2.3", parameter="module_version")
        return await web.document(VERSION, await versions.read(actor, Address(namespace, name, provider), version))


def _one_version(registry: Blueprint, versions: ModuleVersions, web: Web) -> None:
    @registry.get(f"{SHORT}/<version>")
    @registry.get(f"{LONG}/<version>")
    async def show_version(org: str, namespace: str, name: str, provider: str, version: str) -> Response:
        actor = await web.actor()
        organizations.check(org)
        return await web.document(VERSION, await versions.read(actor, Address(namespace, name, provider), version))

    @registry.patch(f"{SHORT}/<version>")
    @registry.patch(f"{LONG}/<version>")
    async def update_version(org: str, namespace: str, name: str, provider: str, version: str) -> Response:
        actor = await web.actor()
        organizations.check(org)
        changes = await web.body(UpdateVersion)
        return await web.document(VERSION, await versions.update(actor, Address(namespace, name, provider), version, changes))

    @registry.delete(f"{SHORT}/<version>")
    @registry.delete(f"{LONG}/<version>")
    async def delete_version(org: str, namespace: str, name: str, provider: str, version: str) -> Response:
        actor = await web.actor()
        organizations.check(org)
        await versions.delete(actor, Address(namespace, name, provider), version)
        return web.empty()

    @registry.post(f"{SHORT}/<version>/actions/release")
    @registry.post(f"{LONG}/<version>/actions/release")
    async def release_version(org: str, namespace: str, name: str, provider: str, version: str) -> Response:
        actor = await web.actor()
        organizations.check(org)
        return await web.document(VERSION, await versions.release(actor, Address(namespace, name, provider), version))


def _older(registry: Blueprint, modules: Modules, versions: ModuleVersions, web: Web) -> None:
    @registry.post("/registry-modules/<org>/<name>/<provider>/versions")
    async def create_version_at_older_path(org: str, name: str, provider: str) -> Response:
        actor = await web.actor()
        organizations.check(org)
        new = await web.body(CreateVersion)
        return await web.document(VERSION, await versions.create(actor, Address(org, name, provider), new), status=201)

    @registry.post(ACTION)
    async def delete_name_by_action(org: str, name: str) -> Response:
        actor = await web.actor()
        organizations.check(org)
        await modules.delete_name(actor, org, name)
        return web.empty()

    @registry.post(f"{ACTION}/<provider>")
    async def delete_module_by_action(org: str, name: str, provider: str) -> Response:
        actor = await web.actor()
        organizations.check(org)
        await modules.delete(actor, Address(org, name, provider))
        return web.empty()

    @registry.post(f"{ACTION}/<provider>/<version>")
    async def delete_version_by_action(org: str, name: str, provider: str, version: str) -> Response:
        actor = await web.actor()
        organizations.check(org)
        await versions.delete(actor, Address(org, name, provider), version)
        return web.empty()


def links(
    versions: ModuleVersions,
    protocol: ModuleProtocol,
    archives: Archives,
    web: Web,
    capabilities: CapabilityRoutes,
    downloaded: Downloaded,
) -> None:
    """Answer for the links of archives, and tell `downloaded` of each download that begins."""

    async def upload(capability: Capability) -> Response:
        body = web.upload(web.settings.limits.module_bytes, WHAT)
        await versions.upload(capability.object_id, body, request.content_length)
        return Response(b"", content_type="application/json")

    async def download(capability: Capability) -> Response:
        version = await protocol.archived(capability.object_id)
        response = await answer(archives, Archive(version.object_key or "", version.size or 0, version.sha256 or "", GZIP))
        if begins(response):
            downloaded(version.id, capability.subject)
        return response

    capabilities.on(Purpose.MODULE_UPLOAD, upload)
    capabilities.on(Purpose.MODULE_DOWNLOAD, download)
