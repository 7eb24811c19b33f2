"""What servers ask their database while nothing happens: `nox -s bench -- coordination`, some two minutes."""

from __future__ import annotations

from pathlib import Path

from tests.bench.parts import waking
from tests.bench.tools.program import Part, run
from tests.bench.tools.report import Report
from tests.support.postgres import PostgresServer


def _idle(report: Report, directory: Path, postgres: PostgresServer, quick: bool) -> None:
    waking.idle(report, directory, postgres, listeners=100, watched=10 if quick else 30)


PARTS: dict[str, Part] = {"idle": _idle}


if __name__ == "__main__":
    run("coordination", PARTS)
