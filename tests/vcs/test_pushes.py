"""Pushes to the branch that a workspace follows."""

from __future__ import annotations

from tests.support.followed import EVERY_KIND, Followed
from tests.support.waiting import until

pytestmark = EVERY_KIND

ANOTHER = 'resource "terraform_data" "pet" {\n  input = "felix"\n}\n'
BRANCH_MISSING = "vcs-branch-missing"


def test_a_push_is_planned_applied_and_told_in_order(site: Followed) -> None:
    repo = site.repository()
    workspace = site.workspace(repo, auto_apply=True, queue_all_runs=True)
    first = workspace.run_of(repo.sha(), "applied")
    assert first["attributes"]["message"] == "Begin"
    sha = repo.push({"main.tf": ANOTHER}, "Another pet")
    run = workspace.run_of(sha, "applied")
    assert (run["attributes"]["message"], run["attributes"]["source"]) == ("Another pet", "tfe-configuration-version")
    if site.kind.has_pulls:
        words = site.kind.words
        until(lambda: workspace.statuses(sha)[-1:] == [words["success"]], "the commit to be told")
        told = workspace.statuses(sha)
        assert told[0] in (words["pending"], words["running"])
        assert words["failure"] not in told


def test_a_plan_with_changes_waits_for_a_person_and_the_commit_says_so(site: Followed) -> None:
    repo = site.repository()
    workspace = site.workspace(repo, auto_apply=False, queue_all_runs=True)
    run = workspace.run_of(repo.sha(), "planned")
    if site.kind.has_pulls and site.kind.steps_back:
        until(lambda: "Waits to be confirmed: 1 to add, 0 to change, 0 to destroy" in workspace.told(repo.sha()), "the commit to be told")
        assert workspace.statuses(repo.sha())[-1] == site.kind.words["pending"]
    assert site.server.api.post(f"runs/{run['id']}/actions/apply").status_code == 202
    workspace.run_of(repo.sha(), "applied")
    if site.kind.has_pulls:
        until(lambda: workspace.told(repo.sha())[-1] == "Applied: 1 to add, 0 to change, 0 to destroy", "the commit to be told")


def test_a_plan_that_fails_is_a_failure_of_its_commit(site: Followed) -> None:
    repo = site.repository({"main.tf": 'output "a" {\n  value = var.missing\n}\n'})
    workspace = site.workspace(repo, queue_all_runs=True)
    workspace.run_of(repo.sha(), "errored")
    if site.kind.has_pulls:
        until(lambda: workspace.statuses(repo.sha())[-1:] == [site.kind.words["failure"]], "the commit to be told")


def test_the_new_head_of_a_force_push_runs_and_one_that_was_dealt_with_does_not_run_again(site: Followed) -> None:
    repo = site.repository()
    workspace = site.workspace(repo, auto_apply=True, queue_all_runs=True)
    begun = repo.sha()
    workspace.run_of(begun, "applied")
    overwritten = repo.push({"main.tf": ANOTHER}, "To be overwritten")
    workspace.run_of(overwritten, "applied")
    repo.git("reset", "-q", "--hard", begun)
    forced = repo.push({"main.tf": ANOTHER.replace("felix", "tom")}, "By force", force=True)
    assert workspace.run_of(forced, "applied")["attributes"]["message"] == "By force"

    repo.git("push", "-q", "--force", "origin", f"{overwritten}:refs/heads/main")
    site.looked_at(repo)
    repo.git("reset", "-q", "--hard", overwritten)
    after = repo.push({"other.tf": 'output "a" {\n  value = 1\n}\n'}, "After that")
    workspace.run_of(after, "applied")
    shas = [each["attributes"]["commit-sha"] for each in workspace.changes()]
    assert shas == [after, forced, overwritten, begun]
    assert len(workspace.runs()) == 4


def test_a_branch_that_is_deleted_is_a_condition_until_it_is_pushed_again(site: Followed) -> None:
    repo = site.repository()
    repo.push({"main.tf": ANOTHER}, "On a branch", "live")
    workspace = site.workspace(repo, vcs_branch="live", queue_all_runs=True)
    workspace.run_of(repo.sha("refs/heads/live"))
    repo.delete_branch("live")
    condition = until(lambda: workspace.conditions().get(BRANCH_MISSING), "the condition")
    assert condition["detail"] == f"the repository {site.identifier(repo)} has no branch live"
    assert "Push the branch" in condition["remedy"]
    sha = repo.push({"more.tf": ""}, "It is back", "live")
    workspace.run_of(sha)
    assert BRANCH_MISSING not in workspace.conditions()
    assert len(workspace.runs()) == 2


