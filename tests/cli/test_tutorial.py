"""docs/tutorials/first-workspace.md, step by step as it is written."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import ROOT
from tests.support.server import Server

PAGE = ROOT / "docs/tutorials/first-workspace.md"
ELSEWHERE = ("try.py", "terrapod serve")
"""Steps that the fixtures have taken already."""


def script(server: Server) -> str:
    """The page's commands for this server, which has another port, directory and admin than a reader's."""
    steps = re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    commands = "".join(step for step in steps if not any(word in step for word in ELSEWHERE))
    commands = commands.replace(".venv/bin/terrapod", f"'{sys.executable}' -m terrapod_core")
    commands = commands.replace("admin@localhost", f"{server.email} --data-dir '{server.data}'")
    return commands.replace("localhost:8080", server.host)


def test_every_step_of_the_tutorial_does_what_it_says(terraform: Path, new_server: Callable[..., Server], tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("no curl on PATH")
    server = new_server().start()
    home = tmp_path / "home"
    home.mkdir()
    path = os.pathsep.join([str(terraform.parent), os.environ["PATH"]])
    environment = {**os.environ, "HOME": str(home), "PATH": path, "CHECKPOINT_DISABLE": "1"}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script(server)],
        cwd=tmp_path,
        env=environment,
        input="yes\n",
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    said = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout + done.stderr)
    assert done.returncode == 0, said
    for expected in (
        "Apply complete! Resources: 1 added",
        '"a green house" -> "a blue house"',
        "[2, 1]",
        "0 added, 0 changed, 1 destroyed",
    ):
        assert expected in said, said
    assert server.api.get("organizations/default/workspaces/first-workspace").status_code == 404
