"""Pull requests: planned, told and commented on, and let go of when they are closed or overtaken."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.support.followed import Followed, Follower
from tests.support.forge import MAIN_TF, Pull
from tests.support.gate import Gate
from tests.support.waiting import until

ANOTHER = {"main.tf": MAIN_TF.replace("rex", "felix")}


def with_a_stop(gate: Gate) -> dict[str, str]:
    """A configuration whose plan waits before the gate."""
    return {"main.tf": MAIN_TF, "stop.tf": f'output "waited" {{\n  value = {gate.plan}\n}}\n'}


def comment_of(pull: Pull) -> str:
    """The one comment of a pull request; empty while there is none."""
    assert len(pull.comments) <= 1, pull.comments
    return next(iter(pull.comments.values()), "")


def cancelled_before(gate: Gate, workspace: Follower, sha: str) -> dict[str, Any]:
    """The run of a commit that stands before the gate, once it was cancelled; terraform itself ends when it can go on."""
    workspace.until_change(sha, "superseded")
    gate.open()
    return workspace.run_of(sha, "canceled")


def another_run(workspace: Follower, sha: str, than: dict[str, Any]) -> None:
    """Wait until a commit has another run than it had."""

    def look() -> bool:
        run = (workspace.change(sha) or {})["relationships"]["run"]["data"]
        return run is not None and run["id"] != than["id"]

    until(look, f"{sha[:8]} to have another run")


def until_told(workspace: Follower, sha: str, state: str = "success") -> None:
    """Wait until the newest status of a commit is this."""
    word = workspace.site.kind.words[state]
    until(lambda: workspace.statuses(sha)[-1:] == [word], f"{sha[:8]} to be told {word}: {workspace.statuses(sha)}")


def test_one_that_is_opened_is_planned_and_never_applied(site: Followed) -> None:
    repo = site.repository()
    workspace = site.workspace(repo, auto_apply=True)
    pull, sha = workspace.open_pull("improve", ANOTHER, title="Call it felix")
    run = workspace.run_of(sha, "planned_and_finished")
    shown = run["attributes"]
    assert (shown["plan-only"], shown["trusted"], shown["message"]) == (True, False, f"#{pull.number} Call it felix")
    until_told(workspace, sha)
    told = workspace.statuses(sha)
    assert told[0] in (site.kind.words["pending"], site.kind.words["running"])
    assert set(told) <= {site.kind.words[each] for each in ("pending", "running", "success")}
    link = f"{site.server.url}/app/default/{workspace.name}/runs/{run['id']}"
    until(lambda: "1 to add, 0 to change, 0 to destroy" in comment_of(pull), "the comment to have the plan's numbers")
    assert f"[{workspace.name}]({link})" in comment_of(pull)
    assert sha[:12] in comment_of(pull)
    assert {url for at, _, _, _, url in repo.statuses if at == sha} == {link} | {
        url for at, _, state, _, url in repo.statuses if at == sha and state == site.kind.words["pending"]
    }
    version = site.server.api.get(f"configuration-versions/{run['relationships']['configuration-version']['data']['id']}").json()["data"]
    assert version["attributes"]["speculative"] is True


def test_a_new_commit_cancels_the_plan_of_the_one_before_and_says_nothing_of_it(site: Followed, tmp_path: Path) -> None:
    workspace = site.workspace(site.repository())
    with closing(Gate(tmp_path / "gate")) as gate:
        pull, old = workspace.open_pull("improve", with_a_stop(gate))
        gate.wait()
        new = workspace.repo.push({"stop.tf": None, **ANOTHER}, "Without the stop", "improve")
        cancelled_before(gate, workspace, old)
        workspace.run_of(new, "planned_and_finished")
    until_told(workspace, new)
    until(lambda: new[:12] in comment_of(pull) and "1 to add" in comment_of(pull), "the comment to be about the new commit")
    assert set(workspace.statuses(old)) <= {site.kind.words["pending"], site.kind.words["running"]}


def test_a_plan_that_was_done_keeps_its_success(site: Followed) -> None:
    workspace = site.workspace(site.repository())
    _, old = workspace.open_pull("improve", ANOTHER)
    workspace.run_of(old, "planned_and_finished")
    until_told(workspace, old)
    new = workspace.repo.push({"main.tf": MAIN_TF.replace("rex", "tom")}, "Another name", "improve")
    workspace.run_of(new, "planned_and_finished")
    until_told(workspace, new)
    assert workspace.statuses(old)[-1] == site.kind.words["success"]
    change = workspace.until_change(old, "started")
    until(lambda: workspace.change(old)["attributes"]["open"] is False, "the old head to be let go of")  # type: ignore[index]
    assert change["relationships"]["run"]["data"]["id"] == workspace.run_of(old, "planned_and_finished")["id"]


def test_one_that_is_closed_is_let_go_of_and_planned_when_it_is_opened_again(site: Followed, tmp_path: Path) -> None:
    workspace = site.workspace(site.repository())
    with closing(Gate(tmp_path / "gate")) as gate:
        pull, sha = workspace.open_pull("improve", with_a_stop(gate))
        gate.wait()
        pull.open = False
        first = cancelled_before(gate, workspace, sha)
        assert set(workspace.statuses(sha)) <= {site.kind.words["pending"], site.kind.words["running"]}
        pull.open = True
        another_run(workspace, sha, first)
        workspace.run_of(sha, "planned_and_finished")
    until_told(workspace, sha)


def test_a_commit_that_a_force_push_brings_back_is_planned_again(site: Followed, tmp_path: Path) -> None:
    workspace = site.workspace(site.repository())
    with closing(Gate(tmp_path / "gate")) as gate:
        _, first = workspace.open_pull("improve", with_a_stop(gate))
        gate.wait()
        second = workspace.repo.push({"stop.tf": None, **ANOTHER}, "Without the stop", "improve")
        before = cancelled_before(gate, workspace, first)
        workspace.run_of(second, "planned_and_finished")
        workspace.repo.git("push", "-q", "--force", "origin", f"{first}:refs/heads/improve")
        another_run(workspace, first, before)
        workspace.run_of(first, "planned_and_finished")
    until_told(workspace, first)


def test_one_for_another_branch_is_nobodys(site: Followed) -> None:
    repo = site.repository()
    repo.push({}, "Begin it", "release")
    repo.checkout("main")
    workspace = site.workspace(repo)
    _, other = workspace.open_pull("for-release", ANOTHER, base="release")
    _, ours = workspace.open_pull("for-main", ANOTHER)
    workspace.run_of(ours, "planned_and_finished")
    assert workspace.change(other) is None
    assert workspace.statuses(other) == []


def test_a_workspace_that_wants_no_speculative_plans_has_none(site: Followed) -> None:
    repo = site.repository()
    without, with_them = site.workspace(repo, speculative_enabled=False), site.workspace(repo)
    pull, sha = with_them.open_pull("improve", ANOTHER)
    with_them.run_of(sha, "planned_and_finished")
    until_told(with_them, sha)
    assert without.change(sha) is None
    assert without.statuses(sha) == []
    until(lambda: "1 to add" in comment_of(pull), "the other one's plan to be told")
    assert without.name not in comment_of(pull)


def test_a_workspace_that_no_changed_file_concerns_says_so_with_a_success(site: Followed) -> None:
    repo = site.repository({"a/main.tf": MAIN_TF, "b/main.tf": MAIN_TF})
    workspaces = {name: site.workspace(repo, working_directory=name, file_triggers_enabled=True) for name in ("a", "b")}
    _, sha = workspaces["a"].open_pull("improve", {"a/main.tf": MAIN_TF.replace("rex", "felix")})
    workspaces["a"].run_of(sha, "planned_and_finished")
    workspaces["b"].until_change(sha, "skipped")
    until_told(workspaces["b"], sha)
    assert workspaces["b"].statuses(sha) == [site.kind.words["success"]]
    text = next(text for at, context, _, text, _ in repo.statuses if at == sha and context.endswith(workspaces["b"].name))
    assert text.startswith("Not concerned: ")
    assert [run for run in workspaces["b"].runs() if run["attributes"]["message"].startswith("#")] == []


def test_several_workspaces_share_one_comment_that_is_edited_in_place(site: Followed) -> None:
    repo = site.repository()
    followers = [site.workspace(repo) for _ in range(3)]
    site.forge.forget()
    pull, sha = followers[0].open_pull("improve", ANOTHER)
    for each in followers:
        each.run_of(sha, "planned_and_finished")
    until(lambda: comment_of(pull).count("1 to add, 0 to change") == 3, "the comment to have three plans")
    assert all(f"[{each.name}](" in comment_of(pull) for each in followers)
    assert written(site, pull) == 1
    again = repo.push({"main.tf": MAIN_TF.replace("rex", "tom")}, "Another name", "improve")
    for each in followers:
        each.run_of(again, "planned_and_finished")
    until(lambda: again[:12] in comment_of(pull) and comment_of(pull).count("1 to add") == 3, "it to be edited")
    assert written(site, pull) == 1


def written(site: Followed, pull: Pull) -> int:
    """How many comments were written below a pull request."""
    return int(site.forge.count(f"*/{pull.number}/comments", "POST") + site.forge.count(f"*/{pull.number}/notes", "POST"))


def test_a_comment_that_somebody_deletes_is_written_anew_with_the_next_news(site: Followed) -> None:
    workspace = site.workspace(site.repository())
    pull, sha = workspace.open_pull("improve", ANOTHER)
    workspace.run_of(sha, "planned_and_finished")
    until(lambda: "1 to add" in comment_of(pull), "the comment")
    pull.comments.clear()
    new = workspace.repo.push({"main.tf": MAIN_TF.replace("rex", "tom")}, "Another name", "improve")
    workspace.run_of(new, "planned_and_finished")
    until(lambda: new[:12] in comment_of(pull) and "1 to add" in comment_of(pull), "another comment")


def test_what_people_write_does_nothing_in_a_comment(site: Followed) -> None:
    workspace = site.workspace(site.repository())
    broken = 'variable "pet" {\n  default = "rex"\n  validation {\n    condition = var.pet == "felix"\n'
    broken += '    error_message = "| @everyone <img src=x> [here](https://evil.example) `x` is wrong."\n  }\n}\n'
    title = "| @everyone **now** <img src=x> [here](https://evil.example) ```"
    pull, sha = workspace.open_pull("improve", {"main.tf": broken}, title=title)
    run = workspace.run_of(sha, "errored")
    assert run["attributes"]["message"] == f"#{pull.number} {title}"
    until_told(workspace, sha, "failure")
    until(lambda: "Failed" in comment_of(pull), "the comment to tell of it")
    row = next(line for line in comment_of(pull).splitlines() if f"[{workspace.name}](" in line)
    assert row.count("|") == 3
    for markup in ("@everyone", "<img", "](https://evil", "```"):
        assert markup not in comment_of(pull)


@pytest.mark.parametrize("setting", ["refused", "no-secrets", "with-secrets"])
def test_the_workspace_says_whether_what_nobody_vouches_for_is_planned(site: Followed, setting: str) -> None:
    workspace = site.workspace(site.repository(), untrusted_plans=setting)
    secret = {"key": "pet", "value": "planted-31415", "category": "terraform", "sensitive": True}
    answer = site.server.api.post(f"workspaces/{workspace.id}/vars", json={"data": {"type": "vars", "attributes": secret}})
    assert answer.status_code == 201, answer.text
    told = 'variable "pet" {\n  default = "none"\n}\noutput "length" {\n  value = nonsensitive(length(var.pet))\n}\n'
    pull, sha = workspace.open_pull("improve", {"main.tf": told})
    if setting == "refused":
        change = workspace.until_change(sha, "refused")
        assert "untrusted-plans" in change["attributes"]["reason"]
        until_told(workspace, sha, "error")
        until(lambda: "untrusted-plans" in comment_of(pull), "the comment to say why")
        return
    run = workspace.run_of(sha, "planned_and_finished")
    plan = site.server.api.get(f"plans/{run['relationships']['plan']['data']['id']}/json-output", follow_redirects=True).text
    assert ('"value":13' in plan.replace(" ", "")) is (setting == "with-secrets")


def test_none_of_more_than_a_hundred_is_overlooked(site: Followed) -> None:
    repo = site.repository()
    repo.push({}, "Begin it", "release")
    repo.checkout("main")
    workspace = site.workspace(repo)
    _, first = workspace.open_pull("first", ANOTHER)
    workspace.run_of(first, "planned_and_finished")
    repo.push(ANOTHER, "For the release", "many")
    repo.checkout("main")
    for number in range(105):
        site.forge.open_pull(repo.path, "many", title=f"Number {number}", base="release")
    _, last = workspace.open_pull("last", {"main.tf": MAIN_TF.replace("rex", "tom")})
    workspace.run_of(last, "planned_and_finished")
    assert workspace.until_change(first, "started")["attributes"]["open"] is True
    assert len(workspace.changes()) == 3
