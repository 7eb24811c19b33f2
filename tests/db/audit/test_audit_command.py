"""`terrapod audit`: what it prints, and its exit codes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from terrapod_core.cli import main
from terrapod_core.db import Database
from terrapod_core.secrets import Keyring, new_key
from terrapod_core.testing import FakeClock
from tests.support.record import Record

Terrapod = Callable[..., Result]


@pytest.fixture
def key() -> str:
    return new_key()


@pytest.fixture
def terrapod(migrated_url: str, key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Terrapod:
    """Runs `terrapod audit …` over the test's database."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TERRAPOD_DATABASE_URL", migrated_url)
    monkeypatch.setenv("TERRAPOD_SECRETS__KEYS", key)
    (tmp_path / "data").mkdir()

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(main, ["audit", *arguments, "--data-dir", str(tmp_path / "data")])

    return run


@pytest.fixture
def written(migrated_url: str, key: str, tmp_path: Path) -> Path:
    """Nine sealed entries, checkpoints at 5 and 9, one entry that waits; the anchor file."""
    anchor = tmp_path / "anchors.jsonl"

    async def write(log: Record) -> None:
        await log.sealed(5)
        await log.checkpoint(anchor)
        await log.sealed(4)
        await log.checkpoint(anchor)
        await log.write(1)

    over(migrated_url, key, write)
    return anchor


def over(url: str, key: str, act: Callable[[Record], object]) -> None:
    async def work() -> None:
        clock = FakeClock()
        log = Record(Database(url, clock=clock), clock, Keyring(key))
        try:
            await act(log)  # type: ignore[misc]
        finally:
            await log.db.close()

    asyncio.run(work())


def tampered(url: str, key: str, *statements: str) -> None:
    over(url, key, lambda log: log.tamper(*statements))


def test_a_good_record_is_said_to_be_good(terrapod: Terrapod, written: Path) -> None:
    result = terrapod("verify", "--anchor", str(written))
    assert result.exit_code == 0, result.output
    good, anchors, waits = result.output.splitlines()
    assert good.startswith("good: 9 entries, 2 checkpoints, head ")
    assert anchors == "2 anchors agree"
    assert waits.startswith("1 entries wait to be sealed, the oldest for ")


def test_an_empty_record_is_good(terrapod: Terrapod) -> None:
    result = terrapod("verify")
    assert (result.exit_code, result.output) == (0, "good: 0 entries, 0 checkpoints\n")


def test_a_broken_link_is_named_and_fails(terrapod: Terrapod, written: Path, migrated_url: str, key: str) -> None:
    tampered(migrated_url, key, "UPDATE audit_entries SET actor_name = 'mallory' WHERE seal_no = 7")
    result = terrapod("verify")
    assert result.exit_code == 1
    assert result.output.startswith("BROKEN: number 7 (audit-")
    assert "good up to here: 6 entries, 1 checkpoints" in result.output


def test_an_end_that_was_cut_off_fails_only_with_the_anchor(terrapod: Terrapod, written: Path, migrated_url: str, key: str) -> None:
    tampered(migrated_url, key, "DELETE FROM audit_entries WHERE seal_no > 5", "DELETE FROM audit_checkpoints WHERE seal_no > 5")
    assert terrapod("verify").exit_code == 0
    result = terrapod("verify", "--anchor", str(written))
    assert result.exit_code == 1
    assert "line 2 of the anchors signs number 9: its end was cut off" in result.output


def test_the_servers_log_serves_as_an_anchor(terrapod: Terrapod, written: Path, tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    lines = [json.loads(line) for line in written.read_text().splitlines()]
    noise = '{"event": "request", "status": 200}\nnot json at all: audit checkpoint\n'
    log.write_text(noise + "".join(json.dumps({"level": "info", **line, "timestamp": "2026-01-01T12:00:00Z"}) + "\n" for line in lines))
    result = terrapod("verify", "--anchor", str(log))
    assert (result.exit_code, "2 anchors agree" in result.output) == (0, True)


def test_a_file_without_checkpoints_is_no_anchor(terrapod: Terrapod, written: Path, tmp_path: Path) -> None:
    nothing = tmp_path / "nothing.log"
    nothing.write_text("hello\n")
    result = terrapod("verify", "--anchor", str(nothing))
    assert result.exit_code == 1
    assert "holds no checkpoint: it proves nothing" in result.output


def test_an_anchor_that_was_edited_is_named(terrapod: Terrapod, written: Path) -> None:
    lines = written.read_text().splitlines()
    written.write_text(lines[0] + "\n" + lines[1].replace('"seal-no":9', '"seal-no":8') + "\n")
    result = terrapod("verify", "--anchor", str(written))
    assert result.exit_code == 1
    assert "line 2 of the anchors bears a signature that the key" in result.output


def test_a_record_whose_newest_checkpoint_is_of_a_key_that_is_not_given_is_not_good(
    terrapod: Terrapod, written: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("TERRAPOD_SECRETS__KEYS", new_key())
    result = terrapod("verify")
    assert result.exit_code == 1, result.output
    assert f"key not given: {key.partition(':')[0]}." in result.output
    assert "nothing proves the entries from number 1 on" in result.output


def test_export_prints_the_sealed_entries(terrapod: Terrapod, written: Path) -> None:
    result = terrapod("export", "--first", "3", "--last", "5")
    assert result.exit_code == 0
    rows = [json.loads(line) for line in result.output.splitlines()]
    assert [row["seal-no"] for row in rows] == [3, 4, 5]
    assert {row["actor-name"] for row in rows} == {"alice"}


def test_what_was_archived_is_exported_and_verified(
    terrapod: Terrapod, written: Path, migrated_url: str, key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from terrapod_core.app import Terrapod as Application
    from terrapod_core.audit import Archiver
    from terrapod_core.settings import load

    async def archive() -> None:
        application = Application(load(overrides={"data_dir": tmp_path / "data"}), jobs=False)
        try:
            await Archiver(application.db, application.objects, timedelta(days=0)).run()
        finally:
            await application.db.close()

    before = terrapod("export").output
    asyncio.run(archive())
    assert terrapod("export").output == before
    result = terrapod("verify", "--anchor", str(written))
    assert (result.exit_code, "good: 9 entries" in result.output) == (0, True), result.output
