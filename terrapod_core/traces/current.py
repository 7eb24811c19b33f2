"""What the rooms call: which request or job is being worked on, and what there is to tell of it. Nothing here imports OpenTelemetry."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

import structlog

from terrapod_core.settings import SettingsError, Tracing
from terrapod_core.traces.ids import phase_span, run_span, run_trace

if TYPE_CHECKING:
    from opentelemetry.trace import Span

    from terrapod_core.traces.recorder import Recorder

PARENT: Final = ("traceparent", "tracestate")
"""W3C's names of the headers that say which trace a request belongs to."""


class _InUse:
    """Of this process, like its metrics."""

    recorder: Recorder | None = None


_SPAN: ContextVar[Span | None] = ContextVar("span", default=None)
"""Of the request or the job that is being worked on."""


def opened(settings: Tracing) -> Recorder | None:
    """Trace from now on as the settings say; `None` when no collector is named.

    Raises `SettingsError` when what that needs is not installed.
    """
    _InUse.recorder = None
    if settings.endpoint is None:
        return None
    if find_spec("opentelemetry") is None or find_spec("opentelemetry.exporter") is None:
        raise SettingsError("tracing.endpoint needs OpenTelemetry, which is not installed: pip install 'terrapod-core[tracing]'")
    from terrapod_core.traces.recorder import Recorder

    _InUse.recorder = Recorder(settings)
    return _InUse.recorder


def are_on() -> bool:
    """Whether spans are made at all."""
    return _InUse.recorder is not None


class Request:
    """The span of a request, from its head to the beginning of its answer."""

    def __init__(self, span: Span) -> None:
        self._span = span

    def answered(self, status: int) -> None:
        """The answer begins."""
        from terrapod_core.traces.recorder import end

        self._span.set_attribute("http.response.status_code", status)
        end(self._span, failed=status >= 500)


def request(method: str, route: str, request_id: str, headers: Mapping[str, str]) -> Request | None:
    """What this task does from now on belongs to that request. `headers` are the `PARENT` it brought; `None` when nothing is traced."""
    recorder = _InUse.recorder
    if recorder is None:
        return None
    from terrapod_core.traces.recorder import trace_of

    span = recorder.request(method, route, request_id, headers)
    _SPAN.set(span)
    structlog.contextvars.bind_contextvars(trace_id=trace_of(span))
    return Request(span)


@contextmanager
def job(name: str) -> Iterator[None]:
    """What is done within belongs to that job, which has failed when it raises; `told` says how it ended otherwise."""
    recorder = _InUse.recorder
    if recorder is None:
        yield
        return
    from terrapod_core.traces.recorder import end, trace_of

    span = recorder.job(name)
    before = _SPAN.set(span)
    try:
        with structlog.contextvars.bound_contextvars(trace_id=trace_of(span)):
            yield
    except Exception:
        told("failed", failed=True)
        raise
    finally:
        end(span, failed=False)
        _SPAN.reset(before)


def told(outcome: str, *, failed: bool = False) -> None:
    """How the job that is being worked on has ended."""
    span = _SPAN.get()
    if span is None:
        return
    from opentelemetry.trace import StatusCode

    span.set_attribute("terrapod.outcome", outcome)
    if failed:
        span.set_status(StatusCode.ERROR)


def within(name: str, seconds: float, attributes: Mapping[str, str], *, failed: bool) -> None:
    """Something that the request or job did has just ended, and took so long. Outside of both nothing is told."""
    span, recorder = _SPAN.get(), _InUse.recorder
    if span is not None and recorder is not None:
        recorder.past(span, name, seconds, attributes, failed=failed)


def concerns_run(run_id: str) -> None:
    """The request or job that is being worked on does something to a run: it is linked to the run's trace, unless it is in it.

    It may do something to several, as one that ends a run and lets the next begin; the attribute names the first.
    """
    span, recorder = _SPAN.get(), _InUse.recorder
    if span is not None and recorder is not None:
        recorder.link(span, run_id)


def phase_parent(run_id: str, phase_id: str, epoch: int) -> str | None:
    """The `traceparent` of what a runner asks for its phase; `None` when nothing is traced or this run is not sampled."""
    recorder = _InUse.recorder
    if recorder is None or not recorder.samples(run_id):
        return None
    return f"00-{run_trace(run_id):032x}-{phase_span(phase_id, epoch):016x}-01"


def of_run(
    run_id: str,
    name: str,
    started: datetime,
    ended: datetime,
    attributes: Mapping[str, str | int],
    *,
    span_id: int | None = None,
    failed: bool = False,
) -> None:
    """A part of a run that is over."""
    if _InUse.recorder is not None:
        _InUse.recorder.of_run(run_id, name, started, ended, attributes, span_id=span_id, failed=failed)


def run_over(run_id: str, started: datetime, ended: datetime, attributes: Mapping[str, str], *, failed: bool) -> None:
    """The run has ended: the root of its trace."""
    of_run(run_id, "run", started, ended, attributes, span_id=run_span(run_id), failed=failed)
