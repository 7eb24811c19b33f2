"""What following repositories costs: `nox -s bench -- vcs`, some six minutes.

nox -s bench -- vcs --quick               fewer workspaces, a smaller repository
nox -s bench -- vcs --everything          also all of the repository by plain git, three minutes more
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from pathlib import Path

from tests.bench.parts import vcs, vcs_large
from tests.bench.tools.report import Report


def run() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(prog="nox -s bench -- vcs")
    parser.add_argument("--quick", action="store_true", help="a tenth of everything")
    parser.add_argument("--everything", action="store_true", help="also all of the large repository by plain git")
    chosen = parser.parse_args()
    report = Report("vcs")
    report.console.print(f"{os.cpu_count()} processors, load before the start {os.getloadavg()[0]:.1f}")
    directory = Path(tempfile.mkdtemp(prefix="terrapod-bench-"))
    part = 10 if chosen.quick else 1
    try:
        vcs.polls(report, directory / "polls", repositories=50 // part, workspaces=500 // part)
        vcs.webhooks(report, directory / "webhooks", rounds=3 if chosen.quick else 10)
        vcs_large.large(report, directory / "large", size=500 * 2**20 // part, everything=chosen.everything)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        report.show()


if __name__ == "__main__":
    run()
