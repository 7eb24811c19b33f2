"""What servers ask their database while nothing happens, and how soon one wakes another: `nox -s bench -- coordination`, three minutes."""

from __future__ import annotations

from pathlib import Path

from tests.bench.parts import waking
from tests.bench.tools.program import Part, run
from tests.bench.tools.report import Report
from tests.support.postgres import PostgresServer


def _idle(report: Report, directory: Path, postgres: PostgresServer, quick: bool) -> None:
    waking.idle(report, directory, postgres, listeners=100, watched=10 if quick else 30)


def _wakes(report: Report, _directory: Path, postgres: PostgresServer, quick: bool) -> None:
    waking.wakes(report, postgres, times=200 if quick else 2000, looks=10 if quick else 60)


PARTS: dict[str, Part] = {"idle": _idle, "wakes": _wakes}


if __name__ == "__main__":
    run("coordination", PARTS)
