"""What a GiB costs in every storage: `nox -s bench -- storage`, some ten minutes.

nox -s bench -- storage --store s3          one storage: local, s3, gcs, azure (may be repeated)
nox -s bench -- storage --size 128          in MiB, for a look

The stores are rclone, fake-gcs-server and Azurite on this machine: they share its processors with what is measured, so read the
ratios, and the memory.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from pathlib import Path

from tests.bench.parts import storage
from tests.bench.tools.report import Report


def run() -> None:
    """Measure what the command line chooses, and print."""
    parser = argparse.ArgumentParser(prog="nox -s bench -- storage")
    parser.add_argument("--size", type=int, default=1024, help="in MiB  [default: 1024]")
    parser.add_argument("--store", choices=storage.NAMES, action="append", help="this storage alone (may be repeated)")
    chosen = parser.parse_args()
    report = Report("storage")
    report.console.print(f"{os.cpu_count()} processors, load before the start {os.getloadavg()[0]:.1f}")
    directory = Path(tempfile.mkdtemp(prefix="terrapod-bench-"))
    try:
        for kind in chosen.store or storage.NAMES:
            storage.measure(report, directory, kind, chosen.size * 2**20)
            for left in directory.glob(f"*-{kind}"):
                shutil.rmtree(left, ignore_errors=True)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        report.show()


if __name__ == "__main__":
    run()
