from __future__ import annotations

from dataclasses import replace

import pytest

from terrapod_core.plugin import CommitState, CommitStatus, Connection, Repo, VCSDenied, VCSFailed, VCSMissing
from terrapod_vcs_gitlab.provider import GitLab
from tests.support.forge import Answer, Pull, Repository
from tests.support.forge_gitlab import GitLabForge

NETWORK = Repo("acme/platform/network")
STATUS = CommitStatus("terrapod/network", CommitState.PENDING, "Waits", "https://terrapod.example.com/app/runs/run-1")


@pytest.fixture
def pull(forge: GitLabForge, repo: Repository) -> Pull:
    repo.push({"new.tf": ""}, branch="feature")
    return forge.open_pull(repo.path, "feature")


# -- statuses


async def test_each_state_has_a_word_of_gitlabs(provider: GitLab, connection: Connection, repo: Repository) -> None:
    async with provider.client(connection) as client:
        for state in CommitState:
            await client.set_status(NETWORK, repo.sha(), replace(STATUS, state=state, context=f"terrapod/{state}"))
    told = {context.partition("/")[2]: state for _, context, state, _, _ in repo.statuses}
    assert told == {
        "pending": "pending",
        "running": "running",
        "success": "success",
        "failure": "failed",
        "error": "failed",
        "canceled": "canceled",
    }
    assert repo.statuses[0] == (repo.sha(), "terrapod/pending", "pending", "Waits", STATUS.target_url)


async def test_a_status_that_is_set_already_is_no_failure_and_an_ended_one_begins_anew(
    provider: GitLab, connection: Connection, repo: Repository
) -> None:
    states = [CommitState.PENDING] * 2 + [CommitState.RUNNING] * 2 + [CommitState.PENDING, CommitState.SUCCESS, CommitState.PENDING]
    async with provider.client(connection) as client:
        for state in states:
            await client.set_status(NETWORK, repo.sha(), replace(STATUS, state=state))
    assert [state for _, _, state, _, _ in repo.statuses] == ["pending", "running", "success", "pending"]


async def test_a_status_that_is_refused_for_another_reason_has_failed(
    provider: GitLab, connection: Connection, forge: GitLabForge, repo: Repository
) -> None:
    async with provider.client(connection) as client:
        for answer, said in (
            (Answer.of({"message": {"target_url": ["is blocked"]}}, 400), r"HTTP 400: \{'target_url': \['is blocked'\]\}$"),
            (Answer.of({"error": "state is missing"}, 400), "HTTP 400: state is missing$"),
            (Answer.of({"message": "two\nlines"}, 422), "HTTP 422$"),
            (Answer(400, b"<html>"), "HTTP 400$"),
        ):
            with forge.twisted("*/statuses/*", answer), pytest.raises(VCSFailed, match=said):
                await client.set_status(NETWORK, repo.sha(), STATUS)


async def test_a_commit_on_no_branch_takes_no_status(
    provider: GitLab, connection: Connection, forge: GitLabForge, repo: Repository
) -> None:
    fork = forge.fork(repo.path, "mallory/network")
    sha = fork.push({"new.tf": ""}, branch="feature")
    forge.open_pull(repo.path, "feature", head_repo=fork.path)
    async with provider.client(connection) as client:
        with pytest.raises(VCSMissing, match=rf"has no commit {sha} on a branch of acme/platform/network, so it takes no status\."):
            await client.set_status(NETWORK, sha, STATUS)


async def test_a_moved_project_takes_its_statuses(provider: GitLab, connection: Connection, forge: GitLabForge, repo: Repository) -> None:
    forge.rename(repo, "acme/net")
    async with provider.client(connection) as client:
        await client.set_status(NETWORK, repo.sha(), STATUS)
    assert [state for _, _, state, _, _ in repo.statuses] == ["pending"]


async def test_a_token_for_reading_is_told_which_scope_it_lacks(
    provider: GitLab, connection: Connection, forge: GitLabForge, repo: Repository
) -> None:
    forge.scopes = ["read_api"]
    async with provider.client(connection) as client:
        with pytest.raises(VCSDenied, match=r"do this \(insufficient_scope\)\. Make an access token with the scope “api”"):
            await client.set_status(NETWORK, repo.sha(), STATUS)


# -- comments


async def test_a_comment_is_one_note_whose_text_is_replaced(provider: GitLab, connection: Connection, pull: Pull) -> None:
    async with provider.client(connection) as client:
        first = await client.comment(NETWORK, pull.number, "**One**", None)
        assert await client.comment(NETWORK, pull.number, "**Two** ü", first) == first
    assert pull.comments == {int(first): "**Two** ü"}


async def test_a_note_that_is_gone_or_anothers_is_written_anew(
    provider: GitLab, connection: Connection, forge: GitLabForge, pull: Pull
) -> None:
    async with provider.client(connection) as client:
        first = await client.comment(NETWORK, pull.number, "One", None)
        pull.comments.clear()
        second = await client.comment(NETWORK, pull.number, "Two", first)
        third = await client.comment(NETWORK, pull.number, "Three", "no number of a note")
    assert pull.comments == {int(second): "Two", int(third): "Three"}
    forge.tokens.add("another-token")
    forge.users["another-token"] = "another-bot"
    async with provider.client(replace(connection, values={"token": "another-token"})) as client:
        fourth = await client.comment(NETWORK, pull.number, "Four", third)
        with pytest.raises(VCSMissing, match="has no merge request !77 in acme/platform/network"):
            await client.comment(NETWORK, 77, "Five", None)
    assert pull.comments == {int(second): "Two", int(third): "Three", int(fourth): "Four"}


async def test_what_a_plan_prints_is_no_command_to_gitlab(provider: GitLab, connection: Connection, pull: Pull) -> None:
    body = "/close\nOutputs:\n```\n/close\n```\nmotd = /close"
    async with provider.client(connection) as client:
        note = await client.comment(NETWORK, pull.number, body, None)
        assert pull.open
        await client.comment(NETWORK, pull.number, body, note)
    assert pull.open
    assert pull.comments == {int(note): " /close\nOutputs:\n```\n /close\n```\nmotd = /close"}
