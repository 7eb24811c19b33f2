"""What stands at `.venv`, and when it is filled anew."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import environment
from progress import StepFailed


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with its requirements, without an environment."""
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements/run.txt").write_text("one==1\n")
    (tmp_path / "pyproject.toml").write_text("")
    monkeypatch.setattr(environment, "ROOT", tmp_path)
    monkeypatch.setattr(environment, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(environment, "LOG", tmp_path / ".venv/first-run.log")
    return tmp_path


@pytest.fixture
def installed(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A ready environment; what pip would have been asked is noted here instead of done."""
    asked: list[str] = []
    stand_in(checkout, "ready")
    monkeypatch.setattr(environment, "_pip", lambda title, *_options: asked.append(title))
    return asked


def test_an_environment_is_filled_once_and_then_left_alone(installed: list[str]) -> None:
    environment.prepare("run")
    assert len(installed) == 2
    environment.prepare("run")
    assert len(installed) == 2


def test_a_changed_requirement_is_installed_again(installed: list[str], checkout: Path) -> None:
    environment.prepare("run")
    (checkout / "requirements/run.txt").write_text("one==2\n")
    environment.prepare("run")
    assert installed[2:] == ["installing requirements/run.txt"]


def test_a_plugin_added_later_is_installed(installed: list[str], checkout: Path) -> None:
    environment.prepare("run")
    (checkout / "plugins/terrapod-vcs-gitea").mkdir(parents=True)
    (checkout / "plugins/terrapod-vcs-gitea/pyproject.toml").touch()
    environment.prepare("run")
    assert installed[2:] == ["installing Terrapod and its standard plugins"]


def test_a_plugin_whose_requirements_are_not_installed_is_left_out(installed: list[str], checkout: Path) -> None:
    environment.prepare("run")
    (checkout / "plugins/terrapod-auth-kerberos").mkdir(parents=True)
    metadata = checkout / "plugins/terrapod-auth-kerberos/pyproject.toml"
    metadata.write_text('[project]\ndependencies = ["terrapod-core>=0.1", "two[extra]>=2"]\n')
    environment.prepare("run")
    assert len(installed) == 2
    metadata.write_text('[project]\ndependencies = ["terrapod-core>=0.1", "one[extra]>=1"]\n')
    environment.prepare("run")
    assert len(installed) == 3


def test_an_installation_that_failed_is_tried_again(installed: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(title: str, *_options: str) -> None:
        raise StepFailed(title)

    with monkeypatch.context() as patch, pytest.raises(StepFailed):
        patch.setattr(environment, "_pip", fails)
        environment.prepare("run")
    environment.prepare("run")
    assert len(installed) == 2


def test_an_environment_of_an_old_python_is_not_thrown_away(checkout: Path) -> None:
    stand_in(checkout, "old")
    with pytest.raises(StepFailed, match="older than 3.11"):
        environment.prepare("run")
    assert environment.program("python").exists()


def test_a_python_that_cannot_start_is_told_from_one_that_can(checkout: Path) -> None:
    assert environment._probe(Path(sys.executable)) == "ready"
    assert environment._probe(checkout / "nothing") == "broken"


def stand_in(checkout: Path, state: str) -> None:
    """Put a `python` into the checkout's environment that answers the probe with `state`."""
    python = checkout / ".venv/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text(f"#!/bin/sh\necho {state}\n")
    python.chmod(0o755)
