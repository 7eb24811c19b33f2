"""Where repositories are, what they are called, and what changed in them."""

from __future__ import annotations

import pytest

from terrapod_core.plugin import (
    Connection,
    OutgoingTimeout,
    PluginContext,
    RefKind,
    Repo,
    Unreadable,
    VCSFailed,
    VCSMissing,
)
from terrapod_core.testing.vcs import archived, unpacked
from terrapod_vcs_github.addresses import api_url, in_path
from terrapod_vcs_github.client import GitHubClient
from terrapod_vcs_github.provider import GitHub
from tests.support.forge import MAIN_TF, Answer, Repository
from tests.support.forge_github import GitHubForge
from tests.support.github_peer import provider_for, token_connection

PETS = Repo("acme/pets")
BRANCHES = frozenset({RefKind.BRANCH})
ODD_NAMES = [
    "a/b/c",
    "50%25",
    "100%",
    "a#b",
    "a&b=c+d",
    "ü/é/日本",
    "it's",
    'a"b',
    "a;b,c",
    "{a}",
    "a@b",
    "<a>",
    "$HOME",
    "a|b",
    "a!b",
    "a`b`",
]


# -- addresses


@pytest.mark.parametrize(
    ("base", "api"),
    [
        ("https://github.com", "https://api.github.com"),
        ("https://www.github.com", "https://api.github.com"),
        ("https://github.example.com", "https://github.example.com/api/v3"),
        ("https://github.example.com:8443", "https://github.example.com:8443/api/v3"),
        ("https://acme.ghe.com", "https://api.acme.ghe.com"),
    ],
)
def test_each_github_has_its_api_where_it_is_documented(base: str, api: str) -> None:
    assert api_url(base) == api


@pytest.mark.parametrize(
    "base",
    [
        "http://github.com",
        "github.com",
        "https://",
        "https://user:password@github.com",
        "https://github.com/?a=b",
        "https://github.com:port",
        "https://api.github.com",
        "https://github.example.com/api/v3",
    ],
)
def test_an_address_that_is_not_of_a_github_is_refused(github: GitHub, base: str) -> None:
    with pytest.raises(Unreadable):
        github.check(Connection("vcs-1", base, {"token": "t"}))


@pytest.mark.parametrize(
    "text",
    [
        "acme/pets",
        "https://github.com/acme/pets",
        "https://github.com/acme/pets/",
        "https://GitHub.com/acme/pets.git",
        "https://www.github.com/acme/pets",
        "https://somebody@github.com/acme/pets.git",
        "github.com/acme/pets",
        "git@github.com:acme/pets.git",
        "ssh://git@github.com/acme/pets.git",
        "ssh://git@github.com:22/acme/pets.git",
    ],
)
def test_a_repository_is_meant_by_any_of_its_addresses(github: GitHub, text: str) -> None:
    assert github.repository(Connection("vcs-1", "https://github.com", {}), text) == PETS


@pytest.mark.parametrize(
    "text",
    [
        "acme",
        "acme/",
        "acme/..",
        "acme/pets/tree/main",
        "https://github.com/acme/pets/tree/main",
        "https://github.com.evil.example/acme/pets",
        "https://github.com:8443/acme/pets",
        "https://[/acme/pets",
        "http://github.com/acme/pets",
        "git@gitlab.com:acme/pets.git",
        "git@github.com:/acme/pets.git",
        "acme/pets?a=b",
        "acme/pe ts",
        "_acme/pets",
        "acme/p%2e%2e",
    ],
)
def test_what_is_no_repository_is_refused(github: GitHub, text: str) -> None:
    with pytest.raises(Unreadable):
        github.repository(Connection("vcs-1", "https://github.com", {}), text)


def test_a_branch_whose_name_is_no_text_is_one_segment_of_a_path() -> None:
    assert in_path(b"gr\xfcn/..#".decode("utf-8", "surrogateescape")) == "gr%FCn%2F..%23"


