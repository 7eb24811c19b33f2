"""What a listener keeps on disk."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from terrapod_core.listener import StateDir
from terrapod_core.listener.state import Record
from terrapod_core.plugin import SettingsError


def record(phase_id: str = "plan-1", epoch: int = 1) -> Record:
    return Record(run_id="run-1", phase_id=phase_id, phase="plan", epoch=epoch, organization="default", workspace="demo")


def test_nobody_else_reads_it(tmp_path: Path) -> None:
    directory = tmp_path / "listener"
    directory.mkdir(mode=0o755)
    state = StateDir(directory)
    state.new_key()
    state.save(record())
    assert directory.stat().st_mode & 0o777 == 0o700
    assert (directory / "key.pem").stat().st_mode & 0o777 == 0o600
    assert (directory / "phases" / "plan-1.1.json").stat().st_mode & 0o777 == 0o600


def test_a_phase_comes_back_as_it_was_kept(tmp_path: Path) -> None:
    state = StateDir(tmp_path)
    kept = record()
    state.save(kept)
    kept.handle = {"pid": 7, "work-dir": "/x"}
    state.save(kept)
    state.save(record(epoch=2))
    assert StateDir(tmp_path).records() == [kept, record(epoch=2)]
    state.remove(kept)
    state.remove(kept)
    assert state.records() == [record(epoch=2)]


def test_a_crash_in_the_middle_of_writing_leaves_what_was_there(tmp_path: Path) -> None:
    state = StateDir(tmp_path)
    state.save(record())
    (tmp_path / "phases" / "plan-1.1.new").write_text('{"run-i')
    assert StateDir(tmp_path).records() == [record()]


def test_an_id_that_leads_elsewhere_is_refused(tmp_path: Path) -> None:
    state = StateDir(tmp_path)
    with pytest.raises(ValueError, match="no id of a phase"):
        state.save(record("../../etc/x"))


def test_two_listeners_never_share_a_directory(tmp_path: Path) -> None:
    first, second = StateDir(tmp_path), StateDir(tmp_path)
    with first.alone(), pytest.raises(SettingsError, match="another listener runs in"), second.alone():
        pass
    with second.alone():
        pass


def test_a_servers_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "server.lock").touch()
    with pytest.raises(SettingsError, match="data directory of a server"):
        StateDir(tmp_path)


@pytest.mark.parametrize("name", ["identity.json", "phases/plan-1.1.json"])
def test_what_cannot_be_understood_is_named(tmp_path: Path, name: str) -> None:
    state = StateDir(tmp_path)
    (tmp_path / name).write_text("{}")
    with pytest.raises(SettingsError, match=name):
        state.identity()
        state.records()


def test_a_key_of_another_kind_is_named(tmp_path: Path) -> None:
    state = StateDir(tmp_path)
    with pytest.raises(SettingsError, match="key.pem cannot be read"):
        state.key()
    (tmp_path / "key.pem").write_text("no key")
    with pytest.raises(SettingsError, match="key.pem cannot be read"):
        state.key()


def test_a_listener_starts_without_the_web_and_the_database() -> None:
    heavy = "{'quart', 'sqlalchemy', 'hypercorn', 'alembic', 'asyncpg'}"
    program = f"import sys, terrapod_core.cli.listener; print(*sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
