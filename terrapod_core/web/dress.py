"""What every request and answer wears: an id, an address, the version headers, the headers browsers heed, one line in the log."""

from __future__ import annotations

import re
import time
from functools import cache
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import urlsplit

import structlog
from prometheus_client import Counter, Histogram
from quart import Request, Response, g, request

from terrapod_core import ids, traces
from terrapod_core.audit import REQUEST, RequestInfo
from terrapod_core.authz import Actor
from terrapod_core.errors import NotFound
from terrapod_core.metrics.definitions import REQUEST_SECONDS, REQUESTS
from terrapod_core.settings import Settings
from terrapod_core.storage import Holder
from terrapod_core.storage.phase_tokens import PREFIXES
from terrapod_core.traces.current import PARENT
from terrapod_core.web.app import BoundedBody, TerrapodQuart
from terrapod_core.web.bodies import drain
from terrapod_core.web.inner import inner_actor
from terrapod_core.web.listener import CONNECTION, Waiting
from terrapod_core.web.rates import Admitted, Credential, CredentialKind, Meter, RateLimits
from terrapod_core.web.visitors import Proxies

API_VERSION: Final = "2.6"
"""`TFP-API-Version`: terraform's cloud block needs at least 2.5, `import` blocks under an agent 2.6."""

APP_NAME: Final = "Terrapod"

SECURITY: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    # For what is no page: whatever a browser takes it for, it runs nothing, loads nothing and is framed by nobody.
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""Of every answer that does not bring its own."""

HSTS: Final = "max-age=31536000"

PROBES: Final = frozenset({"/health", "/ready", "/api/v2/ping"})

QUIET: Final = PROBES | {"/metrics"}
"""Not worth a line in the log."""

FREE: Final = PROBES | {"/.well-known/terraform.json"}
"""Answered without asking anything (`/ready`: more than once a second), so not counted; nor are the files that pages link to."""

METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""Any other word is counted as `other`: a client may send what it likes."""

ASSETS: Final = "/app/static/"
API: Final = "/api/"
RUNNER: Final = "/api/runner/"
LINKS: Final = "/c/"
ENGINE_PREFIX: Final = PREFIXES[Holder.ENGINE]

_KEY_ID = re.compile(r';keyid="([0-9a-f]{1,40})"')
_ACCEPTABLE_ID = re.compile(r"^[A-Za-z0-9._-]{1,64}$")

log = structlog.get_logger("terrapod.access")


async def _end_body(asked: Request, response: Response) -> None:
    """Read a little of what nobody has read of the body, and tell the client when the server will hang up on the rest."""
    body = asked.body
    if isinstance(body, BoundedBody) and body.is_read:
        return
    await drain(asked)
    if isinstance(body, BoundedBody) and not body.is_whole and asked.http_version.startswith("1"):
        response.headers["Connection"] = "close"  # else its next request would be sent there, and lost


def dress(app: TerrapodQuart, settings: Settings, meter: Meter | None = None) -> None:
    """Register the hooks on the application. `meter` counts requests; without one this process counts for itself."""
    versions = {"TFP-API-Version": API_VERSION, "TFP-AppName": APP_NAME, "X-TFE-Version": settings.tfe_version}
    worn = [(name.lower(), name, value) for name, value in (versions | SECURITY | transport_security(settings)).items()]
    proxies = Proxies(settings.server.trusted_proxies, settings.server.trusted_proxy_addresses)
    rates = RateLimits(settings.limits, meter)

    # Each look through Quart's proxies of the request costs as much as a line here, so the things themselves are taken once.
    @app.before_request
    async def begin() -> None:
        asked, noted = _current()
        given = asked.headers.get("X-Request-Id", "")
        noted.request_id = given if _ACCEPTABLE_ID.match(given) else ids.new("req")
        noted.started = time.perf_counter()
        if proxies.depth:
            # From here on everybody who looks sees the client: audit, sign-in's limits, sessions.
            asked.remote_addr = proxies.client(asked.remote_addr, asked.headers.getlist("X-Forwarded-For"))
        inner = inner_actor(asked) is not None
        if inner:
            asked.remote_addr = None
        REQUEST.set(RequestInfo(noted.request_id, asked.remote_addr))
        noted.traced = _trace(asked, noted.request_id) if traces.are_on() else None
        path = asked.path
        if "\0" in path:  # no name holds one, and PostgreSQL fails on being asked
            raise NotFound("there is nothing at this path")
        if path not in FREE and not path.startswith(ASSETS) and not inner:
            noted.admitted = await rates.admit(credential_of(asked, path), asked.remote_addr)

    @app.after_request
    async def finish(response: Response) -> Response:
        asked, noted = _current()
        await _end_body(asked, response)
        request_id = noted.get("request_id", "-")
        # A page may have its own; all in one go, because each look into a response's headers reads through all of them.
        own = {name.lower() for name, _ in response.headers}
        fresh = [(name, value) for lower, name, value in worn if lower not in own]
        response.headers.extend([*fresh, ("X-Request-Id", request_id)])
        actor: Actor | None = noted.get("actor")
        admitted: Admitted | None = noted.get("admitted")
        if admitted is not None and admitted.credential is not None:
            await _settle(rates, asked, admitted, actor, response.status_code)
        rule = _rule(asked)
        now = time.perf_counter()
        taken = now - noted.get("started", now)
        _count(asked.method, rule, response.status_code, taken)
        if rule not in QUIET:
            _answered(noted, response.status_code)
            log.info(
                "request",
                method=asked.method,
                route=rule,
                status=response.status_code,
                ms=round(taken * 1000, 1),
                request_id=request_id,
                actor=actor.id if actor else None,
                address=asked.remote_addr,
            )
        return response


