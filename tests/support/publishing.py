"""`terrapod registry publish`, as a person or a pipeline calls it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.support.server import Server
from tests.support.tf import Done

SECONDS = 120


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
