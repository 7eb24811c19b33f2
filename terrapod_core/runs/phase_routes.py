"""The phase protocol on the wire, and the reading of logs by link."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeAlias

import msgspec
from quart import Blueprint, Response, request

from terrapod_core.errors import BadRequest, NotFound
from terrapod_core.jsonapi import parse_plain
from terrapod_core.runs.logs import CHUNK_BYTES, Logs
from terrapod_core.runs.phases import Phases
from terrapod_core.runs.requests import Claim, Report, Started
from terrapod_core.settings import Settings
from terrapod_core.storage import Capability, ObjectKind, PhaseClaim, PhaseTokens
from terrapod_core.web import Web, stream
from terrapod_core.web.bodies import whole

OCTETS = "application/octet-stream"
TEXT = "text/plain; charset=utf-8"

ARTIFACTS = {
    "plan-file": ObjectKind.PLAN_FILE,
    "plan-json": ObjectKind.PLAN_JSON,
    "provider-schemas": ObjectKind.PROVIDER_SCHEMAS,
}


Claimed: TypeAlias = Callable[[str], PhaseClaim]
"""Who asks for the phase of that id; raises `Unauthorized`, and `NotFound` for the token of another phase."""


def routes(phases: Phases, tokens: PhaseTokens, settings: Settings, web: Web) -> Blueprint:
    """`/api/runner/v1`: only a phase's own token opens it, and only for that phase."""
    api = Blueprint("phases", __name__, url_prefix="/api/runner/v1/phases/<phase_id>")

    def claimed(phase_id: str) -> PhaseClaim:
        claim = tokens.verify(web.bearer())
        if claim.phase_id != phase_id:
            raise NotFound("this token is for another phase")
        return claim

    _course(api, phases, claimed, web)
    _material(api, phases, claimed)
    _results(api, phases, claimed, settings, web)
    return api


def _course(api: Blueprint, phases: Phases, claimed: Claimed, web: Web) -> None:
    """How a phase goes: taken, begun, renewed, ended."""

    @api.post("/claim")
    async def claim(phase_id: str) -> Response:
        return _answer(await phases.claim(claimed(phase_id), parse_plain(await web.raw_json(), Claim)))

    @api.post("/started")
    async def started(phase_id: str) -> Response:
        await phases.started(claimed(phase_id), parse_plain(await web.raw_json(), Started))
        return Response(b"", status=204)

    @api.post("/renew")
    async def renew(phase_id: str) -> Response:
        return _answer(await phases.renew(claimed(phase_id)))

    @api.post("/report")
    async def report(phase_id: str) -> Response:
        token, said = claimed(phase_id), parse_plain(await web.raw_json(), Report)
        await phases.until_seen(token, said)
        await phases.report(token, said)
        return _answer({})


def _material(api: Blueprint, phases: Phases, claimed: Claimed) -> None:
    """What a runner fetches."""

    @api.get("/engine")
    async def engine(phase_id: str) -> Response:
        token = claimed(phase_id)
        tool, version, os, arch = (request.args.get(name, "") for name in ("tool", "version", "os", "arch"))
        return _answer(await phases.engine(token, tool, version, os, arch))

    @api.get("/configuration")
    async def configuration(phase_id: str) -> Response:
        chunks, size = await phases.configuration(claimed(phase_id))
        return stream(chunks, size=size, content_type=OCTETS)

    @api.get("/state")
    async def get_state(phase_id: str) -> Response:
        found = await phases.state(claimed(phase_id))
        return Response(b"", status=204) if found is None else stream(found[0], size=found[1], content_type=OCTETS)

    @api.get("/plan-file")
    async def get_plan_file(phase_id: str) -> Response:
        return stream(await phases.plan_file(claimed(phase_id)), size=None, content_type=OCTETS)


def _results(api: Blueprint, phases: Phases, claimed: Claimed, settings: Settings, web: Web) -> None:
    """What a runner hands in."""

    @api.put("/state")
    async def put_state(phase_id: str) -> Response:
        token = claimed(phase_id)
        serial, lineage, md5 = number("serial"), request.args.get("lineage", ""), request.args.get("md5", "")
        chunks = web.upload(settings.limits.state_bytes, "state")
        return _answer(await phases.put_state(token, serial, lineage, md5, chunks))

    @api.put("/<any('plan-file','plan-json','provider-schemas'):artifact>")
    async def put_artifact(phase_id: str, artifact: str) -> Response:
        limit = settings.limits.plan_bytes
        return _answer(await phases.put_artifact(claimed(phase_id), ARTIFACTS[artifact], web.upload(limit, artifact), limit))

    @api.put("/log")
    async def put_log(phase_id: str) -> Response:
        token = claimed(phase_id)
        return _answer(await phases.append_log(token, number("offset"), await whole(request, CHUNK_BYTES, "piece of log")))


def _answer(document: dict[str, object]) -> Response:
    return Response(msgspec.json.encode(document), content_type="application/json")


def log_reader(logs: Logs) -> Callable[[Capability], Awaitable[Response]]:
    """What a log link answers: the bytes asked for, 200 and nothing beyond the end (any other status ends the CLI's reading)."""

    async def read(capability: Capability) -> Response:
        offset = number("offset", 0)
        if "limit" not in request.args:
            return stream(whole_log(logs, capability.object_id, offset), size=None, content_type=TEXT)
        text = await logs.read(capability.object_id, offset, number("limit"))
        response = Response(text, content_type=TEXT)
        response.headers["Cache-Control"] = "no-store"
        return response

    return read


async def whole_log(logs: Logs, phase_id: str, offset: int) -> AsyncIterator[bytes]:
    """All there is so far, for people with curl: terraform always names a limit."""
    while text := await logs.read(phase_id, offset, CHUNK_BYTES):
        yield text
        offset += len(text)


def number(name: str, default: int | None = None) -> int:
    """A number in the query, `default` when it is not there. Raises `BadRequest`."""
    text = request.args.get(name)
    if text is None and default is not None:
        return default
    if text is None or not text.isascii() or not text.isdigit() or len(text) > 18:
        raise BadRequest(f"{name} must be a number of at least 0", parameter=name)
    return int(text)
