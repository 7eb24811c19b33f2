"""The auth provider of docs/how-to/write-an-auth-provider.md is contrib/terrapod-auth-gitea, word for word, and it works."""

from __future__ import annotations

import os
import re
import subprocess
import sys

from tests.support import ROOT

PAGE = ROOT / "docs/how-to/write-an-auth-provider.md"
PLUGIN = ROOT / "contrib/terrapod-auth-gitea"
FILE = re.compile(r"<!-- file: (\S+) -->\n```\w+\n(.*?)^```", re.MULTILINE | re.DOTALL)


def test_the_page_shows_the_plugins_own_files() -> None:
    shown = dict(FILE.findall(PAGE.read_text()))
    assert set(shown) == {"pyproject.toml", "src/terrapod_auth_gitea/__init__.py", "tests/test_gitea.py"}
    stale = [name for name, content in shown.items() if content != (PLUGIN / name).read_text()]
    assert not stale, f"copy {', '.join(stale)} of {PLUGIN.relative_to(ROOT)} into {PAGE.name}"


def test_the_plugin_of_the_page_passes_the_kit_and_its_own_tests() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(PLUGIN), str(PLUGIN / "tests")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(PLUGIN / "src"), str(ROOT)]), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=PLUGIN, env=environment, capture_output=True, text=True, timeout=170, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"\d\d passed", done.stdout), done.stdout


def test_the_plugin_of_the_page_passes_the_type_checker() -> None:
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file", os.devnull, "--cache-dir", os.devnull, "src", "tests"]
    environment = {**os.environ, "MYPYPATH": os.pathsep.join([str(ROOT), str(PLUGIN / "src"), str(PLUGIN / "tests")])}
    done = subprocess.run(command, cwd=PLUGIN, env=environment, capture_output=True, text=True, timeout=170, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
