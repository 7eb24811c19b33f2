"""Modules of others, by the module registry protocol.

terraform prints the body of a refused download as it came, if the status is one of 400 and more that it does not know better: so a person
reads there why an upstream could not be had.
"""

from __future__ import annotations

from typing import Final

from quart import Blueprint, Response

from terrapod_core.mirrors import addresses
from terrapod_core.mirrors.modules import ModuleMirror
from terrapod_core.mirrors.refusals import Noted, noting
from terrapod_core.mirrors.upstreams import Sealed, UpstreamTrouble
from terrapod_core.web import Web
from terrapod_core.web.documents import JSON, listed

BASE: Final = "/v1/modules/<hostname>/<namespace>/<name>/<provider>"
TEXT: Final = "text/plain; charset=utf-8"
FAILED_DEPENDENCY: Final = 424
"""A 404 terraform puts into words of its own, and of a 5xx it says only the status."""


def routes(mirror: ModuleMirror, web: Web, noted: Noted) -> Blueprint:
    """Mounted at the root. `noted` is told what the engine of a run does not get."""
    modules = Blueprint("mirrored_modules", __name__)

    @modules.get(f"{BASE}/versions")
    async def list_mirrored_module_versions(hostname: str, namespace: str, name: str, provider: str) -> Response:
        actor = await web.actor(engine=True)
        async with noting(actor, noted):
            return listed(*await mirror.versions(actor, addresses.module(hostname, namespace, name, provider)))

    @modules.get(f"{BASE}/<version>/download")
    async def find_mirrored_module_archive(hostname: str, namespace: str, name: str, provider: str, version: str) -> Response:
        actor = await web.actor(engine=True)
        try:
            async with noting(actor, noted):
                link = await mirror.download_link(actor, addresses.module(hostname, namespace, name, provider), version)
        except (Sealed, UpstreamTrouble) as error:
            return Response(error.detail, status=FAILED_DEPENDENCY, headers={"Cache-Control": "no-store"}, content_type=TEXT)
        # Relative, so that whoever asks stays with the name by which it knows this server.
        headers = {"X-Terraform-Get": link, "Cache-Control": "no-store"}
        return Response(b"", status=204, headers=headers, content_type=JSON)

    return modules
