"""`terrapod registry publish`, as a person or a pipeline calls it, and the scripts of the guide for those that do without it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.support import ROOT
from tests.support.server import Server
from tests.support.tf import Done

SECONDS = 120
PAGE = ROOT / "docs/how-to/publish-from-the-command-line.md"


def publish(server: Server, *arguments: str | Path, token: str | None = None, home: Path | None = None, **variables: str) -> Done:
    """Run the command to its end, with a token in its environment: the server's own unless another is given, none for an empty one."""
    shown = {"TERRAPOD_TOKEN": server.token if token is None else token} if token != "" else {}
    environment: Mapping[str, str] = {
        "PATH": os.environ["PATH"],
        "HOME": str(home or "/nonexistent"),
        "TERRAPOD_URL": server.url,
        **shown,
        **variables,
    }
    command = [sys.executable, "-m", "terrapod_core", "registry", "publish", *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, env=environment, cwd="/", check=False)
    return Done(result.returncode, result.stdout, result.stderr)


def write(directory: Path, files: Mapping[str, str]) -> Path:
    """Write files into a directory, which is made."""
    for name, text in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return directory


def run_script(number: int, server: Server, directory: Path, version: str, **replaced: str) -> Done:
    """A script of the page, for this server and with other words in it."""
    script = [
        block for block in re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL) if block.startswith("set -eu")
    ][number]
    for old, new in {"https://terrapod.example.com": server.url, **replaced}.items():
        assert old in script
        script = script.replace(old, new)
    environment = {"PATH": os.environ["PATH"], "TERRAPOD_TOKEN": server.token, "VERSION": version, "HOME": str(directory)}
    result = subprocess.run(
        ["sh", "-c", script], cwd=directory, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    return Done(result.returncode, result.stdout, result.stderr)
