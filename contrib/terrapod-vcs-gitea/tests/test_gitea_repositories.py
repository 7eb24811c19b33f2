from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from terrapod_vcs_gitea import Gitea

from terrapod_core.plugin import CommitState, CommitStatus, Connection, Repo, SupportsCommitStatuses, Unreadable, VCSProvider
from terrapod_core.testing.mirrors import http_clients
from terrapod_core.testing.vcs import Sample, Trouble, VCSProviderKit
from tests.support.forge_gitea import GiteaForge

SECRET = "the webhook's secret"


@pytest.fixture
def forge(tmp_path: Path) -> Iterator[GiteaForge]:
    made = GiteaForge(tmp_path)
    made.start()
    yield made
    made.stop()


class TestGitea(VCSProviderKit):
    @pytest.fixture
    def provider(self, forge: GiteaForge) -> VCSProvider:
        return Gitea(http_clients(forge.ca_file))

    @pytest.fixture
    def connection(self, forge: GiteaForge) -> Connection:
        return Connection("vcs-1", forge.url, {"token": "forge-token"})

    @pytest.fixture
    def refused(self, connection: Connection) -> Connection:
        return replace(connection, values={"token": "a-token-of-nobody"})

    @pytest.fixture
    def sample(self, forge: GiteaForge) -> Sample:
        unchanged = {"modules/vpc/main.tf": b"vpc", "docs/a.md": b"a"}
        made = forge.repository("team/network", {"main.tf": b"one", **unchanged})
        parent = made.sha()
        sha = made.push({"main.tf": "two"}, "Take two")
        return Sample(
            repo=Repo("team/network"),
            texts=("team/network", f"{forge.url}/team/network", f"{forge.url}/team/network.git", f"{forge.url}/team/network/"),
            branch="main",
            sha=sha,
            parent=parent,
            message="Take two",
            changed=frozenset({"main.tf"}),
            files={"main.tf": b"two", **unchanged},
            tag="v1.0.0",
            tagged=made.tag("v1.0.0", annotated=True),
            webhook=forge.webhook("push", "team/network", SECRET),
            ping=forge.webhook("repository", "team/network", SECRET),
            secret=SECRET,
        )

    @pytest.fixture
    def stopped(self, forge: GiteaForge) -> Trouble:
        return forge.stopped

    async def test_a_plain_http_address_is_refused(self, provider: VCSProvider, connection: Connection) -> None:
        with pytest.raises(Unreadable, match="https://"):
            provider.check(replace(connection, base_url="http://git.example.com"))

    async def test_statuses_are_told_in_giteas_words(
        self, provider: VCSProvider, connection: Connection, sample: Sample, forge: GiteaForge
    ) -> None:
        for state in CommitState:
            async with provider.client(connection) as client:
                assert isinstance(client, SupportsCommitStatuses)
                await client.set_status(sample.repo, sample.sha, CommitStatus("terrapod/x", state, "d", "https://t.example.com"))
        told = [each[2] for each in forge.repositories["team/network"].statuses]
        assert told == ["pending", "pending", "success", "failure", "error", "warning"]
