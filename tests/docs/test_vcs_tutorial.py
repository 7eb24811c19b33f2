"""docs/tutorials/first-vcs-plugin.md, grown piece by piece: it works half way, and becomes contrib/terrapod-vcs-gitea."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import ROOT

PAGE = (ROOT / "docs/tutorials/first-vcs-plugin.md").read_text()
PLUGIN = ROOT / "contrib/terrapod-vcs-gitea"
MODULE = "src/terrapod_vcs_gitea/__init__.py"
PIECE = re.compile(r"<!-- (file|add to): (\S+)(?: (\w+))? -->\n```\w+\n(.*?)^```", re.MULTILINE | re.DOTALL)
TESTS = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-ra", "tests"]
LOADED = """
from pathlib import Path
from terrapod_core.plugin import PluginContexts, Plugins
from terrapod_core.settings import load
from terrapod_core.testing import FakeClock, MemoryOnce, MemoryPasswords

contexts = PluginContexts(clock=FakeClock(), data_dir=Path(), passwords=MemoryPasswords(), once=MemoryOnce())
print(list(Plugins.discover(load(environ={"TERRAPOD_PLUGINS__ENABLED": "vcs-gitea"})).vcs_providers(contexts)))
"""


def grown(text: str) -> dict[str, str]:
    """The files after all pieces of a text; a class has two blank lines around it, and a method one."""
    files: dict[str, str] = {}
    for verb, name, owner, piece in PIECE.findall(text):
        if verb == "file":
            files[name] = piece
        elif owner:
            lines = files[name].splitlines(keepends=True)
            ends = next(each.end_lineno for each in ast.parse(files[name]).body if getattr(each, "name", "") == owner)
            files[name] = "".join([*lines[:ends], "\n", piece, *lines[ends:]])
        else:
            files[name] += ("\n" if piece.startswith(" ") else "\n\n") + piece
    return files


def run(command: list[str], directory: Path, *paths: Path) -> str:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, [*paths, ROOT])), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, timeout=170, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_page_grows_the_plugins_own_files() -> None:
    files = grown(PAGE)
    assert set(files) == {"pyproject.toml", MODULE, "tests/test_gitea_repositories.py"}
    stale = [name for name, content in files.items() if content != (PLUGIN / name).read_text()]
    assert not stale, f"{', '.join(stale)} of {PLUGIN.relative_to(ROOT)} and of the page differ"


def test_it_has_fewer_than_sixty_lines_and_the_page_says_how_many() -> None:
    lines = len((PLUGIN / MODULE).read_text().splitlines())
    assert lines < 60
    assert f"It has {lines} lines" in PAGE


def test_the_plugin_imports_only_what_a_plugin_may() -> None:
    assert set(re.findall(r"(?:from|import) (terrapod_core[\w.]*)", (PLUGIN / MODULE).read_text())) == {"terrapod_core.plugin"}


def test_it_works_before_it_knows_statuses_and_webhooks(tmp_path: Path) -> None:
    for name, content in grown(PAGE.partition("## 5.")[0]).items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    told = run(TESTS, tmp_path, tmp_path / "src")
    assert re.search(r"\d\d passed", told), told
    assert "SupportsCommitStatuses" in told
    assert "SupportsWebhooks" in told


def test_the_plugin_passes_the_type_checker() -> None:
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file", os.devnull, "--cache-dir", os.devnull, "src", "tests"]
    environment = {**os.environ, "MYPYPATH": os.pathsep.join([str(ROOT), str(PLUGIN / "src"), str(PLUGIN / "tests")])}
    done = subprocess.run(command, cwd=PLUGIN, env=environment, capture_output=True, text=True, timeout=170, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A fresh environment with nothing but the plugin in it, as pip installs it; what it needs comes from ours."""
    directory = tmp_path / "site"
    options = ["--quiet", "--no-index", "--no-deps", "--no-build-isolation", "--disable-pip-version-check", "--no-compile"]
    run([sys.executable, "-m", "pip", "install", *options, "--target", str(directory), str(PLUGIN)], tmp_path)
    return directory


def test_the_plugin_is_installed_found_and_passes_the_kit(site: Path, tmp_path: Path) -> None:
    assert "['gitea']" in run([sys.executable, "-c", LOADED], tmp_path, site)
    (tmp_path / "pyproject.toml").write_text((PLUGIN / "pyproject.toml").read_text())
    (tmp_path / "tests").symlink_to(PLUGIN / "tests")
    told = run(TESTS, tmp_path, site)
    assert re.search(r"\d\d passed", told), told
    assert "SupportsCommitStatuses" not in told
