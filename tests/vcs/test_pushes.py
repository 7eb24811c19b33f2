"""Pushes to the branch that a workspace follows."""

from __future__ import annotations

from tests.support.followed import Followed
from tests.support.waiting import until


def test_a_push_is_planned_applied_and_told_in_order(site: Followed) -> None:
    repo = site.repository()
    workspace = site.workspace(repo, auto_apply=True, queue_all_runs=True)
    first = workspace.run_of(repo.sha(), "applied")
    assert first["attributes"]["message"] == "Begin"
    sha = repo.push({"main.tf": 'resource "terraform_data" "pet" {\n  input = "felix"\n}\n'}, "Another pet")
    run = workspace.run_of(sha, "applied")
    assert (run["attributes"]["message"], run["attributes"]["source"]) == ("Another pet", "tfe-configuration-version")
    if site.kind.has_pulls:
        words = site.kind.words
        until(lambda: workspace.statuses(sha)[-1:] == [words["success"]], "the commit to be told")
        told = workspace.statuses(sha)
        assert told[0] in (words["pending"], words["running"])
        assert words["failure"] not in told
