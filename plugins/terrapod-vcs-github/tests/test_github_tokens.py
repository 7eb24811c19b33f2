"""Who we are to GitHub: keys, tokens and their ends, permissions."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from terrapod_core.plugin import (
    Connection,
    RefKind,
    Repo,
    SupportsInstallations,
    Unreadable,
    VCSClient,
    VCSDenied,
    VCSFailed,
    VCSMissing,
)
from terrapod_core.testing import FakeClock
from terrapod_core.testing.vcs import archived
from terrapod_vcs_github.provider import GitHub
from tests.support.forge import Answer, Repository
from tests.support.forge_github import GitHubForge, pem
from tests.support.github_peer import app_connection, token_connection

TOKENS = "/api/v3/app/installations/*/access_tokens"
PETS = Repo("acme/pets")
BRANCHES = frozenset({RefKind.BRANCH})


def rsa_pem() -> str:
    return pem(rsa.generate_private_key(public_exponent=65537, key_size=2048))


# -- an installation's token


async def test_a_token_is_asked_for_once_by_many_and_kept(forge: GitHubForge, github: GitHub, repo: Repository) -> None:
    connection, sha = app_connection(forge), repo.sha()

    async def once() -> None:
        async with github.client(connection) as client:
            await client.commit(PETS, sha)
            await client.refs(PETS, BRANCHES, None)

    await asyncio.gather(*(once() for _ in range(8)))
    await once()
    assert forge.count(TOKENS) == 1


async def test_a_token_is_renewed_shortly_before_its_end(forge: GitHubForge, github: GitHub, repo: Repository, clock: FakeClock) -> None:
    async with github.client(app_connection(forge)) as client:
        await client.repository(PETS)
        clock.advance(minutes=54)
        await client.repository(PETS)
        assert forge.count(TOKENS) == 1
        clock.advance(minutes=2)
        await asyncio.gather(*(client.repository(PETS) for _ in range(5)))
    assert forge.count(TOKENS) == 2


async def test_a_token_that_cannot_be_had_fails_all_who_wait_and_is_tried_again(
    forge: GitHubForge, github: GitHub, repo: Repository
) -> None:
    async with github.client(app_connection(forge)) as client:
        with forge.twisted(TOKENS, Answer.of({"message": "Server Error"}, 502)):
            failed = await asyncio.gather(*(client.repository(PETS) for _ in range(3)), return_exceptions=True)
        assert [type(each) for each in failed] == [VCSFailed] * 3
        assert (await client.repository(PETS)).repo == PETS


async def test_who_waits_for_a_token_may_leave(forge: GitHubForge, github: GitHub, repo: Repository) -> None:
    async with github.client(app_connection(forge)) as client:
        first = asyncio.create_task(client.repository(PETS))
        second = asyncio.create_task(client.repository(PETS))
        await asyncio.sleep(0)
        first.cancel()
        assert (await second).repo == PETS
    assert forge.count(TOKENS) == 1


async def test_a_token_that_was_taken_away_is_replaced_once(forge: GitHubForge, github: GitHub, repo: Repository) -> None:
    sha = repo.sha()
    async with github.client(app_connection(forge)) as client:
        for ask in (
            lambda: client.commit(PETS, sha),
            lambda: client.refs(PETS, BRANCHES, None),
            lambda: archived(client, PETS, sha),
        ):
            await ask()
            forge.revoke_tokens()
            forge.forget()
            assert await ask()
            assert forge.count(TOKENS) == 1


async def test_it_is_replaced_at_a_former_name_too_and_not_for_what_another_host_says(
    forge: GitHubForge, github: GitHub, repo: Repository
) -> None:
    async with github.client(app_connection(forge)) as client:
        await client.repository(PETS)
        with forge.twisted("/codeload/*", Answer(401, b"")), pytest.raises(VCSDenied):
            await archived(client, PETS, repo.sha())
        assert forge.count(TOKENS) == 1
        forge.rename(repo, "acme/animals")
        refusing = iter([Answer.of({"message": "Bad credentials"}, 401)])
        with forge.twisted("/api/v3/repos/acme/animals", lambda _asked: next(refusing, None)):
            assert (await client.repository(PETS)).repo == Repo("acme/animals")
    assert forge.count(TOKENS) == 2


async def test_a_token_that_stays_refused_is_not_asked_for_for_ever(forge: GitHubForge, github: GitHub, repo: Repository) -> None:
    async with github.client(app_connection(forge)) as client:
        with forge.twisted("/api/v3/repos/*", Answer.of({"message": "Bad credentials"}, 401)), pytest.raises(VCSDenied):
            await client.repository(PETS)
        assert forge.count("/api/v3/repos/*") == 2
    async with github.client(token_connection(forge, "revoked-token")) as client:
        forge.forget()
        with pytest.raises(VCSDenied, match="give the connection a new one"):
            await client.repository(PETS)
    assert forge.count("/api/v3/repos/*") == 1


# -- rotation


async def test_credentials_that_are_rotated_are_used_at_once(forge: GitHubForge, github: GitHub, repo: Repository) -> None:
    old = app_connection(forge)
    async with github.client(old) as before:
        await before.repository(PETS)
        forge.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        async with github.client(app_connection(forge)) as after:
            await after.repository(PETS)
            assert (await before.repository(PETS)).repo == PETS, "its token is still good"
        forge.revoke_tokens()
        with pytest.raises(VCSDenied, match="the key was deleted at GitHub"):
            await before.repository(PETS)
    assert forge.count(TOKENS) == 3


async def test_a_connection_may_go_over_to_a_token(forge: GitHubForge, github: GitHub, repo: Repository) -> None:
    async with github.client(app_connection(forge)) as client:
        await client.repository(PETS)
    async with github.client(replace(token_connection(forge), id="vcs-app")) as client:
        await client.repository(PETS)
        assert isinstance(client, SupportsInstallations)
        assert await client.installation() is None
    assert forge.asked[-1].token == "forge-token"


# -- rights


async def test_the_account_says_what_the_app_lacks(forge: GitHubForge, github: GitHub) -> None:
    del forge.permissions["statuses"]
    forge.permissions["pull_requests"] = "read"
    async with github.client(app_connection(forge)) as client:
        with pytest.raises(VCSDenied) as denied:
            await client.account()
    text = str(denied.value)
    assert "Pull requests (read and write), Commit statuses (read and write)" in text
    assert "Contents" not in text


async def test_an_installation_that_is_suspended_is_denied_with_the_remedy(forge: GitHubForge, github: GitHub, repo: Repository) -> None:
    forge.suspended = True
    async with github.client(app_connection(forge)) as client:
        with pytest.raises(VCSDenied, match="unsuspend it"):
            await client.account()
        with pytest.raises(VCSDenied, match="suspended"):
            await client.repository(PETS)


async def test_an_installation_that_is_gone_is_missing(forge: GitHubForge, github: GitHub) -> None:
    async with github.client(app_connection(forge, **{"github-installation-id": "7"})) as client:
        with pytest.raises(VCSMissing, match=r"has no installation 7 of the app \d+\. The number"):
            await client.account()


async def test_where_no_github_is_the_address_is_named(forge: GitHubForge, github: GitHub) -> None:
    connection = token_connection(forge)
    async with github.client(replace(connection, base_url=f"{forge.url}/elsewhere")) as client:
        with pytest.raises(VCSMissing, match=r"has no GitHub API at https://localhost:\d+/elsewhere/api/v3\. Give the address"):
            await client.account()


@pytest.mark.parametrize("scopes", [None, "", "repo", "gist, public_repo", "read:org"])
async def test_the_scopes_of_a_classic_token_are_looked_at(forge: GitHubForge, github: GitHub, scopes: str | None) -> None:
    forge.scopes = scopes
    async with github.client(token_connection(forge)) as client:
        if scopes == "read:org":
            with pytest.raises(VCSDenied, match="scope repo"):
                await client.account()
        else:
            assert await client.account() == "alice"


async def test_a_refusal_names_the_right_and_repeats_what_github_says(forge: GitHubForge, github: GitHub, repo: Repository) -> None:
    answer = Answer.of({"message": "Resource not accessible by integration"}, 403)
    async with github.client(app_connection(forge)) as client:
        with (
            forge.twisted("/api/v3/repos/*/commits/*", answer),
            pytest.raises(VCSDenied, match=r"not accessible by integration.*Contents \(read\)"),
        ):
            await client.commit(PETS, repo.sha())
        with forge.twisted("*/git-upload-pack", Answer(403, b"")), pytest.raises(VCSDenied, match=r"Contents \(read\)"):
            await client.refs(PETS, BRANCHES, None)


# -- what is refused before anybody is asked


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"token": "a", "github-app-id": "1"}, "token"),
        ({"github-app-id": "1", "github-installation-id": "2"}, "private-key"),
        ({"github-app-id": "1", "private-key": "x"}, "github-installation-id"),
        ({"github-app-id": "one", "github-installation-id": "2", "private-key": "x"}, "github-app-id"),
        ({"github-app-id": "1", "github-installation-id": "٢", "private-key": "x"}, "github-installation-id"),
        ({"github-app-id": "1", "github-installation-id": "2", "private-key": "no key"}, "private-key"),
        ({"token": "two words"}, "token"),
        ({"token": "line\nbreak"}, "token"),
        ({"token": "a", "github-account-type": "Bot"}, "github-account-type"),
    ],
)
def test_values_that_do_not_belong_together_are_refused(github: GitHub, values: dict[str, str], name: str) -> None:
    with pytest.raises(Unreadable) as refused:
        github.check(Connection("vcs-1", "https://github.com", values))
    assert refused.value.name == name


def test_a_key_of_another_kind_is_refused(github: GitHub) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    kind = serialization.PrivateFormat.PKCS8
    text = key.private_bytes(serialization.Encoding.PEM, kind, serialization.NoEncryption()).decode()
    with pytest.raises(Unreadable, match="RSA"):
        github.check(Connection("vcs-1", "https://github.com", {"github-app-id": "1", "github-installation-id": "2", "private-key": text}))
    github.check(Connection("vcs-1", "https://github.com", {"github-app-id": "1", "github-installation-id": "2", "private-key": rsa_pem()}))


async def test_no_text_shows_a_secret(forge: GitHubForge, github: GitHub, repo: Repository) -> None:
    secret = "very-secret-personal-token"

    async def all_of(client: VCSClient) -> list[object]:
        asked = (client.account(), client.refs(PETS, BRANCHES, None), client.commit(PETS, repo.sha()), archived(client, PETS, repo.sha()))
        return list(await asyncio.gather(*asked, return_exceptions=True))

    async with github.client(token_connection(forge, secret)) as client:
        told = await all_of(client)
        with forge.stopped():
            told += await all_of(client)
    assert len(told) == 8
    assert all(isinstance(each, Exception) and secret not in f"{each!r}{each}" for each in told)
    assert secret not in repr(token_connection(forge, secret))
