"""docs/tutorials/first-vcs-plugin.md, grown piece by piece: it works half way, and becomes contrib/terrapod-vcs-gitea."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

from tests.support import ROOT
from tests.support.distributions import installed, loaded, run_tests

PAGE = (ROOT / "docs/tutorials/first-vcs-plugin.md").read_text()
PLUGIN = ROOT / "contrib/terrapod-vcs-gitea"
MODULE = "src/terrapod_vcs_gitea/__init__.py"
PIECE = re.compile(r"<!-- (file|add to): (\S+)(?: (\w+))? -->\n```\w+\n(.*?)^```", re.MULTILINE | re.DOTALL)


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
    told = run_tests(tmp_path / "tests", tmp_path / "src", ROOT)
    assert re.search(r"\d\d passed", told), told
    assert "SupportsCommitStatuses" in told
    assert "SupportsWebhooks" in told


def test_the_plugin_passes_the_type_checker() -> None:
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file", os.devnull, "--cache-dir", os.devnull, "src", "tests"]
    environment = {**os.environ, "MYPYPATH": os.pathsep.join([str(ROOT), str(PLUGIN / "src"), str(PLUGIN / "tests")])}
    done = subprocess.run(command, cwd=PLUGIN, env=environment, capture_output=True, text=True, timeout=170, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_plugin_is_installed_found_and_passes_the_kit(tmp_path: Path) -> None:
    site = installed(PLUGIN, tmp_path / "site")
    assert loaded("vcs-gitea", site) == "terrapod-vcs-gitea | loaded | None | VCS provider"
    (tmp_path / "pyproject.toml").write_text((PLUGIN / "pyproject.toml").read_text())
    (tmp_path / "tests").symlink_to(PLUGIN / "tests")
    told = run_tests(tmp_path / "tests", site, ROOT)
    assert re.search(r"\d\d passed", told), told
    assert "SupportsCommitStatuses" not in told
