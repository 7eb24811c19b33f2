from __future__ import annotations

import json

import pytest

from terrapod_core.plugin import Connection, PullRequests, Repo, VCSDenied, VCSFailed
from terrapod_vcs_gitlab.client import GitLabClient
from terrapod_vcs_gitlab.provider import GitLab
from tests.support.forge import Answer, Asked, Repository
from tests.support.forge_gitlab import GitLabForge

NETWORK = Repo("acme/platform/network")
LIST = "*/merge_requests"


async def listed(client: GitLabClient, validator: str | None = None) -> PullRequests:
    found = await client.pull_requests(NETWORK, validator)
    assert found is not None
    return found


def opened(forge: GitLabForge, repo: Repository, many: int) -> None:
    repo.push({"new.tf": ""}, branch="feature")
    for number in range(many):
        forge.open_pull(repo.path, "feature", title=f"Improve it {number}")
    forge.forget()


async def test_a_merge_request_is_told_with_all_that_a_run_shows(
    provider: GitLab, connection: Connection, forge: GitLabForge, repo: Repository
) -> None:
    sha = repo.push({"new.tf": ""}, branch="feature/ü")
    pull = forge.open_pull(repo.path, "feature/ü", title="Improve it")
    pull.body = "Because."
    async with provider.client(connection) as client:
        (found,) = (await listed(client)).items
    assert (found.number, found.title, found.body, found.head_sha) == (pull.number, "Improve it", "Because.", sha)
    assert (found.head_branch, found.base_branch, found.is_fork) == ("feature/ü", "main", False)
    assert found.url == f"{forge.url}/acme/platform/network/-/merge_requests/{pull.number}"
    assert (found.author_login, found.author_url) == ("alice", f"{forge.url}/alice")
    assert found.author_avatar_url == f"{forge.url}/uploads/alice.png"


async def test_one_from_a_fork_is_marked_also_when_the_fork_is_gone(
    provider: GitLab, connection: Connection, forge: GitLabForge, repo: Repository
) -> None:
    fork = forge.fork(repo.path, "mallory/network")
    sha = fork.push({"evil.tf": ""}, branch="feature")
    forge.open_pull(repo.path, "feature", head_repo=fork.path)
    async with provider.client(connection) as client:
        (found,) = (await listed(client)).items
        assert (found.is_fork, found.head_sha) == (True, sha)
        document = {**forge.merge_request(forge.pulls[0]), "source_project_id": None, "author": None}
        with forge.twisted(LIST, Answer.of([document, {**document, "iid": 2, "sha": None}])):
            (found,) = (await listed(client)).items
        assert (found.is_fork, found.author_login) == (True, "")


async def test_nothing_new_is_one_request_with_an_answer_of_no_bytes(
    provider: GitLab, connection: Connection, forge: GitLabForge, repo: Repository
) -> None:
    opened(forge, repo, 3)
    async with provider.client(connection) as client:
        first = await listed(client)
        assert await client.pull_requests(NETWORK, first.validator) is None
        assert [each.status for each in forge.asked] == [200, 304]
        repo.push({"new.tf": "# more\n"}, branch="feature")
        forge.forget()
        second = await listed(client, first.validator)
        assert [each.status for each in forge.asked] == [200]
    assert {each.head_sha for each in second.items} == {repo.sha("refs/heads/feature")}
    assert second.validator != first.validator


async def test_no_open_ones_have_a_validator_too(provider: GitLab, connection: Connection, forge: GitLabForge, repo: Repository) -> None:
    async with provider.client(connection) as client:
        none = await listed(client)
        assert none.items == []
        assert await client.pull_requests(NETWORK, none.validator) is None
        opened(forge, repo, 1)
        assert len((await listed(client, none.validator)).items) == 1


async def test_more_than_a_page_are_all_there_and_a_change_on_any_page_is_seen(
    provider: GitLab, connection: Connection, forge: GitLabForge, repo: Repository
) -> None:
    opened(forge, repo, 105)
    async with provider.client(connection) as client:
        first = await listed(client)
        assert sorted(each.number for each in first.items) == list(range(1, 106))
        assert forge.count() == 2
        forge.forget()
        assert await client.pull_requests(NETWORK, first.validator) is None
        assert [each.status for each in forge.asked] == [304, 304]
        forge.pulls[0].open = False
        second = await listed(client, first.validator)
        assert sorted(each.number for each in second.items) == list(range(2, 106)), "the oldest, on the last page"
        forge.open_pull(repo.path, "feature")
        third = await listed(client, second.validator)
        assert max(each.number for each in third.items) == 106


async def test_the_one_that_begins_a_new_page_is_seen(
    provider: GitLab, connection: Connection, forge: GitLabForge, repo: Repository
) -> None:
    """It has to be on the first page: that there is another page is in no `ETag`."""
    opened(forge, repo, 100)
    async with provider.client(connection) as client:
        full = await listed(client)
        forge.open_pull(repo.path, "feature")
        assert len((await listed(client, full.validator)).items) == 101


async def test_one_that_slips_to_the_page_before_is_not_lost(
    provider: GitLab, connection: Connection, forge: GitLabForge, repo: Repository
) -> None:
    opened(forge, repo, 102)

    def close_one(asked: Asked) -> None:
        if asked.one("page") == "2":
            forge.pulls[101].open = False

    with forge.twisted(LIST, close_one):
        async with provider.client(connection) as client:
            found = await listed(client)
    assert sorted(each.number for each in found.items) == list(range(1, 102))


async def test_a_list_that_never_stands_still_has_failed(
    provider: GitLab, connection: Connection, forge: GitLabForge, repo: Repository
) -> None:
    totals = iter(range(100, 200))

    def moving(asked: Asked) -> Answer:
        return Answer.of([], X_Next_Page="2" if asked.one("page") == "1" else "", X_Total=str(next(totals)))

    async with provider.client(connection) as client:
        with forge.twisted(LIST, moving), pytest.raises(VCSFailed, match="changes its list of merge requests faster than it can be read"):
            await listed(client)
        with (
            forge.twisted(LIST, lambda asked: Answer.of([], X_Next_Page=str(int(asked.one("page")) + 1))),
            pytest.raises(VCSFailed, match="has more than 10000 open merge requests in acme/platform/network"),
        ):
            await listed(client)


async def test_without_etags_there_is_no_validator(provider: GitLab, connection: Connection, forge: GitLabForge, repo: Repository) -> None:
    with forge.twisted(LIST, Answer(200, json.dumps([]).encode())):
        async with provider.client(connection) as client:
            assert (await listed(client)).validator is None


async def test_a_project_without_merge_requests_has_none_open(
    provider: GitLab, connection: Connection, forge: GitLabForge, repo: Repository
) -> None:
    forge.without_merge_requests.add(repo.path)
    async with provider.client(connection) as client:
        found = await listed(client)
        assert (list(found.items), found.validator) == ([], None)
        forge.without_merge_requests.clear()
        with (
            forge.twisted(LIST, Answer.of({"message": "403 Forbidden"}, 403)),
            pytest.raises(VCSDenied, match=r"do this \(403 Forbidden\)\."),
        ):
            await listed(client)
