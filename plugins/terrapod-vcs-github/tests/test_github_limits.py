"""GitHub has had enough of us: it is heard, remembered, and left alone."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest

from terrapod_core.plugin import RefKind, Repo, VCSDenied, VCSFailed
from terrapod_core.testing import FakeClock
from terrapod_core.testing.vcs import archived
from terrapod_vcs_github.provider import GitHub
from tests.support.forge import Answer, Repository
from tests.support.forge_github import GitHubForge
from tests.support.github_peer import token_connection

PETS = Repo("acme/pets")
REPO = "/api/v3/repos/acme/pets"


async def test_who_has_used_up_the_hour_does_not_knock_until_it_is_over(
    forge: GitHubForge, github: GitHub, repo: Repository, clock: FakeClock
) -> None:
    forge.remaining, forge.reset_at = 0, datetime.now(UTC) + timedelta(minutes=20)
    async with github.client(token_connection(forge)) as client:
        with pytest.raises(VCSFailed) as failed:
            await client.repository(PETS)
        assert failed.value.retry_after == pytest.approx(1200, abs=5)
        assert "localhost: has been asked too often" in str(failed.value)
        clock.advance(minutes=10)
        for ask in (client.repository, lambda repo: client.commit(repo, "0" * 40), lambda repo: archived(client, repo, "0" * 40)):
            with pytest.raises(VCSFailed) as failed:
                await ask(PETS)
            assert failed.value.retry_after == pytest.approx(600, abs=5)
        assert forge.count("/api/*") == 1
        forge.remaining = 5000
        clock.advance(minutes=11)
        assert (await client.repository(PETS)).repo == PETS


async def test_other_clients_of_the_connection_know_of_it_and_other_connections_go_on(
    forge: GitHubForge, github: GitHub, repo: Repository
) -> None:
    forge.tokens.add("another-token")
    limited = Answer.of({"message": "You have exceeded a secondary rate limit."}, 403, Retry_After="30")
    with forge.twisted(REPO, lambda asked: limited if asked.token == "forge-token" else None):
        async with github.client(token_connection(forge)) as client:
            with pytest.raises(VCSFailed):
                await client.repository(PETS)
        forge.forget()
        async with github.client(token_connection(forge)) as client:
            with pytest.raises(VCSFailed):
                await client.commit(PETS, repo.sha())
        assert forge.count() == 0
        another = token_connection(forge, "another-token")
        async with github.client(type(another)("vcs-another", another.base_url, another.values)) as client:
            assert (await client.repository(PETS)).repo == PETS


async def test_the_last_answer_of_the_hour_is_taken(forge: GitHubForge, github: GitHub, repo: Repository) -> None:
    forge.remaining = 1
    async with github.client(token_connection(forge)) as client:
        assert (await client.repository(PETS)).repo == PETS
        with pytest.raises(VCSFailed):
            await client.repository(PETS)
    assert forge.count(REPO) == 1


async def test_an_archive_may_be_the_last_of_the_hour(forge: GitHubForge, github: GitHub, repo: Repository) -> None:
    forge.remaining = 1
    async with github.client(token_connection(forge)) as client:
        assert await archived(client, PETS, repo.sha())
        with pytest.raises(VCSFailed):
            await client.repository(PETS)
    assert forge.count(REPO) == 0


async def test_git_has_no_limit_of_the_api(forge: GitHubForge, github: GitHub, repo: Repository) -> None:
    forge.remaining = 0
    async with github.client(token_connection(forge)) as client:
        with pytest.raises(VCSFailed):
            await client.repository(PETS)
        refs = await client.refs(PETS, frozenset(RefKind), None)
    assert refs is not None
    assert refs.branches == {"main": repo.sha()}


@pytest.mark.parametrize(
    ("status", "message", "headers", "seconds"),
    [
        (403, "You have exceeded a secondary rate limit.", {"Retry-After": "45"}, 45),
        (429, "Too many requests", {"Retry-After": "45"}, 45),
        (403, "You have exceeded a secondary rate limit. Please wait.", {}, 60),
        (429, "Too many requests", {}, 60),
        (429, "Too many requests", {"Retry-After": "soon"}, 60),
        (429, "Too many requests", {"Retry-After": "0"}, 1),
        (403, "API rate limit exceeded", {"X-RateLimit-Limit": "60", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "0"}, 1),
        (403, "API rate limit exceeded", {"X-RateLimit-Limit": "60", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "x"}, 60),
        (429, "", {"X-RateLimit-Limit": "60", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": f"{time.time() + 1e8:.0f}"}, 3600),
    ],
)
async def test_every_kind_of_limit_is_understood(
    forge: GitHubForge, github: GitHub, repo: Repository, status: int, message: str, headers: dict[str, str], seconds: float
) -> None:
    refusal = Answer.of({"message": message}, status)
    refusal.headers.update(headers)
    async with github.client(token_connection(forge)) as client:
        with forge.twisted(REPO, refusal), pytest.raises(VCSFailed) as failed:
            await client.repository(PETS)
    assert failed.value.retry_after == seconds


async def test_a_refusal_that_is_no_limit_is_a_denial_and_not_remembered(forge: GitHubForge, github: GitHub, repo: Repository) -> None:
    async with github.client(token_connection(forge)) as client:
        refusal = Answer.of({"message": "Resource protected by organization SAML enforcement."}, 403)
        with forge.twisted(REPO, refusal), pytest.raises(VCSDenied, match="SAML enforcement"):
            await client.repository(PETS)
        assert (await client.repository(PETS)).repo == PETS
