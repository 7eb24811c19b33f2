"""Every part has its papers: plugins, news fragments, locked requirements."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support import ROOT
from tests.support.sources import PLUGINS, committed

PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
NEWS_KINDS = [kind["directory"] for kind in PROJECT["tool"]["towncrier"]["type"]]
LOCKED = {name: ROOT / f"requirements/{name}.txt" for name in ("run", "dev", "terraform")}


def name_of(plugin: Path) -> str:
    return plugin.name


@pytest.mark.parametrize("plugin", PLUGINS, ids=name_of)
def test_a_plugin_has_its_papers(plugin: Path) -> None:
    package = f"src/{plugin.name.replace('-', '_')}"
    papers = ("README.md", "CHANGELOG.md", f"{package}/__init__.py", f"{package}/py.typed")
    missing = [name for name in papers if not (plugin / name).is_file()]
    if not list((plugin / "tests").glob("test_*.py")):
        missing.append("tests/test_*.py")
    assert not missing, f"plugins/{plugin.name} lacks {', '.join(missing)}"


@pytest.mark.parametrize("plugin", PLUGINS, ids=name_of)
def test_a_plugin_is_found_by_its_entry_point(plugin: Path) -> None:
    project = tomllib.loads((plugin / "pyproject.toml").read_text())["project"]
    kind_and_name = plugin.name.removeprefix("terrapod-")
    entry_points = project.get("entry-points", {}).get("terrapod", {})
    assert project["name"] == plugin.name
    assert list(entry_points) == [kind_and_name], f"[project.entry-points.terrapod] should name {kind_and_name}"


def test_news_fragments_are_named_and_written() -> None:
    fragments = [path for path in committed() if path.parts[0] == "news"]
    problems = [f"{path}: {problem}" for path in fragments if (problem := news_problem(path))]
    assert not problems, "\n".join(problems)


def news_problem(path: Path) -> str | None:
    """What is wrong with a fragment; None when nothing is."""
    if not re.fullmatch(rf"\d+\.({'|'.join(NEWS_KINDS)})(\.\d+)?\.md", path.name):
        return f"name it <issue>.<{'|'.join(NEWS_KINDS)}>.md"
    words = (ROOT / path).read_text().strip()
    if not words or not (words[0].isupper() or words[0] == "`") or not words.endswith("."):
        return "write sentences to the person who upgrades, ending with a full stop"
    return None


@pytest.mark.parametrize("path", LOCKED.values(), ids=LOCKED)
def test_a_locked_requirement_has_a_version_and_hashes(path: Path) -> None:
    entries = path.read_text().replace("\\\n", " ").splitlines()
    wrong = [entry[:80] for entry in entries if entry and not entry.startswith("#") and not re.match(r"\S+==\S+ .*--hash=sha256:", entry)]
    assert not wrong, f"{path.name}: run `nox -s lock`\n" + "\n".join(wrong)


def test_locked_requirements_hold_what_the_packages_ask_for() -> None:
    """Also the guard against an edited pyproject.toml without `nox -s lock`."""
    locked = {name: versions(path) for name, path in LOCKED.items()}
    standard = {canonicalize_name(name) for name in PROJECT["project"]["optional-dependencies"]["standard"]}
    every = {canonicalize_name(plugin.name) for plugin in PLUGINS}
    wanted = {"run": runtime(standard), "dev": runtime(every) + group("dev"), "terraform": group("terraform")}
    stale = [
        f"requirements/{name}.txt: {requirement}"
        for name, requirements in wanted.items()
        for requirement in requirements
        if not any(requirement.specifier.contains(version, prereleases=True) for version in locked[name].get(key(requirement), []))
    ]
    assert not stale, "run `nox -s lock`:\n" + "\n".join(stale)


def runtime(plugins: Collection[str]) -> list[Requirement]:
    """What the core and these of the first-party plugins need from outside."""
    chosen = [plugin for plugin in PLUGINS if canonicalize_name(plugin.name) in plugins]
    projects = [PROJECT["project"], *(tomllib.loads((plugin / "pyproject.toml").read_text())["project"] for plugin in chosen)]
    ours = {canonicalize_name(project["name"]) for project in projects}
    requirements = [Requirement(text) for project in projects for text in project.get("dependencies", [])]
    return [requirement for requirement in requirements if canonicalize_name(requirement.name) not in ours]


def group(name: str) -> list[Requirement]:
    """The requirements of a dependency group, those it includes too."""
    found: list[Requirement] = []
    for entry in PROJECT["dependency-groups"][name]:
        found += group(entry["include-group"]) if isinstance(entry, dict) else [Requirement(entry)]
    return found


def versions(path: Path) -> dict[str, list[str]]:
    """Each locked package with its versions: some have one for each of several Pythons."""
    found: dict[str, list[str]] = {}
    for name, version in re.findall(r"^([\w.-]+)==(\S+)", path.read_text(), re.MULTILINE):
        found.setdefault(canonicalize_name(name), []).append(version)
    return found


def key(requirement: Requirement) -> str:
    return canonicalize_name(requirement.name)
