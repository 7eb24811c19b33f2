"""The plugin of docs/how-to/write-a-plugin.md, taken out of the page and tried."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from terrapod_core.plugin import PluginContexts, Plugins
from terrapod_core.settings import load
from terrapod_core.testing import FakeClock, MemoryOnce, MemoryPasswords
from tests.support import ROOT

PAGE = ROOT / "docs/how-to/write-a-plugin.md"
FILE = re.compile(r"<!-- file: (\S+) -->\n```\w+\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The page's files, and what an installer would leave of them."""
    for name, content in FILE.findall(PAGE.read_text()):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    described = tomllib.loads((tmp_path / "pyproject.toml").read_text())["project"]
    info = tmp_path / "src" / f"{described['name'].replace('-', '_')}-{described['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {described['name']}\nVersion: {described['version']}\n")
    entry_points = "".join(f"{name} = {module}\n" for name, module in described["entry-points"]["terrapod"].items())
    (info / "entry_points.txt").write_text(f"[terrapod]\n{entry_points}")
    return tmp_path


def test_the_plugin_of_the_page_passes_its_own_test(project: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(project), str(project / "tests")]
    environment = {**os.environ, "PYTHONPATH": str(project / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"\d\d passed", done.stdout), done.stdout


def test_the_plugin_of_the_page_is_found_and_gets_its_settings(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    monkeypatch.syspath_prepend(project / "src")
    settings = load(environ={"TERRAPOD_STORAGE__MEMORY__MAX_MIB": "1", "TERRAPOD_PLUGINS__ENABLED": "storage-memory"})
    plugins = Plugins.discover(settings)
    contexts = PluginContexts(clock=FakeClock(), data_dir=project, passwords=MemoryPasswords(), once=MemoryOnce())
    assert list(plugins.storage_backends(contexts)) == ["memory"]
    assert [record.provides for record in plugins.records if record.name == "storage-memory"] == [("settings", "storage backend memory")]


def test_the_plugin_of_the_page_passes_the_type_checker(project: Path) -> None:
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file", os.devnull, "--cache-dir", str(project / ".cache"), "src"]
    environment = {**os.environ, "MYPYPATH": str(ROOT)}
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, timeout=170, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
