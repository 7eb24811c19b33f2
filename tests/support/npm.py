"""Programs from npm that play a part in tests: each has a folder of `tests/peers` with what it needs, locked."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support import ROOT

INSTALL_SECONDS = 300


def node_for(peer: str) -> tuple[str, Path]:
    """The program `node`, and the folder of the peer with its packages in place; skips the test where that cannot be had."""
    folder = ROOT / "tests/peers" / peer
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None:
        pytest.skip("no Node.js on PATH (Debian: apt-get install nodejs npm)")
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several test processes may come at once
        if not _is_complete(folder):
            if npm is None:
                pytest.skip(f"the packages of tests/peers/{peer} are not installed, and there is no npm to do it")
            _install(npm, folder)
    return node, folder


def _is_complete(folder: Path) -> bool:
    """Whether what is installed is what the lock file says."""
    kept = folder / "node_modules/.installed"
    return kept.is_file() and kept.read_bytes() == (folder / "package-lock.json").read_bytes()


def _install(npm: str, folder: Path) -> None:
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel", "error"]
    done = subprocess.run(
        command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False
    )
    if done.returncode != 0:
        pytest.skip(f"npm cannot install the packages of {folder.name}: {done.stderr.strip()[-500:]}")
    (folder / "node_modules/.installed").write_bytes((folder / "package-lock.json").read_bytes())
