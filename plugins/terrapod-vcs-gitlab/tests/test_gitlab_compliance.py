from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from terrapod_core.plugin import Connection, Repo, VCSProvider
from terrapod_core.testing.fakes import FakeClock
from terrapod_core.testing.mirrors import http_clients
from terrapod_core.testing.vcs import Sample, Trouble, VCSProviderKit
from terrapod_vcs_gitlab.provider import GitLab
from terrapod_vcs_gitlab.settings import GitLabSettings
from tests.support.forge_gitlab import SECRET, GitLabForge


@pytest.fixture(
    scope="module", params=[("", "acme/network"), ("/tools/gitlab", "acme/platform/core.net/network")], ids=["host", "below-a-path"]
)
def forge(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitLabForge]:
    prefix, path = request.param
    forge = GitLabForge(Path(tmp_path_factory.mktemp("gitlab")), prefix)
    forge.start()
    repo = forge.repository(path, {"main.tf": "# one\n", "gone.tf": ""})
    repo.tag("v1.0.0", annotated=True)
    repo.push({"main.tf": "# two\n", "modules/vpc/vpc.tf": "# vpc\n", "gone.tf": None}, "Change it")
    repo.push({"main.tf": "# three\n"}, "Improve it", branch="feature/three")
    forge.open_pull(path, "feature/three")
    yield forge
    forge.stop()


class TestGitLab(VCSProviderKit):
    @pytest.fixture
    def provider(self, forge: GitLabForge) -> VCSProvider:
        return GitLab(GitLabSettings(webhook_secret=SECRET), http_clients(forge.ca_file), FakeClock())

    @pytest.fixture
    def connection(self, forge: GitLabForge) -> Connection:
        return Connection("vcs-1", forge.url, {"token": "forge-token"})

    @pytest.fixture
    def refused(self, forge: GitLabForge) -> Connection:
        return Connection("vcs-2", forge.url, {"token": "revoked-token"})

    @pytest.fixture
    def stopped(self, forge: GitLabForge) -> Trouble:
        return forge.stopped

    @pytest.fixture
    def sample(self, forge: GitLabForge) -> Sample:
        path = next(iter(forge.repositories))
        repo, pull, page = forge.repositories[path], forge.pulls[0], f"{forge.url}/{path}"
        webhook = forge.signed("push", forge.pushed(repo, "refs/heads/main", repo.sha()))
        texts = [path, f"/{path}/", page, f"{page}/", f"{page}.git", f"{page}/-/tree/main/modules?ref_type=heads", f"  {path}.git "]
        return Sample(
            repo=Repo(path),
            texts=[*texts, f"git@localhost:{path}.git", f"ssh://git@localhost:2222/{path}.git"],
            branch="main",
            sha=repo.sha(),
            parent=repo.sha("refs/heads/main^"),
            message="Change it",
            changed=frozenset({"main.tf", "modules/vpc/vpc.tf", "gone.tf"}),
            files={"main.tf": b"# two\n", "modules/vpc/vpc.tf": b"# vpc\n"},
            tag="v1.0.0",
            tagged=repo.sha("refs/heads/main^"),
            pull=(pull.number, repo.sha(f"refs/heads/{pull.head_branch}")),
            webhook=webhook,
            ping=forge.signed("note", {"object_kind": "note", "project": {}}),
            secret=SECRET,
        )
