"""An sshd of the tests' own: on a free port, with a host key of its own, for whoever runs the tests."""

from __future__ import annotations

import getpass
import logging
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from terrapod_runner_ssh import backend
from terrapod_runner_ssh.backend import SshRunner
from terrapod_runner_ssh.settings import HostSettings, SshRunnerSettings

from terrapod_core.testing.runners import SCRIPT

PROGRAM = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")


class Sshd:
    """A host, as far as one can be on the machine of the tests."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.home = directory / "home"
        self.home.mkdir(parents=True)
        for name in ("host", "user"):
            key = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(directory / name)]
            subprocess.run(key, check=True, stdin=subprocess.DEVNULL)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        # Every host lets in the key that the first one made.
        self.key_file = directory.parent / "one" / "user"
        shutil.copy(f"{self.key_file}.pub", directory / "authorized_keys")
        public = " ".join((directory / "host.pub").read_text().split()[:2])
        self.line = f"[127.0.0.1]:{self.port} {public}\n"
        self.config = directory / "sshd_config"
        self.config.write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {directory}/host\nAuthorizedKeysFile {directory}/authorized_keys\n"
            "PidFile none\nUsePAM no\nStrictModes no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"
            "PermitRootLogin prohibit-password\nMaxStartups 100\nUseDNS no\nKexAlgorithms curve25519-sha256\nLogLevel VERBOSE\n"
            f"SetEnv HOME={self.home}\n"
        )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Sshd:
        assert PROGRAM is not None
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen([PROGRAM, "-D", "-e", "-f", str(self.config)], stdin=subprocess.DEVNULL, stderr=log)
        ends = time.monotonic() + 20
        while not self._answers():
            assert time.monotonic() < ends, (self.directory / "log").read_text()
            time.sleep(0.01)
        return self

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1) as connection:
                return connection.recv(4) == b"SSH-"
        except OSError:
            return False

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def settings(self, places: int) -> HostSettings:
        return HostSettings(address="127.0.0.1", port=self.port, user=getpass.getuser(), places=places)

    @property
    def log(self) -> str:
        return (self.directory / "log").read_text("utf-8", "replace")


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[tuple[Sshd, Sshd]]:
    """Two machines."""
    if PROGRAM is None:
        pytest.skip("no sshd on this machine (Debian: apt-get install openssh-server)")
    made = (Sshd(tmp_path / "one"), Sshd(tmp_path / "two"))
    try:
        yield made
    finally:
        for each in made:
            each.stop()


@pytest.fixture
def sshd(hosts: tuple[Sshd, Sshd]) -> Sshd:
    """The one that most tests need, up."""
    return hosts[0].start()


@pytest.fixture
def manner(tmp_path: Path) -> Path:
    """What the program of the hosts does: the kit's script plays it, in the manner that this file says."""
    (tmp_path / "program.py").write_text(SCRIPT)
    path = tmp_path / "manner"
    path.write_text("waiting")
    return path


@pytest.fixture
def settings(hosts: tuple[Sshd, Sshd], sshd: Sshd, manner: Path, tmp_path: Path) -> SshRunnerSettings:
    known_hosts = tmp_path / "known_hosts"
    known_hosts.write_text("".join(each.line for each in hosts))
    script = f"exec {sys.executable} -I -S {tmp_path}/program.py {tmp_path} $(cat {manner})"
    return SshRunnerSettings(
        hosts={"one": sshd.settings(3)},
        key_file=hosts[0].key_file,
        known_hosts=known_hosts,
        python=sys.executable,
        program=("/bin/sh", "-c", script),
        directory="~/runs",
    )


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hosts are asked more often, so that tests hear sooner of what happens there."""
    monkeypatch.setattr(backend, "FRESH_SECONDS", 0.1)


Make = Callable[[SshRunnerSettings], SshRunner]


@pytest_asyncio.fixture
async def make() -> AsyncIterator[Make]:
    """Makes backends; each is closed at the end."""
    made: list[SshRunner] = []

    def make(settings: SshRunnerSettings) -> SshRunner:
        made.append(SshRunner(settings, log=logging.getLogger("terrapod.plugins.runner-ssh")))
        return made[-1]

    yield make
    for each in made:
        await each.close()
