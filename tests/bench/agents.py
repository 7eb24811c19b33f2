"""What listeners cost, and whom they keep waiting: `nox -s bench -- agents`, some five minutes.

    nox -s bench -- agents --quick               a look: fewer and shorter rounds
    nox -s bench -- agents --only idle           one part: idle

It needs a terraform on PATH and a machine with nothing else to do. What was measured how is in docs/explanation/performance.md.
"""

from __future__ import annotations

from pathlib import Path

from tests.bench.parts import listeners
from tests.bench.tools.program import Part, run
from tests.bench.tools.report import Report
from tests.support.postgres import PostgresServer


def _idle(report: Report, directory: Path, postgres: PostgresServer, quick: bool) -> None:
    listeners.idle(report, directory, postgres, number=100 if quick else 1000, watched=10 if quick else 60, runs=10 if quick else 50)


PARTS: dict[str, Part] = {"idle": _idle}


if __name__ == "__main__":
    run("agents", PARTS)
