from __future__ import annotations

from dataclasses import replace

import pytest

from terrapod_core.plugin import Connection, Repo, VCSProvider
from terrapod_core.testing.vcs import Sample, Trouble, VCSProviderKit
from terrapod_vcs_git.provider import GitProvider
from tests.support.forge import Forge
from tests.support.git_sshd import GitSshd


def sampled(forge: Forge, url: str) -> Sample:
    """A repository with two commits, under the URL that a connection knows it by."""
    unchanged = {"modules/vpc/main.tf": b"vpc", "modules/vpc/notes ü.md": b"n", "docs/a.md": b"a"}
    made = forge.repository("team/network", {"main.tf": b"one", **unchanged})
    parent = made.sha()
    sha = made.push({"main.tf": "two"}, "Take two")
    tagged = made.tag("v1.0.0", annotated=True)
    return Sample(
        repo=Repo("team/network.git"),
        texts=("team/network.git", "/team/network.git/", f"{url}/team/network.git", f" {url}/team/network.git/ "),
        branch="main",
        sha=sha,
        parent=parent,
        message="Take two",
        changed=frozenset({"main.tf"}),
        files={"main.tf": b"two", **unchanged},
        tag="v1.0.0",
        tagged=tagged,
    )


class TestOverHTTPS(VCSProviderKit):
    @pytest.fixture
    def provider(self, provider: GitProvider) -> VCSProvider:
        return provider

    @pytest.fixture
    def connection(self, https: Connection) -> Connection:
        return https

    @pytest.fixture
    def refused(self, https: Connection) -> Connection:
        values = {"token": "a-token-of-nobody", "check-repository": "team/network.git"}
        return replace(https, values=values)

    @pytest.fixture
    def sample(self, forge: Forge) -> Sample:
        return sampled(forge, forge.url)

    @pytest.fixture
    def stopped(self, forge: Forge) -> Trouble:
        return forge.stopped

    async def test_a_connection_without_credentials_is_refused_in_words(self, provider: VCSProvider, connection: Connection) -> None:
        """It is not, here: there are repositories that anybody may read."""
        provider.check(replace(connection, values={}))


class TestOverSSH(VCSProviderKit):
    @pytest.fixture
    def provider(self, provider: GitProvider) -> VCSProvider:
        return provider

    @pytest.fixture
    def connection(self, ssh: Connection) -> Connection:
        return ssh

    @pytest.fixture
    def refused(self, ssh: Connection, sshd: GitSshd) -> Connection:
        return replace(ssh, values={**ssh.values, "ssh-key": sshd.private("stranger")})

    @pytest.fixture
    def sample(self, forge: Forge, sshd: GitSshd) -> Sample:
        return sampled(forge, sshd.url)

    @pytest.fixture
    def stopped(self, sshd: GitSshd) -> Trouble:
        return sshd.stopped
