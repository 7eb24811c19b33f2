"""`terrapod keys` over a data directory, as an operator calls it while no server runs."""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner, Result

from terrapod_core.cli import main
from terrapod_core.plugin import Keys
from terrapod_core.testing.keys import key_text


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data directory with a user and a token."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TERRAPOD_DATA_DIR", str(tmp_path / "data"))
    (tmp_path / "data").mkdir()
    assert terrapod("users", "create", "ada@example.com", said="a quiet walnut drawer\na quiet walnut drawer\n").exit_code == 0
    assert terrapod("tokens", "create", "ada@example.com").exit_code == 0
    return tmp_path / "data"


def terrapod(*arguments: str, said: str | None = None) -> Result:
    return CliRunner().invoke(main, arguments, input=said)


def ids(data: Path) -> tuple[str, ...]:
    return Keys.read((data / "keys").read_text(), "a test").ids


def test_a_rotation_puts_a_new_key_first_and_prune_waits_for_the_token(data: Path) -> None:
    (old,) = ids(data)
    rotated = terrapod("keys", "rotate")
    assert rotated.exit_code == 0, rotated.output
    new, *others = ids(data)
    assert others == [old]
    assert f"{new} seals now" in rotated.output
    assert f"{old} is still needed: 1 API tokens, links and runner credentials until" in rotated.output
    listed = terrapod("keys", "list")
    assert f"{new}  newest: seals" in listed.output
    assert f"{old}  old: opens" in listed.output
    refused = terrapod("keys", "prune", "--now")
    assert refused.exit_code == 1
    assert f"{old} is still needed: 1 API tokens" in refused.output
    assert ids(data) == (new, old)


def test_what_nothing_needs_is_removed_when_its_links_are_over(data: Path) -> None:
    (old,) = ids(data)
    token = terrapod("tokens", "list").output.splitlines()[1].split()[0]
    assert terrapod("tokens", "revoke", token).exit_code == 0
    assert terrapod("keys", "rotate").exit_code == 0
    waits = terrapod("keys", "prune")
    assert waits.exit_code == 1
    assert "links and runner credentials until" in waits.output
    gone = terrapod("keys", "prune", "--now")
    assert gone.exit_code == 0, gone.output
    assert f"{old} is removed" in gone.output
    assert old not in ids(data)
    assert "nothing to do" in terrapod("keys", "prune").output


def test_no_command_shows_a_key(data: Path) -> None:
    said = "".join(terrapod("keys", *command).output for command in (["list"], ["rotate"], ["prune"], ["list"]))
    for line in (data / "keys").read_text().split():
        assert line.partition(":")[2] not in said


def test_keys_that_are_given_are_not_made_but_asked_for(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERRAPOD_SECRETS__KEYS", (data / "keys").read_text().strip())
    only = terrapod("keys", "rotate")
    assert only.exit_code == 0
    assert "This is the only key. To change it, add a new one before it in TERRAPOD_SECRETS__KEYS, then rotate again." in only.output
    monkeypatch.setenv("TERRAPOD_SECRETS__KEYS", key_text("given").strip() + "," + (data / "keys").read_text().strip())
    assert "given seals now" in terrapod("keys", "rotate").output
    assert len(ids(data)) == 1


def test_a_wrong_key_is_one_line_and_exit_code_2(data: Path) -> None:
    (old,) = ids(data)
    (data / "keys").write_text(key_text(old))
    refused = terrapod("keys", "list")
    assert refused.exit_code == 2
    assert f"The key '{old}' given in the key file {data / 'keys'} is not the key of that id that sealed this database" in refused.output
    assert "Traceback" not in refused.output


@pytest.fixture
def waited(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long the commands wanted to sleep; they do not."""
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr("terrapod_core.cli.keys.asyncio", SimpleNamespace(sleep=sleep, to_thread=asyncio.to_thread))
    return waited


@contextmanager
def server_running(data: Path) -> Iterator[None]:
    """As long as the data directory is a server's."""
    lock = os.open(data / "server.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def test_prune_waits_until_what_a_server_sealed_under_the_old_key_is_written(data: Path, waited: list[float]) -> None:
    with server_running(data):
        assert "there is no old key" in terrapod("keys", "prune", "--now").output
    assert waited == [], "there is one key"
    assert terrapod("keys", "rotate").exit_code == 0
    assert waited == [], "no server runs"
    with server_running(data):
        assert "is still needed: 1 API tokens" in terrapod("keys", "prune", "--now").output
    assert len(waited) == 1
    assert 20 < waited[0] <= 30


def test_while_a_server_runs_the_new_key_waits_until_it_is_known(data: Path, waited: list[float]) -> None:
    (old,) = ids(data)
    with server_running(data):
        told = terrapod("keys", "rotate")
    assert len(waited) == 1
    assert 40 < waited[0] <= 45
    # The clock did not move: the new key stands in the file, and the old one seals still.
    assert f"{old} seals now" in told.output
    assert ids(data)[1:] == (old,)
    assert terrapod("keys", "rotate").exit_code == 0
    assert len(ids(data)) == 2, "it was taken up again, and made no third key"
