"""Secrets that a program is started with are not shown to whoever lists processes."""

from __future__ import annotations

import subprocess
import sys

READ = """
import sys
from pathlib import Path
from terrapod_core.cli.hiding import hide_argument, taken
hide_argument(sys.argv[1])
value = taken("TERRAPOD_POOL_TOKEN")
assert value == "from-the-environment", value
assert taken("TERRAPOD_POOL_TOKEN") is None
print(sys.argv[1])
print(Path("/proc/self/cmdline").read_bytes())
print(Path("/proc/self/environ").read_bytes())
"""


def test_an_argument_and_a_variable_are_blanked_once_they_are_read() -> None:
    environment = {"TERRAPOD_POOL_TOKEN": "from-the-environment", "OTHER": "stays"}
    done = subprocess.run(
        [sys.executable, "-c", READ, "from-the-arguments", "stays too"], env=environment, capture_output=True, text=True, check=True
    )
    known, arguments, variables = done.stdout.splitlines()
    assert known == "from-the-arguments"
    assert "from-the-arguments" not in arguments
    assert "stays too" in arguments
    assert "from-the-environment" not in variables
    assert "stays" in variables
