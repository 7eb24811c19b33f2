"""Runs that listeners carry out, each with one fault at a random moment: `nox -s faults -- agents`, some ten minutes for 100 of them.

Listeners, their programs, server and database are killed and stopped, the network between them is cut and goes silent, and outages
last ten minutes or longer than a certificate by the server's clock. Options are those of `runs.py`.
"""

from __future__ import annotations

import sys

from tests.faults.tools.crew import open_agent_lane
from tests.faults.tools.experiments import AGENT_FAULTS
from tests.faults.tools.suite import run_suite

if __name__ == "__main__":
    sys.exit(run_suite("agents", AGENT_FAULTS, open_agent_lane, runs=100, lanes=6))
