"""What every benchmark does around its parts: options, a folder, a PostgreSQL, the report."""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.bench.tools.report import Report
from tests.bench.tools.servers import postgresql
from tests.support.postgres import PostgresServer

Part = Callable[[Report, Path, PostgresServer, bool], None]
"""Measures into the report, in this folder; the last says to take a quick look only."""


def run(name: str, parts: Mapping[str, Part]) -> None:
    """Measure what the command line chooses of `parts`, and print."""
    parser = argparse.ArgumentParser(prog=f"nox -s bench -- {name}")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    parser.add_argument("--only", choices=parts, action="append", help="this part alone (may be repeated)")
    chosen = parser.parse_args()
    report = Report(name)
    load = os.getloadavg()[0]
    report.console.print(f"{os.cpu_count()} processors, load before the start {load:.1f}" + (": NOT IDLE" if load > 0.5 else ""))
    directory = Path(tempfile.mkdtemp(prefix="terrapod-bench-"))
    try:
        with postgresql() as postgres:
            for part in chosen.only or parts:
                parts[part](report, directory, postgres, chosen.quick)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        report.show()
