"""What mirrors cost: `nox -s bench -- mirror`, some two minutes.

nox -s bench -- mirror --quick            one short round
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from pathlib import Path

from tests.bench.parts import mirror
from tests.bench.tools.report import Report


def run() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(prog="nox -s bench -- mirror")
    parser.add_argument("--quick", action="store_true", help="one short round")
    parser.add_argument("--size", type=int, default=100, help="of the provider, in MiB  [default: 100]")
    chosen = parser.parse_args()
    report = Report("mirror")
    report.console.print(f"{os.cpu_count()} processors, load before the start {os.getloadavg()[0]:.1f}")
    directory = Path(tempfile.mkdtemp(prefix="terrapod-bench-"))
    try:
        mirror.documents(report, directory, rounds=1 if chosen.quick else 5, seconds=1 if chosen.quick else 4)
        mirror.archives(report, directory, chosen.size * 2**20)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        report.show()


if __name__ == "__main__":
    run()
