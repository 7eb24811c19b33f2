from __future__ import annotations

from pathlib import Path

import pytest

from terrapod_core.plugin import Connection, OutgoingError, Repo, VCSFailed
from terrapod_core.testing.fakes import FakeClock
from terrapod_core.testing.mirrors import http_clients
from terrapod_core.testing.vcs import archived, unpacked
from terrapod_vcs_gitlab.provider import GitLab
from terrapod_vcs_gitlab.settings import GitLabSettings
from tests.support.forge import Answer, Repository
from tests.support.forge_gitlab import GitLabForge

NETWORK = Repo("acme/platform/network")
ARCHIVE = "*/repository/archive.tar.gz"


@pytest.mark.parametrize(
    ("paths", "found", "requests"),
    [
        ([], {"main.tf", "modules/vpc/vpc.tf", "modules/dns/dns.tf"}, 1),
        ([""], {"main.tf", "modules/vpc/vpc.tf", "modules/dns/dns.tf"}, 1),
        (["modules/vpc"], {"modules/vpc/vpc.tf"}, 1),
        (["modules/vpc", "modules/dns"], {"main.tf", "modules/vpc/vpc.tf", "modules/dns/dns.tf"}, 1),
        (["modules/absent"], {"main.tf", "modules/vpc/vpc.tf", "modules/dns/dns.tf"}, 2),
    ],
)
async def test_one_directory_is_fetched_alone_and_more_come_with_everything(
    provider: GitLab, connection: Connection, forge: GitLabForge, repo: Repository, paths: list[str], found: set[str], requests: int
) -> None:
    sha = repo.push({"modules/dns/dns.tf": ""})
    forge.forget()
    async with provider.client(connection) as client:
        assert set(unpacked(await archived(client, NETWORK, sha, paths))) == found
    assert forge.count(ARCHIVE) == requests


async def test_an_archive_that_lies_elsewhere_is_fetched_without_the_token(
    provider: GitLab, connection: Connection, forge: GitLabForge, repo: Repository, tmp_path: Path
) -> None:
    other = GitLabForge(tmp_path / "other")
    other.root.mkdir()
    other.start()
    packed = forge.archive(repo, repo.sha(), "network")
    try:
        with other.twisted("*", packed), forge.twisted(ARCHIVE, Answer(302, b"", {"Location": f"{other.url}/bucket/archive?signed=yes"})):
            async with provider.client(connection) as client:
                assert "main.tf" in unpacked(await archived(client, NETWORK, repo.sha()))
        assert [each.path for each in other.asked] == ["/bucket/archive"]
        assert not {"private-token", "authorization", "cookie"} & set(other.asked[0].headers)
        assert forge.asked[-1].headers["private-token"] == "forge-token"
    finally:
        other.stop()


@pytest.mark.parametrize("body", [b"<!doctype html><title>Sign in", b"", b"PK\x03\x04"])
async def test_what_is_no_archive_has_failed(
    provider: GitLab, connection: Connection, forge: GitLabForge, repo: Repository, body: bytes
) -> None:
    with forge.twisted(ARCHIVE, Answer(200, body)):
        async with provider.client(connection) as client:
            with pytest.raises(VCSFailed, match="answered with something else in the place of an archive"):
                await archived(client, NETWORK, repo.sha())


async def test_an_archive_larger_than_the_settings_allow_ends_in_words(
    forge: GitLabForge, connection: Connection, repo: Repository
) -> None:
    strict = GitLab(GitLabSettings(max_archive_bytes=100), http_clients(forge.ca_file), FakeClock())
    async with strict.client(connection) as client:
        with pytest.raises(OutgoingError, match="localhost: answers with more than 100 bytes"):
            await archived(client, NETWORK, repo.sha())
