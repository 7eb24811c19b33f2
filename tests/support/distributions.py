"""Distributions as pip installs them, into a directory of their own, and Pythons that see them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

_LOADED = """
from terrapod_core.plugin import Plugins
from terrapod_core.settings import load

for each in Plugins.discover(load(environ={"TERRAPOD_PLUGINS__ENABLED": "%s"})).records:
    if each.name == "%s":
        print(each.distribution, each.state.value, each.reason, *each.provides, sep=" | ")
"""


def python(*arguments: str, directory: Path, paths: tuple[Path, ...] = (), env: Mapping[str, str] | None = None) -> str:
    """What this environment's Python prints, with `paths` before its own; fails when it does."""
    environment = {**os.environ, **(env or {}), "PYTHONPATH": os.pathsep.join(map(str, paths)), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, timeout=170, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def installed(project: Path, into: Path) -> Path:
    """Install a distribution, and nothing that it needs, into an empty directory; nothing is fetched."""
    options = ["--quiet", "--no-index", "--no-deps", "--no-build-isolation", "--disable-pip-version-check", "--no-compile"]
    into.mkdir()
    python("-m", "pip", "install", *options, "--target", str(into), str(project), directory=into)
    return into


def loaded(plugin: str, site: Path) -> str:
    """How a plugin of an installed distribution fares: `distribution | state | reason | what it provides`."""
    return python("-c", _LOADED % (plugin, plugin), directory=site, paths=(site,)).strip()


def run_tests(tests: Path, *paths: Path) -> str:
    """What pytest says of a directory of tests that all pass."""
    options = ["-q", "-ra", "-p", "no:cacheprovider"]
    return python("-m", "pytest", *options, tests.name, directory=tests.parent, paths=paths)
