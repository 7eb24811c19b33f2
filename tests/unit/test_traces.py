"""The ids of a run's trace, and whether it is sent."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import cast

import pytest
import structlog

from terrapod_core import traces
from terrapod_core.db import UnitOfWork
from terrapod_core.runner.order import Material
from terrapod_core.runs import tracing
from terrapod_core.runs.models import Phase, Run
from terrapod_core.settings import Tracing
from tests.support.collector import attributes, collecting

RUN, PHASE = "run-AAAAAAAAAAAAAAAA", "plan-AAAAAAAAAAAAAAAA"
ENDPOINT = "http://collector:4318/v1/traces"


@pytest.fixture(autouse=True)
def off_again() -> Iterator[None]:
    yield
    traces.opened(Tracing())


def test_the_ids_of_a_run_follow_from_its_own() -> None:
    # Written out: servers of two versions must find the same ones.
    assert f"{traces.run_trace(RUN):032x}" == "8927ae3152c5afea86fa2679b392bbfe"
    assert traces.phase_span(PHASE, 1) != traces.phase_span(PHASE, 2), "another try is another span"
    assert len({traces.run_span(RUN), traces.phase_span(PHASE, 1), traces.phase_span(PHASE, 2)}) == 3
    assert traces.run_trace(RUN) < 2**128
    assert traces.run_span(RUN) < 2**64


def test_every_server_decides_the_same_about_a_run() -> None:
    runs = [f"run-{number:016}" for number in range(400)]
    chosen = []
    for _server in range(2):
        traces.opened(Tracing(endpoint=ENDPOINT, sample_ratio=0.5))
        chosen.append({run for run in runs if traces.phase_parent(run, PHASE, 1) is not None})
    assert chosen[0] == chosen[1]
    assert 120 < len(chosen[0]) < 280
    traces.opened(Tracing(endpoint=ENDPOINT, sample_ratio=0.9))
    assert chosen[0] <= {run for run in runs if traces.phase_parent(run, PHASE, 1) is not None}, "a higher share holds the lower one"


def test_a_runner_is_told_its_span_only_when_it_is_sent() -> None:
    assert traces.phase_parent(RUN, PHASE, 1) is None
    traces.opened(Tracing(endpoint=ENDPOINT, sample_ratio=0.0))
    assert traces.phase_parent(RUN, PHASE, 1) is None
    traces.opened(Tracing(endpoint=ENDPOINT))
    assert traces.phase_parent(RUN, PHASE, 1) == f"00-{traces.run_trace(RUN):032x}-{traces.phase_span(PHASE, 1):016x}-01"


async def test_what_a_job_does_is_told_with_it() -> None:
    with collecting() as collector:
        recorder = traces.opened(Tracing(endpoint=collector.endpoint))
        assert recorder is not None
        with pytest.raises(ValueError, match="a secret"), traces.job("runs.tidy"):
            logged = structlog.contextvars.get_contextvars()["trace_id"]
            traces.within("storage read", 0.5, {"terrapod.backend": "local"}, failed=False)
            for _twice in range(2):
                traces.concerns_run(RUN)
            traces.concerns_run("run-BBBBBBBBBBBBBBBB")
            raise ValueError("a secret")
        assert "trace_id" not in structlog.contextvars.get_contextvars()
        traces.within("storage read", 0.5, {}, failed=False)
        await recorder.close(5.0)
    stored, job = collector.spans
    assert (job.name, job.trace_id.hex(), job.status.code, attributes(job)["terrapod.outcome"]) == ("job runs.tidy", logged, 2, "failed")
    assert (stored.name, stored.parent_span_id, stored.trace_id) == ("storage read", job.span_id, job.trace_id)
    assert stored.end_time_unix_nano - stored.start_time_unix_nano == 500_000_000
    assert attributes(job)["terrapod.run_id"] == RUN
    assert [int.from_bytes(link.trace_id) for link in job.links] == [traces.run_trace(RUN), traces.run_trace("run-BBBBBBBBBBBBBBBB")]
    assert b"a secret" not in collector.raw


class Committed:
    """A unit of work whose commit comes at once."""

    def then(self, act: Callable[[], None]) -> None:
        act()

    def now(self) -> datetime:
        return datetime(2030, 1, 1, 12, 1, tzinfo=UTC)


async def test_each_try_at_a_phase_is_a_span_and_a_lost_one_has_failed() -> None:
    began = datetime(2030, 1, 1, 12, tzinfo=UTC)
    run = Run(id=RUN, workspace_id="ws-AAAAAAAAAAAAAAAA")
    phase = Phase(id=PHASE, kind="plan", epoch=1, queued_at=began, backend="local")
    uow = cast("UnitOfWork", Committed())
    with collecting() as collector:
        recorder = traces.opened(Tracing(endpoint=collector.endpoint))
        assert recorder is not None
        tracing.tried(uow, run, phase, "lost")  # nobody had it
        for outcome in ("lost", "finished"):
            tracing.waited(uow, run, phase)
            phase.claimed_by, phase.started_at = "one 1", began
            tracing.tried(uow, run, phase, outcome)
            phase.epoch += 1
        await recorder.close(5.0)
    assert [(span.name, span.status.code) for span in collector.spans] == [("queue plan", 0), ("plan", 2), ("plan", 0)]
    assert [int.from_bytes(span.span_id) for span in collector.spans[1:]] == [traces.phase_span(PHASE, epoch) for epoch in (1, 2)]
    assert {span.parent_span_id for span in collector.spans} == {traces.run_span(RUN).to_bytes(8)}


@pytest.mark.parametrize(
    ("told", "taken"),
    [
        (f"00-{'a' * 32}-{'b' * 16}-01", f"00-{'a' * 32}-{'b' * 16}-01"),
        (f"00-{'a' * 32}-{'b' * 16}-01\n", None),
        ("anything", None),
        (7, None),
        (None, None),
    ],
)
def test_a_runner_takes_no_other_text_for_a_header(told: object, taken: str | None) -> None:
    material = Material.parse({"phase": "plan", "run-id": RUN, "traceparent": told})
    assert material.traceparent == taken


def test_nothing_of_opentelemetry_is_imported_while_tracing_is_off() -> None:
    code = "import sys, terrapod_core.app.terrapod; sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
