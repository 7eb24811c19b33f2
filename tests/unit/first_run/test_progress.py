"""Steps that run before anything is installed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from progress import StepFailed, run


def test_what_a_command_prints_goes_to_the_log_and_not_to_the_screen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("greeting", [sys.executable, "-c", "print('hel' + 'lo')"], log=tmp_path / "log")

    assert "hello" in (tmp_path / "log").read_text()
    screen = capsys.readouterr().out
    assert "greeting" in screen
    assert "hello" not in screen


def test_a_failed_step_shows_its_own_last_lines_and_the_advice(tmp_path: Path) -> None:
    log = tmp_path / "log"
    run("first", [sys.executable, "-c", "print('of an earlier step')"], log=log)

    with pytest.raises(StepFailed) as failure:
        run("second", [sys.executable, "-c", "print('disk full'); raise SystemExit(3)"], log=log, help_text="Make room.")

    told = str(failure.value)
    assert "second: failed with exit code 3" in told
    assert "disk full" in told
    assert "Make room." in told
    assert "of an earlier step" not in told


def test_a_program_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(StepFailed, match="no-such-program"):
        run("starting", [tmp_path / "no-such-program"], log=tmp_path / "log")
