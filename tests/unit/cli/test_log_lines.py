"""Log lines reach standard error whatever is in them, and nobody stumbles when it is closed."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from terrapod_core.cli.common import configure_logging
from terrapod_core.db import Database
from terrapod_core.settings import load


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """What a command configures for its process is taken back."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def log(form: str, tmp_path: Path) -> structlog.typing.FilteringBoundLogger:
    configure_logging(load(environ={}, overrides={"data_dir": tmp_path, "log.format": form}))
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger("terrapod.test")
    return logger


def test_a_json_line_is_one_object(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log("json", tmp_path).info("request", status=200, where=tmp_path, odd="\ud800", more={1: "a\nb"})
    line = json.loads(capsys.readouterr().err)
    assert (line["event"], line["level"], line["status"]) == ("request", "info", 200)
    assert line["timestamp"].endswith("Z")


def test_a_json_line_holds_the_traceback(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        raise ValueError("why")
    except ValueError:
        log("json", tmp_path).exception("it failed")
    assert "ValueError: why" in json.loads(capsys.readouterr().err)["exception"]


def test_a_line_for_people_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log("console", tmp_path).warning("something happened", route="/x")
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "something happened" in said
    assert "route=/x" in said


def test_nothing_happens_when_nobody_reads_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    logger = log("json", tmp_path)
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr("sys.stderr", closed)
    logger.info("request")


async def test_a_pool_of_connections_that_is_closed_says_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log("console", tmp_path)
    db = Database(f"sqlite+aiosqlite:///{tmp_path}/terrapod.db")
    await db.close()
    assert capsys.readouterr().err == ""