async def test_a_renamed_repository_is_found_under_its_former_name(forge: GitHubForge, github: GitHub, repo: Repository) -> None:
    async with github.client(token_connection(forge)) as client:
        before = await client.refs(PETS, BRANCHES, None)
        forge.rename(repo, "zoo/animals")
        info = await client.repository(PETS)
        assert (info.repo, info.clone_url) == (Repo("zoo/animals"), f"{forge.url}/zoo/animals.git")
        assert await client.refs(PETS, BRANCHES, None) == before
        assert (await client.commit(PETS, repo.sha())).sha == repo.sha()
        assert unpacked(await archived(client, PETS, repo.sha())) == {"main.tf": MAIN_TF.encode()}


async def test_a_repository_that_moved_to_another_host_gets_no_credentials_there(
    forge: GitHubForge, github: GitHub, repo: Repository
) -> None:
    away = Answer(301, b"", {"Location": f"https://127.0.0.1:{forge.port}/acme/else.git/info/refs?service=git-upload-pack"})
    with forge.twisted("/acme/pets.git/*", away), forge.twisted("/acme/else.git/*", Answer(200, b"")):
        async with github.client(token_connection(forge)) as client:
            with pytest.raises(VCSFailed, match="do not belong"):
                await client.refs(PETS, BRANCHES, None)
    assert [each.token for each in forge.asked if "else" in each.path] == [None]


async def test_an_empty_repository_has_no_commit(forge: GitHubForge, github: GitHub, repo: Repository) -> None:
    answer = Answer.of({"message": "Git Repository is empty."}, 409)
    async with github.client(token_connection(forge)) as client:
        with forge.twisted("/api/v3/repos/*/commits/*", answer), pytest.raises(VCSMissing):
            await client.commit(PETS, repo.sha())


async def test_repositories_are_listed_page_by_page_and_not_more_than_wanted(forge: GitHubForge, github: GitHub, repo: Repository) -> None:
    for number in range(100):
        forge.repositories[f"acme/pets-{number}"] = repo  # the forge's list is by object; this one repeats itself
    async with github.client(token_connection(forge)) as client:
        assert isinstance(client, GitHubClient)
        assert len(await client.repositories(1000)) == 101
        assert forge.count("/api/v3/user/repos") == 2
        forge.forget()
        assert len(await client.repositories(100)) == 100
        assert forge.count("/api/v3/user/repos") == 1
        assert len(await client.repositories(7)) == 7


# -- archives


async def test_an_archive_comes_from_another_host_that_sees_no_credentials(forge: GitHubForge, github: GitHub, repo: Repository) -> None:
    async with github.client(token_connection(forge)) as client:
        assert unpacked(await archived(client, PETS, repo.sha())) == {"main.tf": MAIN_TF.encode()}
    sent = [each for each in forge.asked if each.path.startswith("/codeload/")]
    assert [(each.headers["host"], "authorization" in each.headers) for each in sent] == [(f"127.0.0.1:{forge.port}", False)]
    assert [each.token for each in forge.asked if "/tarball/" in each.path] == ["forge-token"]


async def test_an_archive_that_falls_silent_is_given_up(forge: GitHubForge, plugin_context: PluginContext, repo: Repository) -> None:
    github = provider_for(forge, plugin_context, idle_seconds=0.2)
    silent = Answer(200, b"", {"Content-Type": "application/x-gzip"}, stream=["sleep", "3"])
    async with github.client(token_connection(forge)) as client:
        with forge.twisted("/codeload/*", silent), pytest.raises(OutgoingTimeout, match="127.0.0.1: sent nothing"):
            await archived(client, PETS, repo.sha())


async def test_a_page_in_the_place_of_an_archive_is_none(forge: GitHubForge, github: GitHub, repo: Repository) -> None:
    page = Answer(200, b"<!doctype html>", {"Content-Type": "text/html; charset=utf-8"})
    async with github.client(token_connection(forge)) as client:
        with forge.twisted("/codeload/*", page), pytest.raises(VCSFailed, match="page for people"):
            await archived(client, PETS, repo.sha())
        with forge.twisted("/codeload/*", Answer(202, b"later")), pytest.raises(VCSFailed, match="127.0.0.1: answered 202"):
            await archived(client, PETS, repo.sha())


async def test_a_refusal_without_end_is_not_read_to_its_end(forge: GitHubForge, github: GitHub, repo: Repository) -> None:
    async with github.client(token_connection(forge)) as client:
        with forge.twisted("/codeload/*", Answer(500, stream=["yes"])), pytest.raises(VCSFailed, match="answered 500"):
            await archived(client, PETS, repo.sha())


# -- what changed


async def changed(github: GitHub, forge: GitHubForge, base: str, head: str) -> set[str] | None:
    async with github.client(token_connection(forge)) as client:
        assert isinstance(client, GitHubClient)
        found = await client.changed_files(PETS, base, head)
        return None if found is None else set(found)


async def test_of_more_files_than_github_tells_nothing_is_told(forge: GitHubForge, github: GitHub, repo: Repository) -> None:
    base = repo.sha()
    almost = repo.push({f"files/{number}.tf": "" for number in range(299)})
    found = await changed(github, forge, base, almost)
    assert found is not None
    assert len(found) == 299
    assert await changed(github, forge, base, repo.push({"one.tf": "1"})) is None


async def test_many_commits_cost_one_request(forge: GitHubForge, github: GitHub, repo: Repository) -> None:
    base = repo.sha()
    for number in range(5):
        repo.commit({f"{number}.tf": ""})
    head = repo.push({"last.tf": ""})
    assert await changed(github, forge, base, head) == {"0.tf", "1.tf", "2.tf", "3.tf", "4.tf", "last.tf"}
    assert forge.count("*/compare/*") == 1


async def test_what_the_base_gained_meanwhile_is_no_change(forge: GitHubForge, github: GitHub, repo: Repository) -> None:
    repo.push({"mine.tf": ""}, "Grow", "grow")
    repo.push({"theirs.tf": ""})
    assert await changed(github, forge, "main", "grow") == {"mine.tf"}


async def test_histories_without_a_common_beginning_are_not_compared(forge: GitHubForge, github: GitHub, repo: Repository) -> None:
    base = repo.sha()
    repo.git("checkout", "-q", "--orphan", "other")
    head = repo.commit({"main.tf": "locals {}\n"}, "Begin anew")
    repo.git("push", "-q", "origin", "HEAD:refs/heads/other")
    assert await changed(github, forge, base, head) is None


async def test_a_comparison_that_takes_github_too_long_tells_nothing(forge: GitHubForge, github: GitHub, repo: Repository) -> None:
    answer = Answer.of({"message": "Sorry, this diff is taking too long to generate."}, 422)
    with forge.twisted("*/compare/*", answer):
        assert await changed(github, forge, repo.sha(), repo.sha()) is None


async def test_a_base_that_is_gone_is_missing(forge: GitHubForge, github: GitHub, repo: Repository) -> None:
    with pytest.raises(VCSMissing, match="that could be compared"):
        await changed(github, forge, "0" * 40, "main")


@pytest.mark.parametrize("name", ODD_NAMES)
async def test_branches_may_be_called_what_git_allows(forge: GitHubForge, github: GitHub, repo: Repository, name: str) -> None:
    sha = repo.push({"odd.tf": ""}, "Be odd", name)
    async with github.client(token_connection(forge)) as client:
        refs = await client.refs(PETS, BRANCHES, None)
    assert refs is not None
    assert refs.branches[name] == sha
    assert await changed(github, forge, "main", name) == {"odd.tf"}
    assert await changed(github, forge, name, "main") == set()
