"""The routes that belong to no room: health, readiness, ping, service discovery."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import msgspec
import structlog
from quart import Blueprint, Response

Check = Callable[[], Awaitable[str | None]]
"""Asks one part whether it works; returns what to add to `healthy`, or `None`; raises when it does not work."""

CHECK_SECONDS: Final = 2.0
JSON: Final = "application/json"

DISCOVERY: Final = {
    "login.v1": {
        "client": "terraform-cli",
        "grant_types": ["authz_code"],
        "authz": "/oauth/authorize",
        "token": "/oauth/token",
        "ports": [10000, 10010],
    },
    "modules.v1": "/api/v2/registry/modules/",
    "providers.v1": "/api/v2/registry/providers/",
    # The contract's document ends here; without these terraform's cloud block and remote backend stop at init.
    "state.v2": "/api/v2/",
    "tfe.v2": "/api/v2/",
    "tfe.v2.1": "/api/v2/",
    "tfe.v2.2": "/api/v2/",
}

log = structlog.get_logger("terrapod.health")


def routes(checks: Mapping[str, Check], detail: Mapping[str, object]) -> Blueprint:
    """`checks` are asked by `/ready`; `detail` is shown beside them (how runs are isolated, failed plugins)."""
    service = Blueprint("service", __name__)
    discovery = msgspec.json.encode(DISCOVERY)
    healthy = msgspec.json.encode({"status": "healthy"})

    @service.get("/health")
    async def health() -> Response:
        return Response(healthy, content_type=JSON)

    @service.get("/api/v2/ping")
    async def ping() -> Response:
        return Response(b"{}", content_type=JSON)

    @service.get("/.well-known/terraform.json")
    async def discover() -> Response:
        # terraform refuses any other content type here.
        return Response(discovery, content_type=JSON)

    @service.get("/ready")
    async def ready() -> Response:
        results = dict(zip(checks, await asyncio.gather(*(_ask(name, check) for name, check in checks.items())), strict=True))
        well = all(result.startswith("healthy") for result in results.values())
        document = {"status": "ready" if well else "unavailable", "checks": results, **({"detail": detail} if detail else {})}
        return Response(msgspec.json.encode(document), status=200 if well else 503, content_type=JSON)

    return service


async def _ask(name: str, check: Check) -> str:
    try:
        said = await asyncio.wait_for(check(), CHECK_SECONDS)
    except TimeoutError:
        return f"unhealthy: no answer within {CHECK_SECONDS:g} s"
    except Exception as error:  # noqa: BLE001 - whatever a part says, it is not ready
        log.warning("not ready", part=name, error=str(error))
        return f"unhealthy: {error}"
    return f"healthy ({said})" if said else "healthy"
