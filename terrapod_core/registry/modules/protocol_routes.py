"""The module registry protocol, which terraform and tofu speak at `init`: plain documents, and the words of a refusal as plain text.

terraform prints the body of a refused download as it came, so a person reads it there.
"""

from __future__ import annotations

from typing import Final

from quart import Blueprint, Response

from terrapod_core.errors import Gone
from terrapod_core.registry.modules.protocol import ModuleProtocol
from terrapod_core.registry.modules.queries import Address
from terrapod_core.web import Web
from terrapod_core.web.documents import JSON, listed
from terrapod_core.web.listings import etag

TEXT: Final = "text/plain; charset=utf-8"
BASE: Final = "/registry/modules/<namespace>/<name>/<provider>"


DETAIL: Final = "/api/registry/v1/modules/<namespace>/<name>/<provider>"


def detail_routes(protocol: ModuleProtocol, web: Web) -> Blueprint:
    """What go-tfe asks for a module's inputs and outputs. Mounted at the root."""
    detail = Blueprint("module_detail", __name__)

    @detail.get(DETAIL)
    async def describe_module(namespace: str, name: str, provider: str) -> Response:
        found = await protocol.detail(await web.actor(), Address(namespace, name, provider), None)
        return Response(found, content_type=JSON)

    @detail.get(f"{DETAIL}/<version>")
    async def describe_module_version(namespace: str, name: str, provider: str, version: str) -> Response:
        found = await protocol.detail(await web.actor(), Address(namespace, name, provider), version)
        return Response(found, content_type=JSON)

    return detail


def routes(protocol: ModuleProtocol, web: Web) -> Blueprint:
    """Mounted at `/api/v2`; discovery says so, as `modules.v1`."""
    modules = Blueprint("module_protocol", __name__)

    @modules.get(f"{BASE}/versions")
    async def list_module_versions(namespace: str, name: str, provider: str) -> Response:
        document, module = await protocol.versions(await web.actor(engine=True), Address(namespace, name, provider))
        return listed(document, etag(module.id, module.revision))

    @modules.get(f"{BASE}/<version>/download")
    async def find_module_archive(namespace: str, name: str, provider: str, version: str) -> Response:
        actor = await web.actor(engine=True)
        try:
            link = await protocol.download_link(actor, Address(namespace, name, provider), version)
        except Gone as refusal:
            return Response(refusal.detail, status=refusal.status, content_type=TEXT)
        # Relative, so that whoever asks stays with the name by which it knows this server.
        headers = {"X-Terraform-Get": link, "Cache-Control": "no-store"}
        return Response(b"", status=204, headers=headers, content_type=JSON)

    return modules
