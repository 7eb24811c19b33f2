"""What listeners cost, and whom they keep waiting: `nox -s bench -- agents`, some five minutes.

    nox -s bench -- agents --quick               a look: fewer and shorter rounds
    nox -s bench -- agents --only idle           one part: idle, queue

It needs a terraform on PATH and a machine with nothing else to do. What was measured how is in docs/explanation/performance.md.
"""

from __future__ import annotations

from pathlib import Path

from tests.bench.parts import listeners, queue
from tests.bench.tools.program import Part, run
from tests.bench.tools.report import Report
from tests.support.postgres import PostgresServer


def _idle(report: Report, directory: Path, postgres: PostgresServer, quick: bool) -> None:
    listeners.idle(report, directory, postgres, number=100 if quick else 1000, watched=10 if quick else 60, runs=10 if quick else 50)


def _queue(report: Report, directory: Path, _postgres: PostgresServer, quick: bool) -> None:
    queue.crowd(report, directory, workspaces=10 if quick else 50, each=2 if quick else 4, alone=3 if quick else 10, listeners=4)


PARTS: dict[str, Part] = {"idle": _idle, "queue": _queue}


if __name__ == "__main__":
    run("agents", PARTS)