def _rule(asked: Request) -> str:
    return asked.url_rule.rule if asked.url_rule is not None else "(no route)"


def _trace(asked: Request, request_id: str) -> traces.Request | None:
    """A span says the route's template, never the path: some paths hold what must not be known."""
    rule = _rule(asked)
    if rule in QUIET:
        return None
    parent = {name: asked.headers.get(name, "") for name in PARENT}
    return traces.request(asked.method if asked.method in METHODS else "other", rule, request_id, parent)


def _answered(noted: Any, status: int) -> None:
    traced: traces.Request | None = noted.get("traced")
    if traced is not None:
        traced.answered(status)


def _count(method: str, route: str, status: int, seconds: float) -> None:
    requests, durations = _counted(method if method in METHODS else "other", route, status // 100)
    requests.inc()
    durations.observe(seconds)


@cache
def _counted(method: str, route: str, hundreds: int) -> tuple[Counter, Histogram]:
    """Looking them up by their labels takes twice as long as counting; there are as many as routes and methods."""
    return REQUESTS.labels(method, route, f"{hundreds}xx"), REQUEST_SECONDS.labels(method, route)


def _current() -> tuple[Request, Any]:
    return request._get_current_object(), g._get_current_object()  # type: ignore[attr-defined]


def transport_security(settings: Settings) -> dict[str, str]:
    """`Strict-Transport-Security` where clients are told to come by https. Not for a loopback name or a bare address:
    a browser would refuse every other program on this machine that speaks plain HTTP.
    """
    parts = urlsplit(settings.external_url or "")
    host = parts.hostname or ""
    if parts.scheme != "https" or host == "localhost" or host.endswith(".localhost"):
        return {}
    try:
        ip_address(host)
    except ValueError:
        return {"Strict-Transport-Security": HSTS}
    return {}


def credential_of(asked: Request, path: str) -> Credential | None:
    """What came with the request and may prove valid; `None` when nothing did."""
    if path.startswith(LINKS):
        return Credential.of(CredentialKind.LINK, path[len(LINKS) :])
    scheme, _, token = asked.headers.get("Authorization", "").partition(" ")
    if token and scheme.lower() == "bearer":
        kind = CredentialKind.ENGINE if token.strip().startswith(ENGINE_PREFIX) else CredentialKind.TOKEN
        return Credential.of(CredentialKind.PHASE if path.startswith(RUNNER) else kind, token.strip())
    signed = _KEY_ID.search(asked.headers.get("Signature-Input", "")[:2048])
    if signed is not None:
        # A listener's certificate: what is signed changes with every request. Only the listener and the server know its number.
        return Credential.of(CredentialKind.TOKEN, signed[1])
    cookies = "" if path.startswith(API) else asked.headers.get("Cookie", "")
    return Credential.of(CredentialKind.TOKEN, cookies) if cookies else None


async def _settle(rates: RateLimits, asked: Request, admitted: Admitted, actor: Actor | None, status: int) -> None:
    """Afterwards it is known whether the credential was right."""
    of_actor = admitted.credential is not None and admitted.credential.kind in (CredentialKind.TOKEN, CredentialKind.ENGINE)
    # Of a link and a phase's token the route alone knows: by an answer that it gives to nobody else. So one must have been asked.
    asked_one = asked.routing_exception is None and asked.method != "OPTIONS"
    right = actor is not None if of_actor else asked_one and (status < 400 or status in (409, 413, 422))
    if right:
        if not admitted.proved:
            await rates.prove(admitted, (actor.token_id or actor.session_id or actor.id) if actor is not None else None)
        connection: Waiting | None = asked.scope.get("state", {}).get(CONNECTION)
        if connection is not None and not connection.proved:
            connection.proved = True
    elif admitted.proved and status in (401, 404):
        rates.disprove(admitted)
