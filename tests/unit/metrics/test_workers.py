"""Several processes of one server: whoever is scraped tells for all of them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from terrapod_core.metrics.workers import VARIABLE, forget, share

COUNT = """
from terrapod_core.metrics.definitions import JOB_SECONDS, JOBS_RUN, STREAMS_OPEN
JOBS_RUN.labels("a.job", "done").inc(2)
JOB_SECONDS.labels("a.job").observe(0.5)
STREAMS_OPEN.inc(3)
import os; print(os.getpid())
"""
TELL = """
from terrapod_core.metrics.definitions import JOBS_DEAD, READ
from terrapod_core.metrics.exposition import render
print(render("", [(READ, (), 1.0), (JOBS_DEAD, (), 4.0)])[0].decode())
"""


def process(program: str, environ: dict[str, str]) -> str:
    """What a process of its own prints."""
    return subprocess.run([sys.executable, "-c", program], env=os.environ | environ, check=True, capture_output=True, text=True).stdout


def test_counters_are_added_up_and_readings_are_not(tmp_path: Path) -> None:
    environ: dict[str, str] = {}
    share(tmp_path / "metrics", environ)
    process(COUNT, environ)
    process(COUNT, environ)
    told = process(TELL, environ)
    assert 'terrapod_jobs_total{name="a.job",outcome="done"} 4.0' in told
    assert 'terrapod_job_duration_seconds_count{name="a.job"} 2.0' in told
    assert "terrapod_streams_open 6.0" in told
    assert "terrapod_jobs_dead 4.0" in told
    assert "process_resident" not in told


def test_what_a_process_had_open_ends_with_it_and_what_it_did_stays(tmp_path: Path) -> None:
    environ: dict[str, str] = {}
    share(tmp_path / "1", environ)
    gone = int(process(COUNT, environ))
    process(COUNT, environ)
    forget(gone, tmp_path / "1")
    told = process(TELL, environ)
    assert "terrapod_streams_open 3.0" in told
    assert 'terrapod_jobs_total{name="a.job",outcome="done"} 4.0' in told


def test_a_new_start_begins_at_nothing(tmp_path: Path) -> None:
    environ: dict[str, str] = {}
    share(tmp_path / "1", environ)
    process(COUNT, environ)
    share(tmp_path / "1", environ)
    assert environ[VARIABLE] == str(tmp_path / "1")
    assert 'name="a.job"' not in process(TELL, environ)


def test_forked_processes_share_when_they_were_told_before_the_library_came(tmp_path: Path) -> None:
    program = f"""
import os, pathlib
from terrapod_core.metrics.workers import share
share(pathlib.Path({str(tmp_path / "1")!r}))
from terrapod_core.metrics.definitions import RATE_LIMITED
for _ in range(2):
    if os.fork() == 0:
        RATE_LIMITED.labels("token").inc()
        os._exit(0)
    os.wait()
{TELL}"""
    assert 'terrapod_http_rate_limited_total{limit="token"} 2.0' in process(program, {})
