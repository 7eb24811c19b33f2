"""The instance's key is changed beside a server that is in use: nobody notices, nothing is lost, and the record says what happened."""

from __future__ import annotations

import hashlib
import os
import re
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field

import httpx
import pytest

from terrapod_core.plugin import Keys
from terrapod_core.secrets import new_key
from tests.support.server import Server
from tests.support.waiting import until
from tests.support.wire import data, document, lock, log_of, make_configuration, make_run, make_workspace, put_state, run_at, state

COMMAND_SECONDS = 240
PACE_SECONDS = 0.2
"""Between two rounds of the client: a rotation rewrites whatever was stored before it."""

PASSWORD = "correct-battery-of-the-rotation"
DIGEST = hashlib.sha256(PASSWORD.encode()).hexdigest()
CONFIGURATION = """
variable "password" {
  type      = string
  sensitive = true
}

output "digest" {
  value = nonsensitive(sha256(var.password))
}
"""
"""Its plan shows whether the runner was given the password, without showing it."""


def terrapod(server: Server, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command beside the server, on its data."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(server.directory), "LANG": "C.UTF-8"}
    command = [sys.executable, "-m", "terrapod_core", *arguments, "--data-dir", str(server.data)]
    return subprocess.run(
        command, cwd=server.directory, env=environment, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False
    )


def good(server: Server) -> int:
    """How many entries `terrapod audit verify` finds to be what they were; fails when it does not say that all is good."""
    verified = terrapod(server, "audit", "verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    found = re.match(r"good: (\d+) entries", verified.stdout)
    assert found, verified.stdout
    return int(found[1])


def key_ids(server: Server) -> tuple[str, ...]:
    return Keys.read((server.data / "keys").read_text(), "the key file").ids


@dataclass
class InUse:
    """What stands on the server, and a client that goes on reading and writing it."""

    api: httpx.Client
    used: str = field(init=False)
    """A workspace whose runs read a sensitive variable."""
    written: str = field(init=False)
    """A workspace that the client writes to."""
    rounds: int = 0
    failures: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.used = make_workspace(self.api)["id"]
        self.variable(self.used, "password", PASSWORD, sensitive=True)
        self.configuration = make_configuration(self.api, self.used, {"main.tf": CONFIGURATION})
        self.planned = self.plan()
        self.log = log_of(self.api, self.planned)
        self.written = make_workspace(self.api)["id"]
        self.counter = self.variable(self.written, "counter", "0", sensitive=False)
        lock(self.api, self.written)
        self.first = put_state(self.api, self.written, state(1, note="the first"))

    def variable(self, workspace: str, key: str, value: str, *, sensitive: bool) -> str:
        made = document("vars", key=key, value=value, category="terraform", sensitive=sensitive)
        return str(data(self.api.post(f"workspaces/{workspace}/vars", json=made), 201)["id"])

    def plan(self) -> str:
        """A run over what is stored; its id, once its plan is there and its log has shown that the password was known."""
        run = make_run(self.api, self.used, self.configuration, plan_only=True)
        run_at(self.api, run, "planned_and_finished")
        assert DIGEST in log_of(self.api, run)
        return run

    def state_of(self, version: str) -> bytes:
        shown = data(self.api.get(f"state-versions/{version}"))["attributes"]
        answer = self.api.get(shown["hosted-state-download-url"])
        assert answer.status_code == 200, answer.text
        return answer.content

    @property
    def current(self) -> bytes:
        return self.state_of(data(self.api.get(f"workspaces/{self.written}/current-state-version"))["id"])

    def round(self) -> None:
        """Write a variable and a state, and read both again, and what was there before."""
        number = self.rounds + 1
        path = f"workspaces/{self.written}/vars/{self.counter}"
        data(self.api.patch(path, json=document("vars", value=str(number))))
        put_state(self.api, self.written, state(number + 1, note=f"round {number}"))
        assert data(self.api.get(path))["attributes"]["value"] == str(number)
        self.rounds = number
        self.whole()

    def whole(self) -> None:
        """All that was written is there, the newest and the oldest."""
        assert self.current == state(self.rounds + 1, note=f"round {self.rounds}")
        assert self.state_of(self.first["id"]) == state(1, note="the first")

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """The client works in a thread of its own meanwhile; what it met fails the test at the end."""
        stop = threading.Event()

        def work() -> None:
            while not stop.is_set():
                try:
                    self.round()
                except Exception as error:  # noqa: BLE001 - the test tells it
                    self.failures.append(repr(error))
                    return
                stop.wait(PACE_SECONDS)

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
        assert self.failures == []


@pytest.mark.long
@pytest.mark.timeout(600)  # it waits a minute and a half, as the command does
def test_a_key_is_changed_while_the_server_is_in_use(new_server: Callable[..., Server]) -> None:
    server = new_server().start()
    pid = server.pid
    made = data(server.api.post("authentication-tokens", json=document("authentication-tokens", description="of before")), 201)
    old_token = made["attributes"]["token"]
    with closing(server.client(old_token)) as api:
        in_use = InUse(api)
        sealed_before = good(server)
        (old,) = key_ids(server)
        with in_use.going_on():
            rotated = terrapod(server, "keys", "rotate")
            assert rotated.returncode == 0, rotated.stderr
            new, *others = key_ids(server)
            assert others == [old]
            assert f"{new} seals now" in rotated.stdout
            assert "cannot be read" not in rotated.stderr
            during = in_use.rounds
            data(server.api.get("account/details"))  # so that the admin's token moves on too
            until(lambda: terrapod(server, "keys", "prune", "--now").returncode == 0, f"{old} to be needed no more", seconds=120)
            assert key_ids(server) == (new,)
        assert in_use.rounds > during > 0, "the client stood still"
        assert server.pid == pid
        assert good(server) > sealed_before
        kept(server, in_use)
        server.restart()
        kept(server, in_use)
        refused_with_a_wrong_key(server)
        server.start()
        kept(server, in_use)


def kept(server: Server, in_use: InUse) -> None:
    """Nothing is lost: states, variables, configuration, logs, and the token that the client shows."""
    in_use.whole()
    assert log_of(in_use.api, in_use.planned) == in_use.log
    in_use.plan()  # the sensitive variable and the configuration
    assert "another key" not in server.said()


def refused_with_a_wrong_key(server: Server) -> None:
    """The server does not start with another key of the same id, says so, and the right key is all that it needs."""
    assert server.stop() == 0
    file = server.data / "keys"
    right = file.read_text()
    (name,) = key_ids(server)
    file.write_text(f"{name}:{new_key().partition(':')[2]}\n")
    with pytest.raises(AssertionError, match="exit code 2") as refused:
        server.start()
    said = str(refused.value)
    assert f"The key '{name}' given in the key file {file} is not the key of that id that sealed this database" in said
    assert "Traceback" not in said
    assert right.partition(":")[2].strip() not in said
    file.write_text(right)


def test_an_entry_that_was_edited_behind_the_servers_back_is_named(new_server: Callable[..., Server]) -> None:
    server = new_server().start()
    for _ in range(3):
        make_workspace(server.api)
    until(lambda: good(server) >= 3, "the entries to be sealed")
    with closing(sqlite3.connect(server.data / "terrapod.db", timeout=30)) as database:
        (edited,) = database.execute("SELECT id FROM audit_entries WHERE seal_no = 2").fetchone()
        edit = "UPDATE audit_entries SET actor_name = 'mallory' WHERE seal_no = 2"
        with pytest.raises(sqlite3.IntegrityError, match="audit entries are never changed"):
            database.execute(edit)
        database.execute("DROP TRIGGER audit_entries_update")
        database.execute(edit)
        database.commit()
    verified = terrapod(server, "audit", "verify")
    assert verified.returncode == 1
    assert verified.stdout.splitlines()[0].startswith(f"BROKEN: number 2 ({edited}) is not what was sealed")
