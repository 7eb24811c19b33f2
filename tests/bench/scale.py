"""`nox -s bench -- scale`: states made one after the other beside a bare loop, and long lists beside short ones, on both databases."""

from __future__ import annotations

from pathlib import Path

from tests.bench.parts import scale
from tests.bench.tools.program import Part, run
from tests.bench.tools.report import Report
from tests.support.postgres import PostgresServer


def _cycles(report: Report, directory: Path, postgres: PostgresServer, quick: bool) -> None:
    scale.cycles(report, directory, postgres, rounds=1 if quick else 5, seconds=1.0 if quick else 3.0)


def _pages(report: Report, directory: Path, postgres: PostgresServer, quick: bool) -> None:
    scale.pages(report, directory, postgres, rounds=1 if quick else 5, seconds=1.0)


PARTS: dict[str, Part] = {"cycles": _cycles, "pages": _pages}


if __name__ == "__main__":
    run("scale", PARTS)
