"""Workspaces that follow tags."""

from __future__ import annotations

from tests.support.followed import EVERY_KIND, Followed, Follower
from tests.support.forge import Repository
from tests.support.waiting import until

pytestmark = EVERY_KIND

TF = 'output "a" {\n  value = "%s"\n}\n'
MOVED = "vcs-tag-moved"


def following_tags(site: Followed, repo: Repository) -> Follower:
    """A workspace that follows releases, and has looked at those that there are."""
    workspace = site.workspace(repo, awaited=False, auto_apply=True, queue_all_runs=True)
    link = {"identifier": site.identifier(repo), "branch": "", "tags-regex": r"^v\d+\.\d+\.\d+$"}
    shown = workspace.update(vcs_repo=link)
    assert shown["attributes"]["vcs-repo"]["tags-regex"] == link["tags-regex"]
    site.looked_at(repo, 3)
    return workspace


def tagged(workspace: Follower) -> list[tuple[str, str]]:
    """Kind and name of what it saw, the newest first, but for the branch that it followed at first."""
    return [(each["attributes"]["kind"], each["attributes"]["ref"]) for each in workspace.changes() if each["attributes"]["ref"] != "main"]


def test_a_new_tag_that_matches_runs_and_nothing_else_does(site: Followed) -> None:
    repo = site.repository({"main.tf": TF % "begun"})
    repo.tag("v0.1.0")
    workspace = following_tags(site, repo)
    before = len(workspace.runs())
    repo.push({"main.tf": TF % "pushed"}, "Not released yet")
    repo.tag("nightly")
    repo.push({"main.tf": TF % "released"}, "Release it")
    sha = repo.tag("v0.2.0", annotated=True)
    run = workspace.run_of(sha, "applied")
    assert run["attributes"]["message"] == "Tag v0.2.0: Release it"
    ingress = workspace.ingress_of(sha)
    assert (ingress["tag"], ingress["commit-sha"], ingress["is-pull-request"], ingress["on-default-branch"]) == (
        "v0.2.0",
        sha,
        False,
        False,
    )
    later = repo.push({"main.tf": TF % "later"}, "Later")
    site.looked_at(repo)
    assert workspace.change(later) is None
    assert tagged(workspace) == [("tag", "v0.2.0")]
    assert len(workspace.runs()) == before + 1


def test_a_tag_that_is_moved_is_a_condition_and_no_run(site: Followed) -> None:
    repo = site.repository({"main.tf": TF % "begun"})
    workspace = following_tags(site, repo)
    first = repo.tag("v1.0.0")
    workspace.run_of(first)
    second = repo.push({"main.tf": TF % "other"}, "Another commit")
    repo.tag("v1.0.0", force=True)
    condition = until(lambda: workspace.conditions().get(MOVED), "the condition")
    assert condition["detail"] == f"the tag v1.0.0 was moved from {first[:12]} to {second[:12]}; nothing was run for that"
    site.looked_at(repo)
    assert workspace.change(second) is None
    assert tagged(workspace) == [("tag", "v1.0.0")]


def test_a_tag_that_is_deleted_and_comes_again_is_no_new_one(site: Followed) -> None:
    repo = site.repository({"main.tf": TF % "begun"})
    workspace = following_tags(site, repo)
    sha = repo.tag("v1.0.0")
    workspace.run_of(sha)
    repo.git("push", "-q", "origin", ":refs/tags/v1.0.0")
    site.looked_at(repo)
    repo.git("push", "-q", "origin", "refs/tags/v1.0.0")
    site.looked_at(repo)
    assert tagged(workspace) == [("tag", "v1.0.0")]
    assert MOVED not in workspace.conditions()


def test_several_tags_of_one_push_run_each(site: Followed) -> None:
    repo = site.repository({"main.tf": TF % "begun"})
    workspace = following_tags(site, repo)
    repo.git("tag", "v1.0.0")
    repo.push({"main.tf": TF % "second"}, "Second", "later")
    repo.git("tag", "v1.0.1")
    repo.git("push", "-q", "--tags", "origin")
    until(lambda: len(tagged(workspace)) == 2, "both tags to be seen")
    assert sorted(tagged(workspace)) == [("tag", "v1.0.0"), ("tag", "v1.0.1")]
    workspace.until_change(repo.sha("refs/tags/v1.0.1"), "started")


def test_an_expression_that_cannot_be_read_is_refused(site: Followed) -> None:
    repo = site.repository()
    workspace = site.workspace(repo)
    document = {"data": {"type": "workspaces", "attributes": {"vcs-repo": {"identifier": site.identifier(repo), "tags-regex": "v("}}}}
    refused = site.server.api.patch(f"workspaces/{workspace.id}", json=document)
    assert refused.status_code == 422
    (told,) = refused.json()["errors"]
    assert told["source"]["pointer"] == "/data/attributes/vcs-repo/tags-regex"
    assert told["detail"] == "tags-regex cannot be read: missing ): v("
