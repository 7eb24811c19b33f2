"""Whether terraform can be kept apart on this machine, found out by trying."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from terrapod_core.plugin import JSON
from terrapod_runner_local.settings import LocalRunnerSettings

BWRAP = "bwrap"
SELF_TEST = (sys.executable, "-I", "-m", "terrapod_core.runner.selftest")
TRY_SECONDS = 60.0


@dataclass(frozen=True)
class Tried:
    """How it went."""

    sandbox: Mapping[str, JSON] | None
    """The member `sandbox` of a runner program's order; `None` for none."""
    reason: str | None
    """Why there is none."""


def attempt(settings: LocalRunnerSettings, root: Path) -> Tried:
    """Make a sandbox and let it be attacked; `root` is where runs work, in the data directory."""
    if settings.isolation == "none":
        return Tried(None, "runner.local.isolation is none")
    program = shutil.which(BWRAP)
    if program is None:
        return Tried(None, "bubblewrap is not installed (the program bwrap is not on PATH)")
    sandbox: dict[str, JSON] = {
        "program": os.path.realpath(program),
        "user": settings.sandbox_uid if os.geteuid() == 0 else None,
        "readable": list(settings.sandbox_paths),
        "disable-userns": "--disable-userns" in _said([program, "--help"]),
    }
    missing = next((path for path in settings.sandbox_paths if not Path(path).exists()), None)
    if missing is not None:
        return Tried(None, f"{missing} of runner.local.sandbox_paths does not exist")
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    hidden = [path for path in sorted(root.parent.iterdir()) if path.is_file()]
    problem = _problem(sandbox, root, hidden)
    return Tried(sandbox, None) if problem is None else Tried(None, problem)


def _problem(sandbox: Mapping[str, JSON], root: Path, hidden: Sequence[Path]) -> str | None:
    asked = {"work-dir": str(root), "sandbox": sandbox, "hidden": [str(path) for path in hidden]}
    try:
        done = subprocess.run(
            SELF_TEST, input=json.dumps(asked), env={"PATH": os.defpath}, capture_output=True, text=True, timeout=TRY_SECONDS, check=False
        )
        problem = json.loads(done.stdout)["problem"]
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        return f"the self-test could not be carried out: {error}"
    return None if problem is None else str(problem)


def _said(command: Sequence[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout
