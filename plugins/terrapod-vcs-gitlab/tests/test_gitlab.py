from __future__ import annotations

from dataclasses import replace

import pytest

from terrapod_core.plugin import Connection, RefKind, Repo, Unreadable, VCSDenied, VCSFailed, VCSMissing
from terrapod_core.testing.fakes import START, FakeClock
from terrapod_core.testing.mirrors import http_clients
from terrapod_core.testing.vcs import archived, unpacked
from terrapod_vcs_gitlab.provider import GitLab
from terrapod_vcs_gitlab.settings import GitLabSettings
from tests.support.forge import Answer, Asked, Repository, git
from tests.support.forge_gitlab import GitLabForge

BOTH = frozenset(RefKind)
NETWORK = Repo("acme/platform/network")


# -- what people write


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("network", "write its path, as group/project"),
        ("acme/network.git/x", "write its path, as group/project"),
        ("acme/.../network", "write its path, as group/project"),
        ("acme/" + "n" * 256, "write its path, as group/project"),
        ("http://gitlab.example.com/acme/network", "begin with https:// or ssh://"),
        ("https://gitlab.example.com:8443/acme/network", "is not at https://gitlab.example.com/tools"),
        ("https://gitlab.example.com/acme/network", "is not at https://gitlab.example.com/tools"),
        ("https://gitlab.example.com/toolset/acme/network", "is not at https://gitlab.example.com/tools"),
        ("https://gitlab.example.com.evil.example/tools/acme/network", "is not at gitlab.example.com"),
        ("git@evil.example:acme/network.git", "is not at gitlab.example.com"),
        ("https://gitlab.example.com:x/acme/network", "begin with https:// or ssh://"),
        ("https://oauth2:hunter2@gitlab.example.com/tools/acme/network", "Leave the user and the password out"),
    ],
)
def test_what_is_no_project_of_the_connection_is_refused_in_words(provider: GitLab, text: str, said: str) -> None:
    with pytest.raises(Unreadable) as refused:
        provider.repository(Connection("vcs-1", "https://gitlab.example.com/tools"), text)
    assert said in str(refused.value)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("url", ["http://gitlab.example.com", "https://", "https://u:p@x.example", "https://x.example?a=b", "https://x y"])
def test_an_address_that_cannot_be_asked_is_refused_by_its_field(provider: GitLab, url: str) -> None:
    with pytest.raises(Unreadable, match="begins with https://") as refused:
        provider.check(Connection("vcs-1", url, {"token": "forge-token"}))
    assert refused.value.name == "base-url"


@pytest.mark.parametrize("token", ["", "a token", "token\n", "tökén"])
def test_a_token_that_can_be_none_is_refused_by_its_field(provider: GitLab, connection: Connection, token: str) -> None:
    with pytest.raises(Unreadable) as refused:
        provider.check(replace(connection, values={"token": token}))
    assert refused.value.name == "token"


def test_an_empty_webhook_secret_is_no_setting() -> None:
    with pytest.raises(ValueError, match="webhook_secret is empty"):
        GitLabSettings(webhook_secret=" ")
    assert GitLab(GitLabSettings(), http_clients(), FakeClock()).webhook_secret is None


# -- who we are


@pytest.mark.parametrize(
    ("scopes", "said"),
    [
        (["api"], "terrapod-bot, until 2027-11-30"),
        (["read_api"], "terrapod-bot, until 2027-11-30, for reading only: statuses and comments need the scope “api”"),
    ],
)
async def test_the_account_says_what_the_token_is_good_for(
    provider: GitLab, connection: Connection, forge: GitLabForge, scopes: list[str], said: str
) -> None:
    forge.scopes = scopes
    async with provider.client(connection) as client:
        assert await client.account() == said


async def test_the_account_of_a_token_that_may_not_read_is_denied(provider: GitLab, connection: Connection, forge: GitLabForge) -> None:
    user = Answer.of({"username": "alice"})
    async with provider.client(connection) as client:
        forge.scopes = ["read_user"]
        with pytest.raises(VCSDenied, match="Make an access token with the scope “api”, of a member with the role Developer or above"):
            await client.account()
        with forge.twisted("*/user", user), pytest.raises(VCSDenied, match=r"of alice has the scope read_user\. Make an access token"):
            await client.account()


async def test_a_gitlab_that_tells_nothing_of_its_tokens_is_enough(provider: GitLab, connection: Connection, forge: GitLabForge) -> None:
    with forge.twisted("*/personal_access_tokens/self", Answer.of({"message": "404 Not Found"}, 404)):
        async with provider.client(connection) as client:
            assert await client.account() == "terrapod-bot"


async def test_where_no_gitlab_is_the_address_is_named(provider: GitLab, connection: Connection, forge: GitLabForge) -> None:
    async with provider.client(replace(connection, base_url=f"{forge.url}/elsewhere")) as client:
        with pytest.raises(VCSMissing, match=r"has no GitLab API at https://localhost:\d+/elsewhere/api/v4\. Give the address"):
            await client.account()


async def test_a_token_that_is_replaced_is_used_from_the_next_client_on(
    provider: GitLab, connection: Connection, forge: GitLabForge, repo: Repository
) -> None:
    forge.tokens = {"the-next-token"}
    async with provider.client(connection) as client:
        with pytest.raises(VCSDenied, match=r"does not accept the access token: it is wrong, revoked or expired\. Make"):
            await client.commit(NETWORK, repo.sha())
        with pytest.raises(VCSDenied, match="Make an access token with the scope “api”"):
            await client.refs(NETWORK, BOTH, None)
    async with provider.client(replace(connection, values={"token": "the-next-token"})) as client:
        assert (await client.commit(NETWORK, repo.sha())).sha == repo.sha()
        assert await client.refs(NETWORK, BOTH, None) is not None
    assert not any("forge-token" in each.target or "the-next-token" in each.target for each in forge.asked)


# -- projects


async def test_a_project_of_a_subgroup_is_asked_for_with_its_slashes_escaped(
    provider: GitLab, connection: Connection, forge: GitLabForge, repo: Repository
) -> None:
    async with provider.client(connection) as client:
        info = await client.repository(NETWORK)
    assert forge.asked[-1].target == "/api/v4/projects/acme%2Fplatform%2Fnetwork"
    assert (info.repo, info.default_branch, info.private) == (NETWORK, "main", True)
    assert (info.http_url, info.clone_url) == (f"{forge.url}/acme/platform/network", f"{forge.url}/acme/platform/network.git")


async def test_a_project_without_commits_has_no_default_branch(
    provider: GitLab, connection: Connection, forge: GitLabForge, repo: Repository
) -> None:
    empty = Repository(forge, "acme/empty", private=False)
    forge.repositories["acme/empty"] = empty
    async with provider.client(connection) as client:
        info = await client.repository(Repo("acme/empty"))
        refs = await client.refs(Repo("acme/empty"), BOTH, None)
    assert (info.default_branch, info.private) == ("", False)
    assert refs is not None
    assert not refs.branches


async def test_a_project_that_was_moved_is_found_read_and_told(
    provider: GitLab, connection: Connection, forge: GitLabForge, repo: Repository
) -> None:
    sha = repo.push({"new.tf": "# new\n"}, branch="feature")
    pull = forge.open_pull(repo.path, "feature")
    forge.rename(repo, "acme/net")
    async with provider.client(connection) as client:
        assert (await client.repository(NETWORK)).repo == Repo("acme/net")
        assert (await client.commit(NETWORK, sha)).sha == sha
        refs = await client.refs(NETWORK, BOTH, None)
        assert refs is not None
        assert refs.branches["feature"] == sha
        assert "new.tf" in unpacked(await archived(client, NETWORK, sha))
        assert await client.changed_files(NETWORK, "main", "feature") == frozenset({"new.tf"})
        found = await client.pull_requests(NETWORK, None)
        assert found is not None
        assert [each.number for each in found.items] == [pull.number]
        note = await client.comment(NETWORK, pull.number, "One", None)
        assert await client.comment(NETWORK, pull.number, "Two", note) == note
    assert pull.comments == {int(note): "Two"}


async def test_projects_of_the_token_are_listed_as_far_as_they_are_wanted(
    provider: GitLab, connection: Connection, forge: GitLabForge, repo: Repository
) -> None:
    project = {"id": 7, "path_with_namespace": "acme/x", "web_url": "javascript:alert(1)", "default_branch": None}

    def pages(asked: Asked) -> Answer:
        page = int(asked.one("page"))
        return Answer.of([{**project, "path_with_namespace": f"acme/{page}-{number}"} for number in range(100)], X_Next_Page=str(page + 1))

    async with provider.client(connection) as client:
        assert [each.repo for each in await client.repositories(5)] == [NETWORK]
        query = forge.asked[-1].query
        assert (query["membership"], query["order_by"], query["archived"]) == (["true"], ["last_activity_at"], ["false"])
        forge.forget()
        with forge.twisted("/api/v4/projects", pages):
            found = await client.repositories(150)
    assert (len(found), found[-1].repo, forge.count()) == (150, Repo("acme/2-49"), 2)
    assert found[0].http_url == f"{forge.url}/acme/1-0"


# -- branches, commits, changed files


async def test_all_branches_and_tags_cost_one_request(
    provider: GitLab, connection: Connection, forge: GitLabForge, repo: Repository
) -> None:
    for number in range(150):
        git("update-ref", f"refs/heads/branch-{number}", repo.sha(), cwd=repo.bare)
        git("update-ref", f"refs/tags/v{number}", repo.sha(), cwd=repo.bare)
    forge.forget()
    async with provider.client(connection) as client:
        refs = await client.refs(NETWORK, BOTH, None)
        assert refs is not None
        assert (len(refs.branches), len(refs.tags), forge.count()) == (151, 150, 1)
        assert await client.refs(NETWORK, BOTH, refs.validator) is None
    assert forge.count() == 2


