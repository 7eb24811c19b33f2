"""A provider that terraform really starts: a program of the package `tf` in an environment of its own, packed as publishers do."""

from __future__ import annotations

import fcntl
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import ROOT
from tests.support.releases import Release, package

FOLDER = ROOT / "tests/peers/provider"
INSTALL_SECONDS = 300

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
HERE = (platform.system().lower(), ARCHITECTURES.get(platform.machine(), platform.machine()))
"""This machine, in Go's words."""
ELSEWHERE = ("plan9", "arm")
"""None that anybody has."""


def interpreter() -> Path:
    """The environment's Python, with its packages in place; skips the test where that cannot be had."""
    environment, wanted = FOLDER / ".venv", (FOLDER / "requirements.txt").read_bytes()
    kept = environment / ".installed"
    with (FOLDER / ".venv.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several test processes may come at once
        if not kept.is_file() or kept.read_bytes() != wanted:
            _uv("venv", "--clear", "--python", sys.executable, str(environment))
            _uv("pip", "install", "--python", str(environment), "--require-hashes", "-r", str(FOLDER / "requirements.txt"))
            kept.write_bytes(wanted)
    return environment / "bin/python"


def release(name: str, version: str, *platforms: tuple[str, str]) -> Release:
    """A version of the provider, for this machine when no platforms are named; its zips hold a script that starts it."""
    script = f'#!/bin/sh\nexec "{interpreter()}" "{FOLDER / "fake.py"}" "$@"\n'.encode()
    return Release(name, version, {each: package(name, version, each, script) for each in platforms or (HERE,)})


def configuration(source: str, version: str | None = None) -> str:
    """What uses the provider of this source."""
    wanted = f'version = "{version}"' if version is not None else ""
    return f"""
terraform {{
  required_providers {{
    fake = {{
      source = "{source}"
      {wanted}
    }}
  }}
}}
resource "fake_thing" "a" {{
  name = "one"
}}
output "id" {{
  value = fake_thing.a.id
}}
"""


def _uv(*arguments: str) -> None:
    command = [sys.executable, "-m", "uv", "--quiet", *arguments]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
    if done.returncode != 0:
        pytest.skip(f"the packages of tests/peers/provider cannot be installed: {done.stderr.strip()[-500:]}")
