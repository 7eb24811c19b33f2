"""A run that prints 10 GiB: `nox -s faults -- flood`; minutes. `--gib 1` prints less.

It prints what that cost, and the exit status is 1 when something was not as it must be.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from contextlib import closing
from pathlib import Path

from tests.support.flood import SETTINGS, flood
from tests.support.gate import Gate
from tests.support.server import running

SECONDS_PER_GIB = 120.0


def main() -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(prog="nox -s faults -- flood")
    parser.add_argument("--gib", type=float, default=10, help="how much is printed (default 10)")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="terrapod-flood-") as name:
        place = Path(name)
        with closing(Gate(place / "gate")) as gate, running(place / "server", settings=SETTINGS) as server:
            figures = flood(server, gate, int(chosen.gib * (1 << 30)), seconds=SECONDS_PER_GIB * max(1, chosen.gib))
    print(figures)
    for problem in figures.problems():
        print(f"BROKEN: {problem}")
    return 1 if figures.problems() else 0


if __name__ == "__main__":
    sys.exit(main())
