"""`/listeners/{id}/runs`: listeners take runs and tell of them. `agents` says who asks."""

from __future__ import annotations

import re
from typing import Final

from quart import Blueprint, Response, request

from terrapod_core.agents.documents import MOST_CAPACITY
from terrapod_core.agents.signed_routes import SignedRoutes
from terrapod_core.errors import BadRequest
from terrapod_core.jsonapi import Rendering, parse
from terrapod_core.runs.listener_resources import GIVEN_RUN, TOLD_RUN
from terrapod_core.runs.listener_runs import ListenerRuns, TellRun
from terrapod_core.runs.offers import HeldPhase, Offer, Offers, Poll
from terrapod_core.web import Web

WAIT_SECONDS: Final = 30
LONGEST_WAIT: Final = 600

_HELD: Final = re.compile(r"((?:plan|apply)-[A-Za-z0-9]{1,40})\.([1-9][0-9]{0,8})")


def routes(offers: Offers, told: ListenerRuns, signed: SignedRoutes, web: Web) -> Blueprint:
    """Mounted at `/api/v2`."""
    listeners = Blueprint("listener_runs", __name__)

    @listeners.get("/listeners/<listener_id>/runs/next")
    async def next_run(listener_id: str) -> Response:
        identity, _ = await signed.caller(listener_id)
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        wait, holds = _wait(), _holds()
        if request.method == "HEAD":
            return Response(b"", content_type=web.negotiated(), headers=headers)
        rendering = web.rendering(identity.actor)
        poll = Poll(identity, web.base_url(), wait, holds, lambda offer: _written(offer, rendering))
        response = Response(offers.open(poll), content_type=web.negotiated(), headers=headers)
        response.timeout = None
        return response

    @listeners.patch("/listeners/<listener_id>/runs/<run_id>")
    async def tell(listener_id: str, run_id: str) -> Response:
        identity, body = await signed.caller(listener_id)
        return await web.document(TOLD_RUN, await told.tell(identity, run_id, parse(body, TellRun)))

    return listeners


def _written(offer: Offer, rendering: Rendering) -> bytes:
    cancels = [{"run-id": each.run_id, "phase-id": each.phase_id, "epoch": each.epoch, "cancel": each.cancel} for each in offer.cancels]
    return GIVEN_RUN.document(offer.given, rendering, meta={"cancels": cancels, "over": [str(each) for each in offer.over]})


def _wait() -> int:
    text = request.args.get("wait", str(WAIT_SECONDS))
    if not (text.isascii() and text.isdigit() and len(text) <= 3 and 1 <= int(text) <= LONGEST_WAIT):
        raise BadRequest(f"wait must be a number of seconds between 1 and {LONGEST_WAIT}", parameter="wait")
    return int(text)


def _holds() -> frozenset[HeldPhase]:
    texts = [text for text in request.args.get("holds", "").split(",") if text]
    found = [_HELD.fullmatch(text) for text in texts]
    if len(texts) > 2 * MOST_CAPACITY or None in found:
        raise BadRequest("holds must be phases with their epochs, as plan-4mT9.1,apply-9fK2.2", parameter="holds")
    return frozenset(HeldPhase(match[1], int(match[2])) for match in found if match is not None)
