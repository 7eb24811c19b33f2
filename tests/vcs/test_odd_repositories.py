"""Repositories as people have them: names, links, pointers, sizes; and what is no configuration."""

from __future__ import annotations

import os

import psutil
import pytest

from tests.support.followed import Followed, Follower
from tests.support.forge import Repository
from tests.support.waiting import until
from tests.support.wire import fresh

MiB = 1 << 20
TF = 'output "a" {\n  value = "%s"\n}\n'
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "4d7a2146" * 8 + "\nsize 12345\n"
NO_CONFIGURATION = "vcs-no-configuration"
INCOMPLETE = "vcs-incomplete"
BRANCHES = (
    "grün/日本語",
    "a#b",
    "a%20b%",
    "a+b&c=d",
    'it\'s "quoted"'.replace(" ", "-"),
    "a;b,c!d$(e)",
    "{braces}@at",
    "<tag>|pipe",
    "feature/deep/er/still",
    "x" * 200,
)


def names(workspace: Follower, sha: str) -> set[str]:
    """The files of a configuration."""
    with workspace.files(sha) as files:
        return {member.name for member in files.getmembers() if not member.isdir()}


def test_links_pointers_and_submodules_are_fetched_as_far_as_they_go_and_told_of(site: Followed) -> None:
    repo = site.repository({"main.tf": TF % "begun"})
    for name, target in (("inside.tf", "main.tf"), ("outside", "../../etc/passwd"), ("absolute", "/etc/passwd")):
        (repo.copy / name).symlink_to(target)
    repo.git("update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},vendored")
    sha = repo.push({"image.bin": POINTER, ".gitmodules": '[submodule "vendored"]\n\tpath = vendored\n\turl = ../other\n'}, "Odd")
    workspace = site.workspace(repo, awaited=False)
    workspace.until_change(sha, "skipped")
    assert names(workspace, sha) == {"main.tf", "inside.tf", "image.bin", ".gitmodules"}
    condition = until(lambda: workspace.conditions().get(INCOMPLETE), "the condition")
    for said in ("symbolic links lead out of the repository", "outside", "absolute", "pointers of Git LFS", "image.bin", "submodules"):
        assert said in condition["detail"]

    for name in ("outside", "absolute", "image.bin", ".gitmodules"):
        (repo.copy / name).unlink()
    workspace.until_change(repo.push(message="Ordinary"), "skipped")
    assert INCOMPLETE not in workspace.conditions()


def test_a_commit_without_configuration_is_refused_and_the_next_one_is_tried(site: Followed) -> None:
    repo = site.repository({"README.md": "words\n"})
    workspace = site.workspace(repo, awaited=False)
    change = workspace.until_change(repo.sha(), "refused")
    assert "no .tf file in its root" in change["attributes"]["reason"]
    assert workspace.conditions()[NO_CONFIGURATION]["remedy"].startswith("Push a commit in which that is mended")
    workspace.until_change(repo.push({"main.tf": TF % "here"}, "Here it is"), "skipped")
    assert NO_CONFIGURATION not in workspace.conditions()


def test_a_working_directory_that_is_missing_is_refused_until_it_is_there(site: Followed) -> None:
    repo = site.repository({"main.tf": TF % "root"})
    workspace = site.workspace(repo, awaited=False, working_directory="live/prod")
    change = workspace.until_change(repo.sha(), "refused")
    assert change["attributes"]["reason"] == "it has no directory live/prod, which is the workspace's working directory"
    workspace.until_change(repo.push({"live/prod/main.tf": TF % "live"}, "Make it"), "skipped")
    assert NO_CONFIGURATION not in workspace.conditions()


def test_an_empty_repository_waits_for_its_first_push(site: Followed) -> None:
    repo = Repository(site.forge, f"acme/{fresh('empty')}")
    site.forge.repositories[repo.path] = repo
    workspace = site.workspace(repo, awaited=False, queue_all_runs=True)
    until(lambda: workspace.conditions().get("vcs-branch-missing"), "the condition")
    workspace.until_change(repo.push({"main.tf": TF % "first"}, "The first"), "started")
    assert "vcs-branch-missing" not in workspace.conditions()


