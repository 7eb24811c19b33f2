"""Spans for OpenTelemetry: of requests, of jobs, and of runs, each of which is one trace.

While tracing is off, each call here costs one look, and nothing of OpenTelemetry is imported.
"""

from __future__ import annotations

from terrapod_core.traces.current import Request, are_on, concerns_run, job, of_run, opened, phase_parent, request, run_over, told, within
from terrapod_core.traces.ids import phase_span, run_span, run_trace

__all__ = [
    "Request",
    "are_on",
    "concerns_run",
    "job",
    "of_run",
    "opened",
    "phase_parent",
    "phase_span",
    "request",
    "run_over",
    "run_span",
    "run_trace",
    "told",
    "within",
]
