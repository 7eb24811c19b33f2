"""What runs cost and whom they keep waiting: `nox -s bench -- runs`, some ten minutes.

    nox -s bench -- runs --quick                 a look: fewer and shorter rounds
    nox -s bench -- runs --only queue            one part: queue, first-byte, and those of `live` and `plans`

It needs a terraform on PATH and a machine with nothing else to do. The aims hold for medians; what was measured how is in
docs/explanation/performance.md.
"""

from __future__ import annotations

from pathlib import Path

from tests.bench import live, plans
from tests.bench.parts import queue
from tests.bench.tools.program import Part, run
from tests.bench.tools.report import Report
from tests.support.postgres import PostgresServer


def _queue(report: Report, directory: Path, _postgres: PostgresServer, quick: bool) -> None:
    queue.crowd(report, directory, workspaces=10 if quick else 50, each=2 if quick else 4, alone=3 if quick else 10)


def _first_byte(report: Report, directory: Path, postgres: PostgresServer, quick: bool) -> None:
    queue.first_byte(report, directory, postgres, rounds=5 if quick else 40)


PARTS: dict[str, Part] = {"queue": _queue, "first-byte": _first_byte, **live.PARTS, **plans.PARTS}


if __name__ == "__main__":
    run("runs", PARTS)