def test_another_branch_that_is_followed_begins_anew(site: Followed) -> None:
    repo = site.repository()
    repo.push({"main.tf": ANOTHER}, "On a branch", "next")
    repo.checkout("main")
    workspace = site.workspace(repo)
    workspace.until_change(repo.sha(), "skipped")
    shown = workspace.update(vcs_branch="next", vcs_repo_url=repo.url)
    assert shown["attributes"]["vcs-repo"]["branch"] == "next"
    change = workspace.until_change(repo.sha("refs/heads/next"), "skipped")
    assert change["attributes"]["ref"] == "next"
    repo.push({"more.tf": ""}, "Not followed any more")
    followed = repo.push({"more.tf": ""}, "Followed", "next")
    workspace.until_change(followed, "skipped")
    assert len(workspace.changes()) == 3


def test_without_queue_all_runs_the_configuration_is_there_and_runs_follow_the_first_by_hand(site: Followed) -> None:
    repo = site.repository()
    workspace = site.workspace(repo, auto_apply=True)
    first = workspace.until_change(repo.sha(), "skipped")
    assert "started by hand" in first["attributes"]["reason"]
    second = repo.push({"main.tf": ANOTHER}, "Before any run")
    assert "no run was started by hand yet" in workspace.until_change(second, "skipped")["attributes"]["reason"]
    assert workspace.runs() == []
    by_hand = workspace.start_run()
    assert by_hand["relationships"]["configuration-version"]["data"]["id"] == workspace.version_of(second)["id"]
    third = repo.push({"main.tf": ANOTHER.replace("felix", "tom")}, "After it")
    workspace.run_of(third, "applied")
    assert len(workspace.runs()) == 2


def test_what_runs_is_in_the_working_directory_and_sees_the_files_beside_it(site: Followed) -> None:
    files = {
        "modules/pet/main.tf": 'variable "name" {}\nresource "terraform_data" "pet" {\n  input = var.name\n}\n',
        "live/main.tf": 'module "pet" {\n  source = "../modules/pet"\n  name   = "rex"\n}\n',
    }
    repo = site.repository(files)
    workspace = site.workspace(repo, working_directory="live", auto_apply=True, queue_all_runs=True)
    run = workspace.run_of(repo.sha(), "applied", "errored")
    assert run["attributes"]["status"] == "applied"


def test_a_configuration_says_which_commit_it_is(site: Followed) -> None:
    repo = site.repository()
    workspace = site.workspace(repo, queue_all_runs=True)
    sha = repo.push({"main.tf": ANOTHER}, "Another pet\n\nWith a long story.")
    run = workspace.run_of(sha)
    include = {"include": "configuration_version.ingress_attributes"}
    document = site.server.api.get(f"runs/{run['id']}", params=include).json()
    version = next(each for each in document["included"] if each["type"] == "configuration-versions")
    ingress = next(each for each in document["included"] if each["type"] == "ingress-attributes")
    assert version["relationships"]["ingress-attributes"]["data"]["id"] == ingress["id"]
    assert version["attributes"]["source"] == site.kind.name
    said = ingress["attributes"]
    assert (said["commit-sha"], said["branch"], said["identifier"]) == (sha, "main", site.identifier(repo))
    assert said["commit-message"].startswith("Another pet\n\nWith a long story.")
    assert (said["is-pull-request"], said["on-default-branch"], said["tag"]) == (False, True, None)
    assert said["clone-url"] == repo.url
    by_itself = site.server.api.get(f"configuration-versions/{version['id']}/ingress-attributes").json()["data"]
    assert by_itself == ingress


def test_only_a_plan_may_bring_other_files_than_the_repository_has(site: Followed) -> None:
    workspace = site.workspace(site.repository())
    path = f"workspaces/{workspace.id}/configuration-versions"
    refused = site.server.api.post(path, json={"data": {"type": "configuration-versions", "attributes": {}}})
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["code"] == "vcs_connected"
    assert workspace.repo.path in refused.json()["errors"][0]["detail"]
    plan = {"data": {"type": "configuration-versions", "attributes": {"speculative": True}}}
    assert site.server.api.post(path, json=plan).status_code == 201
