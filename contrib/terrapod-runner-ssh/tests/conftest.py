"""Two machines and a backend, as far as they can be had on the machine of the tests."""

from __future__ import annotations

import logging
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from sshd import PROGRAM, Sshd
from terrapod_runner_ssh import backend, remote
from terrapod_runner_ssh.backend import SshRunner
from terrapod_runner_ssh.settings import HostSettings, SshRunnerSettings

from terrapod_core.testing.runners import SCRIPT

Make = Callable[[SshRunnerSettings], SshRunner]


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
            for run in remote.runs(each.home / "runs") if (each.home / "runs").is_dir() else ():
                run.kill()


@pytest.fixture
def sshd(hosts: tuple[Sshd, Sshd]) -> Sshd:
    """The one that most tests need, up."""
    return hosts[0].start()


def on(sshd: Sshd, places: int) -> HostSettings:
    """The settings of a machine."""
    return HostSettings(address="127.0.0.1", port=sshd.port, user=sshd.user, places=places)


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
        hosts={"one": on(sshd, 3)},
        identity=hosts[0].identity,
        known_hosts=known_hosts,
        python=sys.executable,
        program=("/bin/sh", "-c", script),
        directory="~/runs",
    )


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hosts are asked more often, so that tests hear sooner of what happens there."""
    monkeypatch.setattr(backend, "FRESH_SECONDS", 0.1)


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
