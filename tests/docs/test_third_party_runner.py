"""contrib/terrapod-runner-ssh, a plugin as docs/how-to/write-a-plugin.md has anybody write one, keeps the kit and its own tests."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys

import pytest

from tests.support import ROOT

PLUGIN = ROOT / "contrib/terrapod-runner-ssh"
README = (PLUGIN / "README.md").read_text()


@pytest.mark.timeout(600)
@pytest.mark.skipif(shutil.which("sshd", path="/usr/sbin:/usr/bin") is None, reason="no sshd here (Debian: apt-get install openssh-server)")
def test_the_plugin_passes_the_kit_and_its_own_tests() -> None:
    processes = ["--numprocesses=2", "--dist=load"]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *processes, "--rootdir", str(PLUGIN), str(PLUGIN / "tests")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(PLUGIN / "src"), str(ROOT)]), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=PLUGIN, env=environment, capture_output=True, text=True, timeout=580, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"\d\d passed", done.stdout), done.stdout


def test_the_plugin_passes_the_type_checker() -> None:
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file", os.devnull, "--cache-dir", os.devnull, "src", "tests"]
    environment = {**os.environ, "MYPYPATH": os.pathsep.join([str(ROOT), str(PLUGIN / "src"), str(PLUGIN / "tests")])}
    done = subprocess.run(command, cwd=PLUGIN, env=environment, capture_output=True, text=True, timeout=170, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_setting_is_in_the_readme() -> None:
    source = (PLUGIN / "src/terrapod_runner_ssh/settings.py").read_text()
    names = re.findall(r"^    (\w+): .* = (?:setting|subsections)\(", source, re.MULTILINE)
    assert len(names) > 15
    assert not [name for name in names if f"`{name}`" not in README]


def test_the_plugin_imports_only_what_a_plugin_may() -> None:
    sources = "".join(path.read_text() for path in (PLUGIN / "src").rglob("*.py"))
    assert set(re.findall(r"(?:from|import) (terrapod_core[\w.]*)", sources)) == {"terrapod_core.plugin"}
