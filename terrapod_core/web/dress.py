"""What every request and answer wears: an id, the version headers, the headers browsers heed, one line in the log."""

from __future__ import annotations

import re
import time
from typing import Final

import structlog
from quart import Response, g, request

from terrapod_core import ids
from terrapod_core.audit import REQUEST, RequestInfo
from terrapod_core.errors import NotFound
from terrapod_core.settings import Settings
from terrapod_core.web.app import BoundedBody, TerrapodQuart
from terrapod_core.web.bodies import drain

API_VERSION: Final = "2.6"
"""`TFP-API-Version`: terraform's cloud block needs at least 2.5, `import` blocks under an agent 2.6."""

APP_NAME: Final = "Terrapod"

SECURITY: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
}

QUIET: Final = frozenset({"/health", "/ready", "/api/v2/ping"})

_ACCEPTABLE_ID = re.compile(r"^[A-Za-z0-9._-]{1,64}$")

log = structlog.get_logger("terrapod.access")


def dress(app: TerrapodQuart, settings: Settings) -> None:
    """Register the hooks on the application."""
    versions = {"TFP-API-Version": API_VERSION, "TFP-AppName": APP_NAME, "X-TFE-Version": settings.tfe_version}
    worn = [(name.lower(), name, value) for name, value in (versions | SECURITY).items()]

    @app.before_request
    async def begin() -> None:
        given = request.headers.get("X-Request-Id", "")
        g.request_id = given if _ACCEPTABLE_ID.match(given) else ids.new("req")
        g.started = time.perf_counter()
        REQUEST.set(RequestInfo(g.request_id, request.remote_addr))
        if "\0" in request.path:  # no name holds one, and PostgreSQL fails on being asked
            raise NotFound("there is nothing at this path")

    @app.after_request
    async def finish(response: Response) -> Response:
        if not isinstance(request.body, BoundedBody) or not request.body.is_read:
            await drain(request)
        # A page may have its own; all in one go, because each look into a response's headers reads through all of them.
        own = {name.lower() for name, _ in response.headers}
        fresh = [(name, value) for lower, name, value in worn if lower not in own]
        response.headers.extend([*fresh, ("X-Request-Id", g.get("request_id", "-"))])
        rule = request.url_rule.rule if request.url_rule is not None else "(no route)"
        if rule not in QUIET:
            actor = g.get("actor")
            log.info(
                "request",
                method=request.method,
                route=rule,
                status=response.status_code,
                ms=round((time.perf_counter() - g.get("started", time.perf_counter())) * 1000, 1),
                request_id=g.get("request_id"),
                actor=actor.id if actor else None,
            )
        return response