async def test_a_commit_has_its_author_and_page(provider: GitLab, connection: Connection, forge: GitLabForge, repo: Repository) -> None:
    sha = repo.push({"x.tf": ""}, "Say ü\n\nAnd more.", branch="über/ä%")
    async with provider.client(connection) as client:
        commit = await client.commit(NETWORK, sha)
        refs = await client.refs(NETWORK, BOTH, None)
    assert (commit.message.strip(), commit.author_name) == ("Say ü\n\nAnd more.", "Alice Example")
    assert commit.url == f"{forge.url}/acme/platform/network/-/commit/{sha}"
    assert refs is not None
    assert refs.branches["über/ä%"] == sha


async def test_changed_files_are_those_since_the_common_ancestor_and_renamed_ones_have_both_names(
    provider: GitLab, connection: Connection, repo: Repository
) -> None:
    content = "".join(f"# line {number}\n" for number in range(30))
    start = repo.push({"old name.tf": content, "ü.tf": ""})
    repo.push({"old name.tf": None, "moved/new.tf": content, "ü.tf": None}, branch="feature")
    repo.checkout("main")
    repo.push({"main.tf": "# only on main\n"})
    async with provider.client(connection) as client:
        assert await client.changed_files(NETWORK, "main", "feature") == frozenset({"old name.tf", "moved/new.tf", "ü.tf"})
        assert await client.changed_files(NETWORK, start, "main") == frozenset({"main.tf"})


async def test_files_that_are_not_all_told_are_none(provider: GitLab, connection: Connection, forge: GitLabForge, repo: Repository) -> None:
    cut = Answer.of({"diffs": [{"old_path": "a", "new_path": "a"}], "compare_timeout": True})
    large = Answer(200, b"", {"Content-Type": "application/json"}, stream=["head", "-c", str(40 << 20), "/dev/zero"])
    async with provider.client(connection) as client:
        for answer in (cut, large):
            with forge.twisted("*/compare", answer):
                assert await client.changed_files(NETWORK, "main", "main") is None
        assert await client.changed_files(NETWORK, "0" * 40, "main") is None, "the base is gone after a forced push"
        with pytest.raises(VCSMissing, match="has no project acme/absent, or does not show it"):
            await client.changed_files(Repo("acme/absent"), "main", "main")


# -- bad days


@pytest.mark.parametrize(
    ("status", "headers", "wait"),
    [
        (429, {"Retry-After": "30"}, 30),
        (429, {"RateLimit-Reset": str(int(START.timestamp()) + 90), "RateLimit-Remaining": "0"}, 90),
        (429, {"RateLimit-Reset": str(int(START.timestamp()) - 90)}, 1),
        (429, {"Retry-After": "999999"}, 3600),
        (429, {"Retry-After": "soon"}, 60),
        (429, {}, 60),
        (503, {"Retry-After": "120"}, 120),
        (502, {"RateLimit-Reset": str(int(START.timestamp()) + 90)}, None),
        (500, {}, None),
    ],
)
async def test_a_gitlab_that_has_had_enough_is_left_alone_for_as_long_as_it_says(
    provider: GitLab, connection: Connection, forge: GitLabForge, repo: Repository, status: int, headers: dict[str, str], wait: float | None
) -> None:
    async with provider.client(connection) as client:
        with forge.twisted("*/api/*", Answer(status, b"Retry later", headers)):
            for ask in (client.repository(NETWORK), archived(client, NETWORK, repo.sha()), client.comment(NETWORK, 1, "x", None)):
                with pytest.raises(VCSFailed, match=rf"localhost:\d+: .*HTTP {status}") as failed:
                    await ask
                assert failed.value.retry_after == wait


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"<!doctype html><title>Sign in", "answered with what is no JSON but a page for people"),
        (b"\xff\xfe", "answered with what is no JSON"),
        (b'{"id": "x", "path_with_namespace": 1}', "a document that is not as it should be: Expected `int`"),
        (b'{"id": ' + b"[" * 100_000, "Expected `int`, got `array`"),
        (b'{"unknown": ' + b"[" * 100_000, "answered with what is no JSON"),
    ],
)
async def test_an_odd_answer_has_failed(
    provider: GitLab, connection: Connection, forge: GitLabForge, repo: Repository, body: bytes, said: str
) -> None:
    with forge.twisted("*/projects/*", Answer(200, body)):
        async with provider.client(connection) as client:
            with pytest.raises(VCSFailed) as failed:
                await client.repository(NETWORK)
    assert said in str(failed.value)
