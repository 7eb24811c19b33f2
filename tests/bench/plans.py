"""What plans cost: `nox -s bench -- plans`, some four minutes.

nox -s bench -- plans --quick           fewer rounds, without the plan of hundreds of megabytes
nox -s bench -- plans --only cancels    one part: redaction, huge, cancels
"""

from __future__ import annotations

from pathlib import Path

from tests.bench.parts import plans
from tests.bench.tools.program import Part, run
from tests.bench.tools.report import Report
from tests.support.postgres import PostgresServer


def _redaction(report: Report, directory: Path, _postgres: PostgresServer, quick: bool) -> None:
    plans.measure(report, directory, rounds=1 if quick else 5, period=3.0)


def _huge(report: Report, directory: Path, _postgres: PostgresServer, quick: bool) -> None:
    if not quick:
        plans.huge(report, directory)


def _cancels(report: Report, directory: Path, _postgres: PostgresServer, quick: bool) -> None:
    plans.cancels(report, directory, rounds=2 if quick else 5)


PARTS: dict[str, Part] = {"redaction": _redaction, "huge": _huge, "cancels": _cancels}


if __name__ == "__main__":
    run("plans", PARTS)
