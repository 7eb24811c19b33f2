"""contrib/cookiecutter-terrapod-plugin renders a plugin of each kind that can be installed, is found, and passes its kit."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from terrapod_core.plugin.hookspecs import HOOKS
from tests.support import ROOT
from tests.support.distributions import installed, loaded, run_tests

TEMPLATE = ROOT / "contrib/cookiecutter-terrapod-plugin"
KINDS = {
    "storage": "storage backend",
    "auth": "auth provider",
    "runner": "runner backend",
    "keys": "key provider",
    "coordination": "coordination backend",
    "mirror": "registry mirror",
    "vcs": "VCS provider",
}


def render(into: Path, **answers: str) -> subprocess.CompletedProcess[str]:
    """As a person does who has no settings of their own; what cookiecutter remembers stays in `into`."""
    config = into / "cookiecutter.yaml"
    config.write_text(f"replay_dir: {into}/replay\ncookiecutters_dir: {into}/templates\n")
    given = [f"{name}={value}" for name, value in answers.items()]
    command = [sys.executable, "-m", "cookiecutter", "--no-input", "--config-file", str(config), "--output-dir", str(into)]
    return subprocess.run([*command, str(TEMPLATE), *given], capture_output=True, text=True, timeout=60, check=False, cwd=into)


@pytest.mark.parametrize("kind", KINDS)
def test_a_rendered_plugin_is_installed_found_and_passes_its_kit(kind: str, tmp_path: Path) -> None:
    done = render(tmp_path, kind=kind, name="my-own", owner='Ada "the first"')
    assert done.returncode == 0, done.stdout + done.stderr
    project = tmp_path / f"terrapod-{kind}-my-own"
    site = installed(project, tmp_path / "site")
    assert loaded(f"{kind}-my-own", site).startswith(f"terrapod-{kind}-my-own | loaded | None | ")
    assert KINDS[kind] in loaded(f"{kind}-my-own", site)
    told = run_tests(project / "tests", site)
    assert re.search(r"^\d+ passed", told, re.MULTILINE), told


def test_rendered_plugins_pass_the_type_checker_and_are_formatted(tmp_path: Path) -> None:
    for kind in KINDS:
        assert render(tmp_path, kind=kind).returncode == 0
    sources = [str(path) for path in tmp_path.glob("terrapod-*-example/src")]
    assert len(sources) == len(KINDS)
    strictly = ["mypy", "--strict", "--config-file", os.devnull, "--cache-dir", os.devnull, *sources]
    as_ours = ["ruff", "format", "--check", "--config", str(ROOT / "pyproject.toml"), *sources]
    for command in (strictly, as_ours):
        environment = {**os.environ, "MYPYPATH": str(ROOT)}
        done = subprocess.run(
            [sys.executable, "-m", *command], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=170, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", ["My Own", "-x", "a--b", "1a", "../x", "a_b", "a'b"])
def test_a_name_that_could_not_be_loaded_is_refused_before_anything_is_written(name: str, tmp_path: Path) -> None:
    done = render(tmp_path, kind="storage", name=name)
    assert done.returncode != 0
    assert "is no name of a plugin" in done.stderr
    assert not list(tmp_path.glob("terrapod-*"))


def test_there_is_a_template_for_every_kind() -> None:
    assert json.loads((TEMPLATE / "cookiecutter.json").read_text())["kind"] == list(KINDS)
    # What a plugin adds beside what it stands for has no kit of its own.
    added = {"settings", "migrations", "routes", "jobs", "run check", "workspace additions"}
    assert {*KINDS.values(), *added} == set(HOOKS.values())
