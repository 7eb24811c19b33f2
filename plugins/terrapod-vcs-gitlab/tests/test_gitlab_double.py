"""Whether the GitLab that tests play is one to somebody else's client."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import gitlab
import pytest
from gitlab.v4.objects import Project

from tests.support.forge_gitlab import GitLabForge


@pytest.fixture(params=["", "/tools/gitlab"], ids=["host", "below-a-path"])
def forge(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[GitLabForge]:
    forge = GitLabForge(tmp_path, request.param)
    forge.start()
    forge.repository("acme/platform/network", {"main.tf": "# one\n", "modules/vpc/vpc.tf": "# vpc\n"})
    yield forge
    forge.stop()


@pytest.fixture
def client(forge: GitLabForge) -> Iterator[gitlab.Gitlab]:
    with gitlab.Gitlab(forge.url, private_token="forge-token", ssl_verify=str(forge.ca_file)) as client:
        yield client


@pytest.fixture
def project(client: gitlab.Gitlab) -> Project:
    return client.projects.get("acme/platform/network")


def test_it_knows_who_asks(client: gitlab.Gitlab, forge: GitLabForge) -> None:
    client.auth()
    assert client.user is not None
    assert client.user.username == "terrapod-bot"
    token = client.personal_access_tokens.get("self")
    assert (token.scopes, token.active, token.expires_at) == (["api"], True, "2027-11-30")
    with (
        gitlab.Gitlab(forge.url, private_token="revoked", ssl_verify=str(forge.ca_file)) as stranger,
        pytest.raises(gitlab.GitlabAuthenticationError),
    ):
        stranger.auth()


def test_projects_are_found_by_path_and_number_and_listed(client: gitlab.Gitlab, project: Project, forge: GitLabForge) -> None:
    assert project.path_with_namespace == "acme/platform/network"
    assert project.default_branch == "main"
    assert client.projects.get(project.id).path_with_namespace == project.path_with_namespace
    with pytest.raises(gitlab.GitlabGetError, match="404 Project Not Found"):
        client.projects.get("acme/absent")
    for number in range(3):
        forge.repository(f"acme/other-{number}")
    listed = client.projects.list(membership=True, per_page=2, iterator=True)
    assert [each.path for each in listed] == ["network", "other-0", "other-1", "other-2"]


def test_branches_and_commits_are_those_of_the_repository(project: Project, forge: GitLabForge) -> None:
    sha = forge.repositories["acme/platform/network"].push({"main.tf": "# two\n"}, "Two\n\nand more", branch="a/b")
    assert {each.name: each.commit["id"] for each in project.branches.list(get_all=True)}["a/b"] == sha
    commit = project.commits.get(sha)
    assert (commit.title, commit.message.strip(), commit.author_name) == ("Two", "Two\n\nand more", "Alice Example")
    with pytest.raises(gitlab.GitlabGetError, match="404 Commit Not Found"):
        project.commits.get("0" * 40)


def test_a_status_goes_one_way(project: Project, forge: GitLabForge) -> None:
    commit = project.commits.get("main")
    for state in ("pending", "running", "success", "pending", "canceled"):
        made = commit.statuses.create({"state": state, "name": "terrapod/x", "target_url": "https://t.example", "description": state})
        assert made.status == state
    commit.statuses.create({"state": "running", "name": "terrapod/x"})
    for again in ("running", "pending"):
        with pytest.raises(gitlab.GitlabCreateError, match="Cannot transition status via :"):
            commit.statuses.create({"state": again, "name": "terrapod/x"})
    assert [(each.name, each.status) for each in commit.statuses.list(get_all=True)] == [
        ("terrapod/x", "success"),
        ("terrapod/x", "canceled"),
        ("terrapod/x", "running"),
    ]


def test_comparing_starts_at_the_common_ancestor(project: Project, forge: GitLabForge) -> None:
    repo = forge.repositories["acme/platform/network"]
    repo.push({"new.tf": "# new\n"}, branch="feature")
    repo.checkout("main")
    repo.push({"main.tf": "# changed on main\n"})
    found = project.repository_compare("main", "feature")
    assert isinstance(found, dict)
    assert [(each["new_path"], each["new_file"]) for each in found["diffs"]] == [("new.tf", True)]
    assert (len(found["commits"]), found["compare_timeout"]) == (1, False)
    same = project.repository_compare("main", "main")
    assert isinstance(same, dict)
    assert same["compare_same_ref"] is True


def test_an_archive_is_of_everything_or_of_one_directory(project: Project, forge: GitLabForge) -> None:
    sha = forge.repositories["acme/platform/network"].sha()
    assert members(project.repository_archive(sha)) == ["main.tf", "modules/vpc/vpc.tf"]
    assert members(project.repository_archive(sha, format="tar.gz", path="modules")) == ["modules/vpc/vpc.tf"]


def members(archive: object) -> list[str]:
    assert isinstance(archive, bytes)
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return [each.name.partition("/")[2] for each in tar if each.isfile()]


def test_merge_requests_are_paged_and_filtered(project: Project, forge: GitLabForge) -> None:
    repo = forge.repositories["acme/platform/network"]
    sha = repo.push({"new.tf": ""}, branch="feature")
    pulls = [forge.open_pull(repo.path, "feature", title=f"Number {number}") for number in range(5)]
    pulls[1].open = False
    found = project.mergerequests.list(state="opened", order_by="created_at", sort="desc", per_page=2, iterator=True)
    assert [each.title for each in found] == ["Number 4", "Number 3", "Number 2", "Number 0"]
    one = project.mergerequests.get(2)
    assert (one.state, one.sha, one.source_branch, one.target_branch) == ("closed", sha, "feature", "main")
    assert one.source_project_id == one.target_project_id == project.id


def test_notes_are_written_changed_and_deleted(project: Project, forge: GitLabForge) -> None:
    forge.repositories["acme/platform/network"].push({"new.tf": ""}, branch="feature")
    pull = forge.open_pull("acme/platform/network", "feature")
    merge_request = project.mergerequests.get(pull.number)
    note = merge_request.notes.create({"body": "**One**"})
    note.body = "**Two**"
    note.save()
    assert [(each.body, each.author["username"]) for each in merge_request.notes.list(get_all=True)] == [("**Two**", "terrapod-bot")]
    note.delete()
    with pytest.raises(gitlab.GitlabGetError, match="404 Note Not Found"):
        merge_request.notes.get(note.id)
    merge_request.notes.create({"body": "That is enough.\n/close\n"})
    assert not pull.open


def test_a_moved_project_is_read_by_its_former_path_and_not_written_to(client: gitlab.Gitlab, project: Project, forge: GitLabForge) -> None:
    forge.rename(forge.repositories["acme/platform/network"], "acme/net")
    moved = client.projects.get("acme/platform/network")
    assert (moved.path_with_namespace, moved.id) == ("acme/net", project.id)
    with pytest.raises(gitlab.GitlabHttpError, match="Non GET methods are not allowed for moved projects"):
        client.http_post("/projects/acme%2Fplatform%2Fnetwork/statuses/main", post_data={"state": "pending", "name": "x"})
    assert moved.commits.get("main").statuses.create({"state": "pending", "name": "x"}).status == "pending"


def test_a_token_without_the_right_scope_reads_and_does_not_write(project: Project, forge: GitLabForge) -> None:
    forge.scopes = ["read_api"]
    with pytest.raises(gitlab.GitlabCreateError, match="403"):
        project.commits.get("main").statuses.create({"state": "pending", "name": "x"})
    forge.scopes = ["read_repository"]
    with pytest.raises(gitlab.GitlabGetError, match="403"):
        project.commits.get("main")
