"""What watching costs: `nox -s bench -- live`, some two minutes.

    nox -s bench -- live --quick              a look: fewer lines
    nox -s bench -- live --only watchers      one part: watchers, offsets

It needs a terraform on PATH and a machine with nothing else to do. What was measured how is in docs/explanation/performance.md.
"""

from __future__ import annotations

from pathlib import Path

from tests.bench.parts import live
from tests.bench.tools.program import Part, run
from tests.bench.tools.report import Report
from tests.support.postgres import PostgresServer


def _watchers(report: Report, directory: Path, postgres: PostgresServer, quick: bool) -> None:
    live.measure(report, directory, postgres, lines=10 if quick else 50)


def _offsets(report: Report, directory: Path, _postgres: PostgresServer, quick: bool) -> None:
    live.offsets(report, directory, rounds=5 if quick else 25)


PARTS: dict[str, Part] = {"watchers": _watchers, "offsets": _offsets}


if __name__ == "__main__":
    run("live", PARTS)
