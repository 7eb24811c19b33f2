"""Sandboxes for tests: whether this machine can make them, and what to tell the runner program."""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

USER = 60_650 if os.geteuid() == 0 else None
"""Whom root lets the engine be."""


def order(*, readable: Sequence[Path] = ()) -> dict[str, Any]:
    """The member `sandbox` of an order; skips the test, with the reason, where none can be made."""
    program = shutil.which("bwrap")
    if program is None:
        pytest.skip("bubblewrap is not installed: apt-get install bubblewrap")
    members: dict[str, Any] = {"program": program, "user": USER, "readable": [str(path) for path in readable]}
    problem = _problem(program)
    if problem is not None:
        pytest.skip(f"no sandbox can be made on this machine: {problem}")
    return members


def pipe(path: Path) -> Path:
    """A named pipe into which the engine's user may write."""
    os.mkfifo(path)
    path.chmod(0o666)
    return path


@functools.cache
def _problem(bwrap: str) -> str | None:
    with tempfile.TemporaryDirectory() as name:
        asked = {"work-dir": name, "sandbox": {"program": bwrap, "user": USER}, "hidden": []}
        program = [sys.executable, "-I", "-m", "terrapod_core.runner.selftest"]
        answer = subprocess.run(program, input=json.dumps(asked).encode(), capture_output=True, check=True)
    problem: str | None = json.loads(answer.stdout)["problem"]
    return problem
