"""Open pull requests: all of them, at the price of one request when nothing has changed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from terrapod_core.plugin import CommitState, CommitStatus, PullRequests, Repo, VCSFailed, VCSMissing
from terrapod_vcs_github.client import GitHubClient
from terrapod_vcs_github.provider import GitHub
from tests.support.forge import Answer, Asked, Pull, Repository
from tests.support.forge_github import GitHubForge
from tests.support.github_peer import token_connection

PETS = Repo("acme/pets")
PULLS = "/api/v3/repos/acme/pets/pulls"


async def listed(github: GitHub, forge: GitHubForge, validator: str | None = None) -> PullRequests | None:
    async with github.client(token_connection(forge)) as client:
        assert isinstance(client, GitHubClient)
        return await client.pull_requests(PETS, validator)


def statuses(forge: GitHubForge) -> list[int]:
    """Of the pages that were asked for since the last time."""
    found = [each.status for each in forge.asked if each.path == PULLS]
    forge.forget()
    return found


def opened(forge: GitHubForge, repo: Repository, count: int) -> list[Pull]:
    repo.push({"a.tf": ""}, "Grow", "grow")
    repo.checkout("main")
    return [forge.open_pull("acme/pets", "grow", title=f"Number {number}") for number in range(1, count + 1)]


async def test_more_than_a_page_of_them_is_found_and_watched(forge: GitHubForge, github: GitHub, repo: Repository) -> None:
    pulls = opened(forge, repo, 120)
    first = await listed(github, forge)
    assert first is not None
    assert {each.number for each in first.items} == set(range(1, 121))
    assert statuses(forge) == [200, 200]

    before = forge.remaining
    assert await listed(github, forge, first.validator) is None
    assert statuses(forge) == [304, 304]
    assert forge.remaining == before, "what has not changed counts towards no limit"

    pulls[0].open = False  # the longest unchanged: it is on the last page
    second = await listed(github, forge, first.validator)
    assert second is not None
    assert {each.number for each in second.items} == set(range(2, 121))
    assert statuses(forge) == [304, 200, 200], "the first page was asked for once more, without its validator"

    pulls[0].open = True
    third = await listed(github, forge, second.validator)
    assert third is not None
    assert len(third.items) == 120
    assert await listed(github, forge, third.validator) is None


async def test_a_page_more_is_noticed_though_only_full_ones_are_known(forge: GitHubForge, github: GitHub, repo: Repository) -> None:
    opened(forge, repo, 100)
    full = await listed(github, forge)
    assert full is not None
    assert statuses(forge) == [200]
    forge.open_pull("acme/pets", "grow")
    more = await listed(github, forge, full.validator)
    assert more is not None
    assert len(more.items) == 101


async def test_a_push_to_its_branch_changes_a_pull_request(forge: GitHubForge, github: GitHub, repo: Repository) -> None:
    opened(forge, repo, 1)
    first = await listed(github, forge)
    assert first is not None
    head = repo.push({"b.tf": ""}, "Grow more", "grow")
    second = await listed(github, forge, first.validator)
    assert second is not None
    assert [each.head_sha for each in second.items] == [head]


@pytest.mark.parametrize("validator", ["", "nonsense", '"one"  "two"', 'W/"a" x', '"a"\r\nX: y', "ü"])
async def test_a_validator_of_something_else_is_none(forge: GitHubForge, github: GitHub, repo: Repository, validator: str) -> None:
    opened(forge, repo, 1)
    found = await listed(github, forge, validator)
    assert found is not None
    assert "if-none-match" not in forge.asked[-1].headers


async def test_a_list_that_goes_on_elsewhere_is_not_followed(forge: GitHubForge, github: GitHub, repo: Repository) -> None:
    away = Answer.of([], Link=f'<https://127.0.0.1:{forge.port}/steal?page=2>; rel="next"')
    with forge.twisted(PULLS, away), pytest.raises(VCSFailed, match="another host"):
        await listed(github, forge)
    assert forge.count("/steal") == 0


# -- forks


async def test_a_fork_is_told_apart(forge: GitHubForge, github: GitHub, repo: Repository) -> None:
    opened(forge, repo, 1)
    fork = forge.fork("acme/pets", "mallory/pets")
    sha = fork.push({"evil.tf": ""}, "Be nice", "nice")
    forge.open_pull("acme/pets", "nice", head_repo="mallory/pets")
    found = await listed(github, forge)
    assert found is not None
    assert {each.number: each.is_fork for each in found.items} == {1: False, 2: True}
    theirs = next(each for each in found.items if each.number == 2)
    assert (theirs.head_sha, theirs.head_branch, theirs.base_branch) == (sha, "nice", "main")
    assert (theirs.author_login, theirs.title) == ("alice", "Improve it")


async def test_one_whose_repository_was_deleted_counts_as_a_fork(forge: GitHubForge, github: GitHub, repo: Repository) -> None:
    pull = opened(forge, repo, 1)[0]
    document = forge.pull_document(pull)
    orphan = {**document, "head": {**document["head"], "repo": None}, "user": None, "body": None}
    with forge.twisted(PULLS, Answer.of([orphan])):
        found = await listed(github, forge)
    assert found is not None
    assert [(each.is_fork, each.author_login, each.body) for each in found.items] == [(True, "", "")]


# -- what is told


async def test_statuses_are_in_githubs_words(forge: GitHubForge, github: GitHub, repo: Repository) -> None:
    async with github.client(token_connection(forge)) as client:
        assert isinstance(client, GitHubClient)
        for state in CommitState:
            status = CommitStatus("terrapod/pets", state, "ü" * 200, "https://terrapod.example.com/app/runs/run-1")
            await client.set_status(PETS, repo.sha(), status)
        with pytest.raises(VCSMissing, match="has no commit 0000"):
            await client.set_status(PETS, "0" * 40, CommitStatus("terrapod/pets", CommitState.ERROR, "", "https://terrapod.example.com/"))
    assert [each[2] for each in repo.statuses] == ["pending", "pending", "success", "failure", "error", "error"]
    assert repo.statuses[0] == (repo.sha(), "terrapod/pets", "pending", "ü" * 140, "https://terrapod.example.com/app/runs/run-1")


async def test_a_comment_is_replaced_and_written_anew_when_it_was_deleted(forge: GitHubForge, github: GitHub, repo: Repository) -> None:
    pull = opened(forge, repo, 1)[0]
    async with github.client(token_connection(forge)) as client:
        assert isinstance(client, GitHubClient)
        first = await client.comment(PETS, 1, "one", None)
        assert await client.comment(PETS, 1, "two", first) == first
        assert pull.comments == {int(first): "two"}
        pull.comments.clear()
        second = await client.comment(PETS, 1, "three", first)
        assert await client.comment(PETS, 1, "four", "no-number") not in (first, second)
        assert list(pull.comments.values()) == ["three", "four"]
        await client.comment(PETS, 1, "x" * 70_000, second)
        assert pull.comments[int(second)] == "x" * 65_535 + "…"
        with pytest.raises(VCSMissing, match="no pull request 99"):
            await client.comment(PETS, 99, "five", None)


async def test_what_is_no_list_has_failed(forge: GitHubForge, github: GitHub, repo: Repository) -> None:
    def wrong(body: Any) -> Answer:
        return Answer(200, body if isinstance(body, bytes) else json.dumps(body).encode(), {"Content-Type": "application/json"})

    def empty(_asked: Asked) -> Answer:
        return wrong([{"number": "one"}])

    for answer in (wrong({"message": "no"}), empty, wrong(b"<html>"), wrong(b"[" * 100_000), wrong(b'[{"title": "\xff"}]')):
        with forge.twisted(PULLS, answer), pytest.raises(VCSFailed, match="localhost: "):
            await listed(github, forge)
