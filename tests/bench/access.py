"""What access costs: `nox -s bench -- access`, some four minutes.

    nox -s bench -- access --quick              a look: fewer and shorter rounds
    nox -s bench -- access --only roles         one part: roles, sign-ins, audit

It needs a machine with nothing else to do. The aims hold for medians; what was measured how is in
docs/explanation/performance.md.
"""

from __future__ import annotations

from pathlib import Path

from tests.bench.parts import access, audit
from tests.bench.tools.program import Part, run
from tests.bench.tools.report import Report
from tests.support.postgres import PostgresServer


def _roles(report: Report, directory: Path, postgres: PostgresServer, quick: bool) -> None:
    access.measure(report, directory, postgres, rounds=1 if quick else 5, seconds=1.0)


def _sign_ins(report: Report, directory: Path, _postgres: PostgresServer, quick: bool) -> None:
    access.sign_ins(report, directory, rounds=1 if quick else 5, seconds=2.0)


def _audit(report: Report, directory: Path, postgres: PostgresServer, quick: bool) -> None:
    audit.measure(report, directory, postgres, rounds=1 if quick else 5, seconds=1.0 if quick else 2.0)


PARTS: dict[str, Part] = {"roles": _roles, "sign-ins": _sign_ins, "audit": _audit}


if __name__ == "__main__":
    run("access", PARTS)
