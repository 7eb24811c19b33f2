"""Which terraform the demonstration drives."""

from __future__ import annotations

from pathlib import Path

import pytest

import engine
import environment
from progress import StepFailed


@pytest.fixture
def bin_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only directory on PATH besides the system's own."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(engine, "_from_wheel", lambda: Path("the wheel's"))
    return tmp_path


def test_terraform_goes_before_tofu(bin_directory: Path) -> None:
    put(bin_directory / "tofu", version="1.9.0")
    put(bin_directory / "terraform", version="1.11.4")
    assert engine.find() == bin_directory / "terraform"


def test_tofu_serves_when_terraform_does_not_start(bin_directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(bin_directory / "terraform", version=None)
    put(bin_directory / "tofu", version="1.9.0")
    assert engine.find() == bin_directory / "tofu"
    assert "terraform does not start" in capsys.readouterr().out


def test_a_terraform_too_old_for_the_demonstration_is_passed_over(bin_directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(bin_directory / "terraform", version="1.3.9")
    assert engine.find() == Path("the wheel's")
    assert "1.3.9, older than 1.4" in capsys.readouterr().out


def test_a_machine_without_any_gets_the_wheels(bin_directory: Path) -> None:
    assert engine.find() == Path("the wheel's")


def test_a_wheel_that_does_not_start_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "install", lambda *_: None)
    monkeypatch.setattr(environment, "VENV", tmp_path / "a folder")
    with pytest.raises(StepFailed, match="--engine PATH"):
        engine._from_wheel()


def put(program: Path, *, version: str | None) -> None:
    """Write a stand-in that answers `version -json`, or fails when it has none."""
    answer = f'echo \'{{"terraform_version": "{version}"}}\'' if version else "echo no such version >&2; exit 1"
    program.write_text(f"#!/bin/sh\n{answer}\n")
    program.chmod(0o755)
