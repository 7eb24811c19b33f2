"""Many workspaces in one repository: whom a change concerns, and what it costs to find out."""

from __future__ import annotations

import pytest

from tests.support.followed import Followed, Follower
from tests.support.waiting import until

SETS = [f"live/set-{number}" for number in range(10)]
TF = 'output "a" {\n  value = "%s"\n}\n'
UNCONCERNED = "none of the changed files concerns this workspace"


@pytest.fixture(scope="module")
def sets(site: Followed) -> list[Follower]:
    """Ten workspaces, each with a directory of one repository."""
    repo = site.repository({f"{path}/main.tf": TF % "begun" for path in SETS} | {"modules/shared/main.tf": TF % "shared", "README.md": ""})
    made = [site.workspace(repo, working_directory=path, queue_all_runs=True, awaited=False) for path in SETS]
    for each in made:
        each.run_of(repo.sha(), "planned_and_finished", "planned", "applied")
    return made


def test_a_change_in_one_directory_starts_the_run_of_its_workspace_alone(site: Followed, sets: list[Follower]) -> None:
    repo = sets[0].repo
    sha = repo.push({f"{SETS[3]}/main.tf": TF % "changed"}, "Only the fourth")
    sets[3].run_of(sha)
    for number, each in enumerate(sets):
        if number != 3:
            assert each.until_change(sha, "skipped", "started")["attributes"]["reason"] == UNCONCERNED
    sha = repo.push({"README.md": "nobody's"}, "No directory of anybody's")
    for each in sets:
        each.until_change(sha, "skipped")
    assert [len(each.runs()) for each in sets] == [1, 1, 1, 2, 1, 1, 1, 1, 1, 1]


def test_nothing_new_costs_at_most_two_requests_a_look_however_many_follow(site: Followed, sets: list[Follower]) -> None:
    repo = sets[0].repo
    until(lambda: all(each.change(repo.sha()) for each in sets), "everybody to have the newest commit")
    site.looked_at(repo)
    site.forge.forget()
    site.looked_at(repo, 4)
    refs = f"/{repo.path}.git/git-upload-pack"
    asked = site.looks(repo)
    pulls = [each for each in asked if each != refs]
    assert len(set(pulls)) == (1 if site.kind.has_pulls else 0), asked
    assert len(pulls) <= asked.count(refs) + 1  # the last one's may have come alone so far


def test_the_files_of_a_commit_are_fetched_once_for_all_that_want_them(site: Followed, sets: list[Follower]) -> None:
    repo = sets[0].repo
    site.forge.forget()
    sha = repo.push({f"{path}/main.tf": TF % "all of them" for path in SETS}, "All of them")
    for each in sets:
        each.until_change(sha, "started")
    archives = [each.target for each in site.forge.asked if site.is_archive(each)]
    assert len(archives) == 1, archives
    compared = [each.target for each in site.forge.asked if "/compare" in each.target]
    assert len(compared) <= 4, compared  # two for each commit that somebody had before


def test_prefixes_bring_what_lies_beside_the_working_directory(site: Followed) -> None:
    repo = site.repository({"live/main.tf": TF % "live", "modules/a/main.tf": TF % "a", "modules/b/main.tf": TF % "b"})
    workspace = site.workspace(repo, working_directory="live", trigger_prefixes=["modules/a"], queue_all_runs=True)
    wanted = repo.push({"modules/a/main.tf": TF % "other"}, "A prefix")
    workspace.until_change(wanted, "started")
    beside = repo.push({"modules/b/main.tf": TF % "other", "modules/ab/main.tf": TF % "ab"}, "Beside the prefix")
    assert workspace.until_change(beside, "skipped", "started")["attributes"]["reason"] == UNCONCERNED
    directory = repo.push({"live/main.tf": TF % "other"}, "The working directory")
    workspace.until_change(directory, "started")


def test_patterns_stand_for_themselves_and_see_what_was_removed(site: Followed) -> None:
    repo = site.repository({"main.tf": TF % "a", "live/a/prod.tfvars": "", "live/b/deep/prod.tfvars": "", "docs/a.md": ""})
    workspace = site.workspace(repo, trigger_patterns=["/live/*/*.tfvars", "modules/**/*.tf"], queue_all_runs=True)
    for message, files, status in (
        ("Deeper than the star", {"live/b/deep/prod.tfvars": "x = 1\n"}, "skipped"),
        ("The root is in no pattern", {"main.tf": TF % "b"}, "skipped"),
        ("Removed", {"live/a/prod.tfvars": None}, "started"),
        ("Any depth", {"modules/x/y/z.tf": ""}, "started"),
        ("No depth", {"modules/z.tf": ""}, "started"),
    ):
        change = workspace.until_change(repo.push(files, message), "skipped", "started")
        assert (message, change["attributes"]["status"]) == (message, status)


def test_without_file_triggers_every_push_runs(site: Followed) -> None:
    repo = site.repository({"live/main.tf": TF % "a", "README.md": ""})
    workspace = site.workspace(repo, working_directory="live", file_triggers_enabled=False, queue_all_runs=True)
    sha = repo.push({"README.md": "words"}, "Words")
    workspace.until_change(sha, "started")


def test_commits_that_come_together_count_together(site: Followed) -> None:
    repo = site.repository({"live/main.tf": TF % "a", "README.md": ""})
    workspace = site.workspace(repo, working_directory="live", queue_all_runs=True)
    repo.commit({"live/main.tf": TF % "b"}, "Concerns it")
    sha = repo.push({"README.md": "words"}, "Does not by itself")
    workspace.until_change(sha, "started")
    assert len(workspace.changes()) == 2


def test_what_a_push_by_force_takes_back_concerns_whom_it_concerned(site: Followed) -> None:
    repo = site.repository({"a/main.tf": TF % "a", "b/main.tf": TF % "b"})
    begun = repo.sha()
    first, second = (site.workspace(repo, working_directory=each, queue_all_runs=True) for each in ("a", "b"))
    sha = repo.push({"a/main.tf": TF % "a mistake"}, "A mistake")
    first.until_change(sha, "started")
    second.until_change(sha, "skipped")
    repo.git("reset", "-q", "--hard", begun)
    forced = repo.push({"b/main.tf": TF % "other"}, "Without the mistake", force=True)
    first.until_change(forced, "started")
    second.until_change(forced, "started")
