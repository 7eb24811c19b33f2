"""What the schedule costs: `nox -s bench -- sync`, some three minutes.

    nox -s bench -- sync --quick              a look: shorter watches

It needs a machine with nothing else to do. The aims: 2 % of a processor for 5,000 workspaces while nothing is due, and no sync that
begins more than 2 s late while there is room for it.
"""

from __future__ import annotations

from pathlib import Path

from tests.bench.parts import sync
from tests.bench.tools.program import Part, run
from tests.bench.tools.report import Report
from tests.support.postgres import PostgresServer


def _schedule(report: Report, directory: Path, _postgres: PostgresServer, quick: bool) -> None:
    sync.schedule(report, directory, workspaces=5000, watched=10.0 if quick else 60.0)


PARTS: dict[str, Part] = {"schedule": _schedule}


if __name__ == "__main__":
    run("sync", PARTS)
