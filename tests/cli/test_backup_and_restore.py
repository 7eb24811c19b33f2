"""The drill: an installation in use is backed up and comes up elsewhere, in the other kind of database, with all that it had."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.test_rotation import InUse
from tests.support.server import KEYS, Server
from tests.support.tf import Terraform, cloud
from tests.support.waiting import until
from tests.support.wire import data, document, make_workspace, put_state, state

PASSPHRASE = "eleven hundred geese"
CONFIGURATION = """
resource "terraform_data" "kept" {
  input = "what was applied before"
}
"""
SECONDS = 240


class Place:
    """Where commands are told to find an installation."""

    def __init__(self, directory: Path, data_dir: Path, **settings: str) -> None:
        self.directory = directory
        self.data_dir = data_dir
        directory.mkdir(parents=True, exist_ok=True)
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(directory), "LANG": "C.UTF-8"}
        self.environment |= {f"TERRAPOD_{name}": value for name, value in settings.items()}

    def begin(self, *arguments: str, passphrase: str = PASSPHRASE) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "terrapod_core", *arguments]
        if arguments[:2] != ("backup", "verify"):
            command += ["--data-dir", str(self.data_dir)]
        environment = self.environment | {"TERRAPOD_BACKUP_PASSPHRASE": passphrase}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL}
        return subprocess.Popen(command, cwd=self.directory, env=environment, text=True, **pipes)  # type: ignore[call-overload,no-any-return]

    def run(self, *arguments: str, passphrase: str = PASSPHRASE) -> subprocess.CompletedProcess[str]:
        process = self.begin(*arguments, passphrase=passphrase)
        output, errors = process.communicate(timeout=SECONDS)
        return subprocess.CompletedProcess(arguments, process.returncode, output, errors)

    def good(self, *arguments: str) -> str:
        done = self.run(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


def place_of(server: Server, settings: Mapping[str, str]) -> Place:
    return Place(server.directory, server.data, **settings)


@pytest.fixture(params=["sqlite to postgresql", "postgresql to sqlite"])
def servers(
    request: pytest.FixtureRequest, new_server: Callable[..., Server], postgres_url: str
) -> tuple[tuple[Server, Place], tuple[Server, Place]]:
    """The one that is in use, and the one it is restored to, both with the same keys; not started."""
    on_sqlite, on_postgresql = new_server(), new_server(database_url=postgres_url)
    on_sqlite.set("SECRETS__KEYS", KEYS)
    places = (
        (on_sqlite, place_of(on_sqlite, {"SECRETS__KEYS": KEYS})),
        (on_postgresql, place_of(on_postgresql, {"SECRETS__KEYS": KEYS, "DATABASE_URL": postgres_url})),
    )
    return places if request.param == "sqlite to postgresql" else (places[1], places[0])


@pytest.mark.long
@pytest.mark.timeout(600)  # a dozen commands, each a second of imports and a key that is slow to derive
def test_an_installation_in_use_comes_up_elsewhere_with_all_it_had(
    servers: tuple[tuple[Server, Place], tuple[Server, Place]], terraform: Path, tmp_path: Path
) -> None:
    (server, here), (other, there) = servers
    server.start()
    archive = tmp_path / "archives" / "terrapod.backup"
    archive.parent.mkdir()
    tf = Terraform(terraform, tmp_path / "work", server)
    tf.write(cloud(server, 'name = "applied"'), "cloud.tf")
    tf.write(CONFIGURATION)
    tf.run("init", "-input=false")
    tf.run("apply", "-auto-approve")
    in_use = InUse(server.api)
    shown = data(server.api.get(f"state-versions/{in_use.first['id']}"))["attributes"]["hosted-state-download-url"]
    with in_use.going_on():
        until(lambda: in_use.rounds > 1, "the client to write")
        said = here.good("backup", str(archive))
        assert re.search(r"\d+ rows, \d+ objects", said)
    assert here.good("storage", "check").splitlines()[-1].endswith("0 gaps, 0 orphans (0 bytes)")
    assert [path.name for path in archive.parent.iterdir()] == [archive.name]
    assert archive.stat().st_mode & 0o777 == 0o600
    assert "whole: every byte" in here.good("backup", "verify", str(archive))
    server.stop()

    refused = there.run("restore", str(archive), passphrase="twelve hundred geese")
    assert refused.returncode == 1
    assert "not the passphrase" in refused.stderr
    assert "nothing was written" in there.good("restore", str(archive), "--dry-run")
    assert "API tokens are ended" in there.good("restore", str(archive))
    assert "0 gaps" in there.good("storage", "check", "--deep")
    again = there.run("restore", str(archive))
    assert again.returncode == 1
    assert "--replace" in again.stderr
    assert "API tokens were kept" in there.good("restore", str(archive), "--replace", "--keep-tokens")
    other.start()
    link = shown.replace(server.url, other.url)
    assert other.api.get(link).status_code == 404
    api = other.api
    versions = data(api.get("state-versions", params={"filter[workspace][name]": "applied", "filter[organization][name]": "default"}))
    assert versions
    restored = InUse.__new__(InUse)
    restored.api, restored.written, restored.first = api, in_use.written, in_use.first
    assert restored.state_of(in_use.first["id"]) == state(1, note="the first")
    assert b"round" in restored.current
    tf_there = Terraform(terraform, tmp_path / "work-there", other)
    tf_there.write(cloud(other, 'name = "applied"'), "cloud.tf")
    tf_there.write(CONFIGURATION)
    tf_there.run("init", "-input=false")
    assert "No changes" in tf_there.run("plan").text
    lines = there.good("audit", "verify").splitlines()
    assert lines[0].startswith("good: ")
    actions = there.good("audit", "export")
    assert '"action":"instance.restored"' in actions


def test_tokens_end_with_a_restore_unless_they_are_kept(new_server: Callable[..., Server], tmp_path: Path) -> None:
    server = new_server().start()
    made = data(server.api.post("authentication-tokens", json=document("authentication-tokens", description="of before")), 201)
    token = made["attributes"]["token"]
    here = place_of(server, {})
    archive = tmp_path / "terrapod.backup"
    here.good("backup", str(archive), "--with-keys")
    refused = here.run("restore", str(archive), "--replace")
    assert refused.returncode == 2
    assert "stop it first" in refused.stderr
    server.stop()
    other = new_server()
    there = place_of(other, {})
    there.good("restore", str(archive), "--keep-tokens")
    assert (other.data / "keys").read_text() == (server.data / "keys").read_text()
    assert (other.data / "keys").stat().st_mode & 0o777 == 0o600
    other.start()
    with closing(other.client(token)) as api:
        data(api.get("account/details"))
    other.stop()
    there.good("restore", str(archive), "--replace")
    other.start()
    with closing(other.client(token)) as api:
        assert api.get("account/details").status_code == 401
    with closing(other.client(other.token)) as api:
        data(api.get("account/details"))  # the settings give it anew


def test_a_backup_that_is_killed_leaves_nothing_half(new_server: Callable[..., Server], tmp_path: Path) -> None:
    server = new_server().start()
    workspace = make_workspace(server.api)["id"]
    data(server.api.post(f"workspaces/{workspace}/actions/lock"))
    for serial in range(1, 30):
        put_state(server.api, workspace, state(serial, note=os.urandom(200_000).hex()))
    here = place_of(server, {})
    directory = tmp_path / "archives"
    directory.mkdir()
    for number in (signal.SIGKILL, signal.SIGTERM):
        process = here.begin("backup", str(directory / "a"))
        until(lambda process=process: is_writing(process, directory), "the backup to write")  # type: ignore[misc]
        process.send_signal(number)
        _, errors = process.communicate(timeout=SECONDS)
        assert process.returncode != 0
        assert "Traceback" not in errors
        assert list(directory.iterdir()) == []
    here.good("backup", str(directory / "a"))


def is_writing(process: subprocess.Popen[str], directory: Path) -> bool:
    """Whether the process has a file in the directory open, or has ended too early to be killed."""
    assert process.poll() is None, "the backup ended before it was killed"
    try:
        return any(str(each.readlink()).startswith(f"{directory}/") for each in Path(f"/proc/{process.pid}/fd").iterdir())
    except OSError:
        return False
