"""A forge, the same repositories behind a real sshd, and a provider for them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from terrapod_core.plugin import Connection, VCSClient
from terrapod_core.testing.mirrors import http_clients
from terrapod_vcs_git.provider import GitProvider
from terrapod_vcs_git.settings import GitSettings
from tests.support.forge import Forge
from tests.support.git_sshd import GIT_SHELL, PROGRAM, GitSshd

Ask = Callable[[Connection], VCSClient]


@pytest.fixture
def forge(tmp_path: Path) -> Iterator[Forge]:
    (tmp_path / "forge").mkdir()
    made = Forge(tmp_path / "forge")
    made.start()
    yield made
    made.stop()


@pytest.fixture
def sshd(tmp_path: Path, forge: Forge) -> Iterator[GitSshd]:
    if PROGRAM is None or GIT_SHELL is None:
        pytest.skip("no sshd or git-shell on this machine (Debian: apt-get install openssh-server git)")
    made = GitSshd(tmp_path / "sshd", forge.root)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    """Where the provider works."""
    return tmp_path / "data" / "vcs-git"


@pytest.fixture
def make(forge: Forge, scratch: Path) -> Callable[[GitSettings], GitProvider]:
    """Makes providers, as each start of the server does."""
    return lambda settings: GitProvider(settings, http_clients(forge.ca_file), scratch)


@pytest.fixture
def provider(make: Callable[[GitSettings], GitProvider]) -> GitProvider:
    return make(GitSettings())


@pytest.fixture
def https(forge: Forge) -> Connection:
    """A connection over HTTPS."""
    return Connection("vcs-https", forge.url, {"username": "terrapod", "token": "forge-token"})


@pytest.fixture
def ssh(sshd: GitSshd) -> Connection:
    """One over SSH."""
    return Connection("vcs-ssh", sshd.url, {"ssh-key": sshd.private(), "known-hosts": sshd.known_hosts})


@pytest_asyncio.fixture
async def client(provider: GitProvider, https: Connection) -> AsyncIterator[VCSClient]:
    """A client over HTTPS."""
    async with provider.client(https) as client:
        yield client
