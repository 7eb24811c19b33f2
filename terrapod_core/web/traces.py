"""Spans of requests, sent to a collector by OTLP over HTTP. Nothing of OpenTelemetry is imported until a span is made.

A span says the route's template, never the path: some paths hold what must not be known.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Mapping
from functools import cached_property
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from terrapod_core.settings import SettingsError, Tracing

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

PARENT: Final = ("traceparent", "tracestate")
"""W3C's names of the headers that say which trace a request belongs to."""

EXPORT_SECONDS: Final = 5.0
"""How long one sending may take, its repetitions included. Up to 2,048 spans wait meanwhile; more are dropped."""


class Traces:
    """The spans of one process. Ended ones go to the collector in batches from a thread, so a collector that is away slows nobody."""

    def __init__(self, settings: Tracing) -> None:
        """Raises `SettingsError` when what the sending needs is not installed."""
        if find_spec("opentelemetry") is None or find_spec("opentelemetry.exporter") is None:
            raise SettingsError("tracing.endpoint needs OpenTelemetry, which is not installed: pip install 'terrapod-core[tracing]'")
        self._settings = settings

    @classmethod
    def of(cls, settings: Tracing) -> Traces | None:
        """`None` when no collector is named."""
        return cls(settings) if settings.endpoint is not None else None

    @cached_property
    def _provider(self) -> TracerProvider:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

        chosen = self._settings
        # At the interpreter's end nobody waits for a collector: `close` has given it its time.
        provider = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(chosen.sample_ratio)),
            resource=Resource.create({"service.name": chosen.service_name}),
            shutdown_on_exit=False,
        )
        exporter = OTLPSpanExporter(endpoint=chosen.endpoint, headers=chosen.header_pairs, timeout=EXPORT_SECONDS)
        provider.add_span_processor(BatchSpanProcessor(exporter))
        return provider

    @cached_property
    def _tracer(self) -> Any:
        return self._provider.get_tracer("terrapod")

    def request(self, method: str, route: str, status: int, seconds: float, request_id: str, parent: Mapping[str, str]) -> str:
        """Note a request whose answer begins now and took so long; returns the trace's id. `parent` are the headers `PARENT` it brought."""
        from opentelemetry.trace import SpanKind, StatusCode
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        span = self._tracer.start_span(
            f"{method} {route}",
            context=TraceContextTextMapPropagator().extract(parent),
            kind=SpanKind.SERVER,
            start_time=time.time_ns() - int(seconds * 1e9),
            attributes={
                "http.request.method": method,
                "http.route": route,
                "http.response.status_code": status,
                "terrapod.request_id": request_id,
            },
        )
        if status >= 500:
            span.set_status(StatusCode.ERROR)
        span.end()
        return f"{span.get_span_context().trace_id:032x}"

    async def close(self, seconds: float) -> None:
        """Send what waits, for at most so long."""
        if "_provider" not in self.__dict__:
            return
        loop, sent = asyncio.get_running_loop(), asyncio.Event()

        def send() -> None:
            self._provider.shutdown()
            loop.call_soon_threadsafe(sent.set)

        threading.Thread(target=send, name="traces:close", daemon=True).start()
        try:
            await asyncio.wait_for(sent.wait(), seconds)
        except TimeoutError:
            return
