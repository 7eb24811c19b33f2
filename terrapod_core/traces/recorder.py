"""Makes spans and sends them to a collector by OTLP over HTTP. The only file that imports OpenTelemetry."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import datetime
from functools import cached_property
from typing import Any, Final

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision, ParentBased, TraceIdRatioBased
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from terrapod_core.settings import Tracing
from terrapod_core.traces.ids import run_span, run_trace

EXPORT_SECONDS: Final = 5.0
"""How long one sending may take, its repetitions included. Up to 2,048 spans wait meanwhile; more are dropped."""

_CHOSEN: ContextVar[tuple[int, int] | None] = ContextVar("chosen ids", default=None)
"""Trace and span of the span that is being made, when they are not to be random."""


class _Ids(RandomIdGenerator):
    """Random, unless they were chosen."""

    def generate_trace_id(self) -> int:
        chosen = _CHOSEN.get()
        return chosen[0] if chosen is not None else super().generate_trace_id()

    def generate_span_id(self) -> int:
        chosen = _CHOSEN.get()
        return chosen[1] if chosen is not None else super().generate_span_id()


class Recorder:
    """The spans of one process. Ended ones go to the collector in batches from a thread, so a collector that is away slows nobody."""

    def __init__(self, settings: Tracing) -> None:
        self._settings = settings
        self._ratio = TraceIdRatioBased(settings.sample_ratio)

    @cached_property
    def _provider(self) -> TracerProvider:
        chosen = self._settings
        # At the interpreter's end nobody waits for a collector: `close` has given it its time.
        provider = TracerProvider(
            sampler=ParentBased(self._ratio),
            resource=Resource.create({"service.name": chosen.service_name}),
            shutdown_on_exit=False,
            id_generator=_Ids(),
        )
        exporter = OTLPSpanExporter(endpoint=chosen.endpoint, headers=chosen.header_pairs, timeout=EXPORT_SECONDS)
        provider.add_span_processor(BatchSpanProcessor(exporter))
        return provider

    @cached_property
    def _tracer(self) -> Any:
        return self._provider.get_tracer("terrapod")

    def samples(self, run_id: str) -> bool:
        """Whether the spans of a run are sent. Its trace's id decides, so all with the same ratio say the same."""
        return self._ratio.should_sample(None, run_trace(run_id), "run").decision is Decision.RECORD_AND_SAMPLE

    def run_context(self, run_id: str) -> SpanContext:
        """Where the spans of a run belong."""
        flags = TraceFlags(TraceFlags.SAMPLED if self.samples(run_id) else TraceFlags.DEFAULT)
        return SpanContext(run_trace(run_id), run_span(run_id), is_remote=True, trace_flags=flags)

    def request(self, method: str, route: str, request_id: str, headers: Mapping[str, str]) -> Span:
        """A request has come; `headers` are those of W3C that say which trace it belongs to."""
        attributes = {"http.request.method": method, "http.route": route, "terrapod.request_id": request_id}
        above = TraceContextTextMapPropagator().extract(headers, context=Context())
        return self._start(f"{method} {route}", above, attributes, kind=SpanKind.SERVER)

    def job(self, name: str) -> Span:
        """A job has begun."""
        return self._start(f"job {name}", Context(), {"terrapod.job": name}, kind=SpanKind.CONSUMER)

    def link(self, span: Span, run_id: str) -> None:
        """Tell that `span` has to do with a run; once is enough."""
        if not isinstance(span, ReadableSpan):  # it is not sent
            return
        if "terrapod.run_id" not in (span.attributes or {}):
            span.set_attribute("terrapod.run_id", run_id)
        there = run_trace(run_id)
        if there not in {span.get_span_context().trace_id, *(each.context.trace_id for each in span.links)}:
            span.add_link(self.run_context(run_id))

    def past(self, above: Span, name: str, seconds: float, attributes: Mapping[str, str], *, failed: bool) -> None:
        """What was done within `above` and has just ended."""
        now = time.time_ns()
        span = self._start(name, set_span_in_context(above, Context()), attributes, started=now - int(seconds * 1e9))
        end(span, failed=failed, at=now)

    def of_run(
        self,
        run_id: str,
        name: str,
        started: datetime,
        ended: datetime,
        attributes: Mapping[str, str | int],
        *,
        span_id: int | None,
        failed: bool,
    ) -> None:
        """A part of a run that is over. The run itself, when `span_id` is its own."""
        is_root = span_id == run_span(run_id)
        above = Context() if is_root else set_span_in_context(NonRecordingSpan(self.run_context(run_id)), Context())
        chosen = _CHOSEN.set((run_trace(run_id), span_id)) if span_id is not None else None
        try:
            span = self._start(name, above, {"terrapod.run_id": run_id, **attributes}, started=_nanoseconds(started))
        finally:
            if chosen is not None:
                _CHOSEN.reset(chosen)
        end(span, failed=failed, at=_nanoseconds(ended))

    def _start(
        self,
        name: str,
        above: Context,
        attributes: Mapping[str, str | int],
        *,
        kind: SpanKind = SpanKind.INTERNAL,
        started: int | None = None,
    ) -> Span:
        span: Span = self._tracer.start_span(name, context=above, kind=kind, start_time=started, attributes=dict(attributes))
        return span

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


def end(span: Span, *, failed: bool, at: int | None = None) -> None:
    """End it now, or at that moment in nanoseconds. Why it failed is not told: what an error says may be a secret."""
    if failed:
        span.set_status(StatusCode.ERROR)
    span.end(at)


def trace_of(span: Span) -> str:
    """The trace's id as the log writes it."""
    return f"{span.get_span_context().trace_id:032x}"


def _nanoseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1e6) * 1000
