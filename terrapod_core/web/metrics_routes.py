"""`/metrics`, for Prometheus."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Awaitable, Callable, Sequence

from quart import Blueprint, Response, request

from terrapod_core.errors import Unauthorized
from terrapod_core.metrics.definitions import Sample
from terrapod_core.metrics.exposition import render
from terrapod_core.settings import Metrics


def routes(settings: Metrics, readings: Callable[[], Awaitable[Sequence[Sample]]]) -> Blueprint:
    """`readings` are the gauges that this process does not know by itself; it raises nothing."""
    blueprint = Blueprint("metrics", __name__)

    @blueprint.get("/metrics")
    async def metrics() -> Response:
        if settings.token is not None:
            scheme, _, shown = request.headers.get("Authorization", "").partition(" ")
            right = hmac.compare_digest(shown.strip().encode("utf-8", "surrogateescape"), settings.token.encode())
            if scheme.lower() != "bearer" or not right:
                raise Unauthorized("the metrics ask for their own token (setting metrics.token): Authorization: Bearer <token>")
        text, content_type = await asyncio.to_thread(render, request.headers.get("Accept", ""), await readings())
        return Response(text, content_type=content_type)

    return blueprint
