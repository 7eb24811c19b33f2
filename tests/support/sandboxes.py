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

NOBODY = 65_534
UNCOVER = 'mount --bind "$0" /mnt; mount -t tmpfs -o mode=755 none "$1"; mkdir -p "$0"; mount --bind /mnt "$0"; shift; exec "$@"'
"""A shell's: show the interpreter's directory to everybody, alone in an otherwise empty `$1`, such as a home that is closed to others."""
STARTS = "import subprocess, sys, terrapod_core; subprocess.run([sys.executable, '--version'], check=True)"
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


def possible() -> bool:
    """Whether one can be made here."""
    program = shutil.which("bwrap")
    return program is not None and _problem(program) is None


def somebody() -> tuple[str, ...]:
    """What starts a program as an ordinary user: nothing where the tests are one. Skips, with the reason, where such make no sandbox."""
    if os.geteuid() != 0:
        starter: tuple[str, ...] = ()
    else:
        prefix = Path(sys.base_prefix)
        closed = next((str(path) for path in reversed((prefix, *prefix.parents)) if not path.stat().st_mode & 0o001), None)
        become = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--inh-caps=-all")
        starter = become if closed is None else ("unshare", "--mount", "sh", "-e", "-c", UNCOVER, str(prefix), closed, *become)
    namespaces = ("unshare", "--user", "--map-root-user", "--mount", "true")
    for tried in (namespaces, ("bwrap", "--version"), (sys.executable, "-I", "-c", STARTS)):
        done = subprocess.run([*starter, *tried], cwd="/", capture_output=True, text=True, check=False)
        if done.returncode != 0:
            pytest.skip(f"an ordinary user cannot do here what this needs ({tried[0]}): {done.stderr.strip()}")
    return starter


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
