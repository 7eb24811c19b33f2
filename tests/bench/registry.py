"""What the registry costs: `nox -s bench -- registry`, some two minutes.

nox -s bench -- registry --quick            one short round
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from pathlib import Path

from tests.bench.parts import registry
from tests.bench.tools.report import Report


def run() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(prog="nox -s bench -- registry")
    parser.add_argument("--quick", action="store_true", help="one short round")
    parser.add_argument("--size", type=int, default=100, help="of the provider, in MiB  [default: 100]")
    chosen = parser.parse_args()
    report = Report("registry")
    report.console.print(f"{os.cpu_count()} processors, load before the start {os.getloadavg()[0]:.1f}")
    directory = Path(tempfile.mkdtemp(prefix="terrapod-bench-"))
    try:
        registry.documents(report, directory, rounds=1 if chosen.quick else 5, seconds=1 if chosen.quick else 4)
        registry.archives(report, directory, chosen.size * 2**20)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        report.show()


if __name__ == "__main__":
    run()
