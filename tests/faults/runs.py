"""Runs with a real terraform, each with one fault at a random moment: `nox -s faults`, some ten minutes for 200 of them.

nox -s faults -- --runs 50 --seed 7         so many, and these: a seed gives the same runs, faults and moments again
nox -s faults -- --seed 7 --number 113      one of them alone (the same lane, the same fault, the same moment)
nox -s faults -- --keep                     leave the servers' directories for a look, also when all is well
"""

from __future__ import annotations

import sys

from tests.faults.tools.experiments import FAULTS
from tests.faults.tools.lane import open_lane
from tests.faults.tools.suite import run_suite

if __name__ == "__main__":
    sys.exit(run_suite("runs", FAULTS, open_lane, runs=200, lanes=6))