@pytest.mark.slow
def test_branches_may_be_called_whatever_git_lets_them_be(site: Followed) -> None:
    repo = site.repository({"main.tf": TF % "begun"})
    for branch in BRANCHES:
        repo.push({"main.tf": TF % "on a branch"}, f"On {branch}", branch)
    workspaces = [site.workspace(repo, vcs_branch=branch, awaited=False) for branch in BRANCHES]
    for branch, workspace in zip(BRANCHES, workspaces, strict=True):
        sha = repo.sha(f"refs/heads/{branch}")
        assert workspace.until_change(sha, "skipped")["attributes"]["ref"] == branch
        assert workspace.ingress_of(sha)["branch"] == branch


def test_a_branch_whose_name_is_no_text_does_no_harm_to_others(site: Followed) -> None:
    repo = site.repository({"main.tf": TF % "begun"})
    (repo.bare / "packed-refs").write_bytes(repo.sha().encode() + b" refs/heads/\xff\xfe\n")
    workspace = site.workspace(repo)
    workspace.until_change(repo.push({"main.tf": TF % "goes on"}, "Goes on"), "skipped")


def test_names_of_branches_that_git_never_has_are_refused(site: Followed) -> None:
    workspace = site.workspace(site.repository())
    for branch in ("a b", "a..b", "-a", "a~1", "a^", "a:b", "a*", "a.lock", "a/", ".a", "a\nb", "a\\b", "@{-1}"):
        document = {"data": {"type": "workspaces", "attributes": {"vcs-repo-url": workspace.repo.url, "vcs-branch": branch}}}
        refused = site.server.api.patch(f"workspaces/{workspace.id}", json=document)
        assert (branch, refused.status_code) == (branch, 422)
        assert refused.json()["errors"][0]["source"]["pointer"] == "/data/attributes/vcs-branch"


def test_long_names_arrive_whole(site: Followed) -> None:
    long = {f"{'d' * 150}/{'f' * 146}.tf": "", f"{'ü' * 100}/{'x' * 100}.txt": "", "a b/'c\" d.txt": "", "main.tf": TF % "begun"}
    repo = site.repository(long)
    workspace = site.workspace(repo)
    assert names(workspace, repo.sha()) == set(long)


def test_a_large_file_passes_through_without_being_held(site: Followed) -> None:
    repo = site.repository({"main.tf": TF % "begun"})
    workspace = site.workspace(repo)
    server = psutil.Process(site.server.pid)
    before = server.memory_info().rss
    large = os.urandom(30 * MiB)
    sha = repo.push({"large.bin": large}, "Large")
    most = 0

    def dealt_with() -> bool:
        nonlocal most
        most = max(most, server.memory_info().rss)
        change = workspace.change(sha)
        return change is not None and change["attributes"]["status"] == "skipped"

    until(dealt_with, "the large commit to be dealt with")
    assert most - before < 48 * MiB, f"{(most - before) >> 20} MiB"
    assert int(workspace.version_of(sha)["attributes"]["size"]) > 30 * MiB
    with workspace.files(sha) as files:
        content = files.extractfile("large.bin")
        assert content is not None
        assert content.read() == large


def test_a_part_of_a_repository_is_fetched_where_that_is_enough(site: Followed) -> None:
    part = {"versions.tf": "", "live/prod/main.tf": TF % "prod", "modules/a/a.tf": ""}
    tree = {**part, "live/test/main.tf": TF % "test", "docs/big.bin": "x" * MiB}
    repo = site.repository(tree)
    workspace = site.workspace(repo, vcs_sparse_fetch=True, working_directory="live/prod", trigger_prefixes=["modules/a"])
    assert names(workspace, repo.sha()) == set(part)
    whole = site.workspace(repo, working_directory="live/prod")
    assert names(whole, repo.sha()) == set(tree)
