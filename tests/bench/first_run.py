"""The figures of the first run, side by side and from one run: `nox -s bench -- first_run`, some six minutes.

    nox -s bench -- first_run --quick             a look in a minute and a half: fewer and shorter rounds, without 1,000 resources
    nox -s bench -- first_run --only reads        one part: applies, reads, large, small, list

It needs a terraform on PATH and a machine with nothing else to do. The aims hold for medians; what was measured how is in
docs/explanation/performance.md.
"""

from __future__ import annotations

from pathlib import Path

from tests.bench.parts import applies, reads, states
from tests.bench.tools.program import Part, run
from tests.bench.tools.report import Report
from tests.support.postgres import PostgresServer


def _applies(report: Report, directory: Path, _postgres: PostgresServer, quick: bool) -> None:
    applies.measure(report, directory, rounds=2 if quick else 5, large_rounds=0 if quick else 2)


def _reads(report: Report, directory: Path, postgres: PostgresServer, quick: bool) -> None:
    reads.measure(report, directory, postgres, rounds=1 if quick else 5, seconds=1.0)


def _large(report: Report, directory: Path, _postgres: PostgresServer, quick: bool) -> None:
    states.large(report, directory, rounds=1 if quick else 3, slow=not quick)


def _small(report: Report, directory: Path, postgres: PostgresServer, quick: bool) -> None:
    states.small(report, directory, postgres, rounds=1 if quick else 3, period=3.0)


def _list(report: Report, directory: Path, postgres: PostgresServer, quick: bool) -> None:
    states.listing(report, directory, postgres, rounds=1 if quick else 3, period=1.5)


PARTS: dict[str, Part] = {"applies": _applies, "reads": _reads, "large": _large, "small": _small, "list": _list}


if __name__ == "__main__":
    run("first_run", PARTS)
