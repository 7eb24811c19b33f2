"""Forges that are away, credentials that are taken back, servers that die, people who leave: nothing is lost, and people are told."""

from __future__ import annotations

from contextlib import closing

from tests.support.followed import EVERY_KIND, Followed, Follower
from tests.support.forge import Answer, Asked, git
from tests.support.waiting import until
from tests.support.wire import document, fresh, make_person

pytestmark = EVERY_KIND

TF = 'output "a" {\n  value = "%s"\n}\n'
DONE = ("applied", "planned_and_finished")


def until_condition(workspace: Follower, code: str) -> dict[str, str]:
    """Wait until a workspace says so; what it says."""
    found: dict[str, str] = until(lambda: workspace.conditions().get(code), f"{workspace.name} to say {code}")
    assert found["remedy"]
    return found


def until_settled(workspace: Follower, code: str) -> None:
    """Wait until it says so no longer."""
    until(lambda: code not in workspace.conditions(), f"{workspace.name} to say {code} no longer")


def test_a_forge_that_is_away_is_a_condition_and_what_was_pushed_meanwhile_runs_when_it_is_back(site: Followed) -> None:
    workspace = site.workspace(site.repository({"main.tf": TF % "begun"}), auto_apply=True, queue_all_runs=True)
    repo = workspace.repo
    with site.forge.stopped():
        shas = [repo.commit({"main.tf": TF % number}, f"Meanwhile {number}") for number in range(2)]
        git("push", "-q", str(repo.bare), "HEAD:refs/heads/main", cwd=repo.copy)
        assert repo.path in until_condition(workspace, "vcs-unreachable")["detail"]
    workspace.run_of(shas[1], *DONE)
    until_settled(workspace, "vcs-unreachable")
    assert workspace.change(shas[0]) is None  # it was never the branch's newest
    assert len(workspace.changes()) == 2


def test_files_that_cannot_be_fetched_are_tried_for_until_they_can(site: Followed) -> None:
    workspace = site.workspace(site.repository({"main.tf": TF % "begun"}), auto_apply=True, queue_all_runs=True)
    with site.files_answered(Answer(502, b"<html>a proxy</html>", {"Content-Type": "text/html"})):
        sha = workspace.repo.push({"main.tf": TF % "pushed"}, "Cannot be fetched")
        assert sha[:12] in until_condition(workspace, "vcs-fetch-failing")["detail"]
        assert workspace.until_change(sha, "pending")["attributes"]["reason"]
    workspace.run_of(sha, *DONE)
    until_settled(workspace, "vcs-fetch-failing")
    assert len(workspace.runs()) == 2


def test_credentials_that_are_revoked_are_a_condition_until_others_are_given(site: Followed) -> None:
    token = fresh("token")
    site.forge.tokens.add(token)
    connection = site.connect_with(token)
    workspace = site.workspace(
        site.repository({"main.tf": TF % "begun"}), connection=connection["id"], auto_apply=True, queue_all_runs=True
    )
    site.forge.tokens.discard(token)
    sha = workspace.repo.push({"main.tf": TF % "pushed"}, "While the credentials are revoked")
    assert "credentials" in until_condition(workspace, "vcs-denied")["remedy"]
    until(lambda: site.shown(connection)["status"] == "errored", "the connection to say so too")
    assert token not in str(site.shown(connection)) + str(workspace.conditions())

    # git has nothing to ask as whom it knows somebody but a repository.
    checked = {} if site.kind.has_pulls else {"check-repository": site.identifier(workspace.repo)}
    wrong = document("vcs-connections", token="not-a-token-of-the-forge", **checked)
    refused = site.server.api.patch(f"vcs-connections/{connection['id']}", json=wrong)
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (422, "vcs-denied")

    another = fresh("token")
    site.forge.tokens.add(another)
    changed = site.server.api.patch(f"vcs-connections/{connection['id']}", json=document("vcs-connections", token=another))
    assert changed.json()["data"]["attributes"]["status"] == "active"
    workspace.run_of(sha, *DONE)
    until_settled(workspace, "vcs-denied")


def test_credentials_that_are_rotated_while_files_are_fetched_lose_nothing(site: Followed) -> None:
    token, another = fresh("token"), fresh("token")
    site.forge.tokens |= {token, another}
    connection = site.connect_with(token)
    workspace = site.workspace(
        site.repository({"main.tf": TF % "begun"}), connection=connection["id"], auto_apply=True, queue_all_runs=True
    )

    def revoke(asked: Asked) -> Answer | None:
        site.forge.tokens.discard(token)
        return Answer(401, b"{}", {"Content-Type": "application/json"}) if asked.token == token else None

    with site.files_answered(revoke):
        sha = workspace.repo.push({"main.tf": TF % "pushed"}, "In the middle of it")
        until(lambda: token not in site.forge.tokens, "the files to be asked for")
        site.server.api.patch(f"vcs-connections/{connection['id']}", json=document("vcs-connections", token=another)).raise_for_status()
        workspace.run_of(sha, *DONE)
    assert len(workspace.runs()) == 2


def test_a_repository_that_is_deleted_is_a_condition_until_it_is_there_again(site: Followed) -> None:
    workspace = site.workspace(site.repository({"main.tf": TF % "begun"}))
    repo = site.forge.repositories.pop(workspace.repo.path)
    condition = until_condition(workspace, "vcs-repository-missing")
    assert repo.path in condition["detail"]
    site.forge.repositories[repo.path] = repo
    until_settled(workspace, "vcs-repository-missing")


def test_a_forge_that_asks_for_patience_is_left_alone_until_it_has_passed(site: Followed) -> None:
    token = fresh("token")
    site.forge.tokens.add(token)
    connection = site.connect_with(token)
    workspace = site.workspace(site.repository(), connection=connection["id"])
    other = site.workspace(site.repository())
    patience = Answer(429, b"{}", {"Retry-After": "600", "Content-Type": "application/json"})
    with site.forge.twisted(f"/{workspace.repo.path}.git/*", patience):
        until(lambda: site.shown(connection)["rests-until"], "the connection to rest")
        site.forge.forget()
        site.looked_at(other.repo, 5)
    assert site.looks(workspace.repo) == []
    assert "429" in site.shown(connection)["error-message"]

    # Somebody who knows better has it asked at once.
    assert site.server.api.post(f"vcs-connections/{connection['id']}/actions/test").status_code == 200
    assert site.shown(connection)["rests-until"] is None
    site.looked_at(workspace.repo)


def test_workspaces_of_a_connection_that_is_deleted_follow_nothing_and_say_so(site: Followed) -> None:
    token = fresh("token")
    site.forge.tokens.add(token)
    connection = site.connect_with(token)
    workspace = site.workspace(site.repository({"main.tf": TF % "begun"}), connection=connection["id"])
    assert site.server.api.delete(f"vcs-connections/{connection['id']}").status_code == 204
    until_condition(workspace, "vcs-connection-gone")
    assert workspace.attributes["vcs-repo"] is None
    sha = workspace.repo.push({"main.tf": TF % "pushed"}, "Nobody looks")
    workspace.link(site.connection["id"])
    workspace.until_change(sha, "skipped")
    until_settled(workspace, "vcs-connection-gone")


def test_what_somebody_who_left_had_connected_waits_until_somebody_else_takes_it_over(site: Followed) -> None:
    workspace = site.workspace(site.repository({"main.tf": TF % "begun"}), auto_apply=True, queue_all_runs=True)
    leaver = make_person(site.server, fresh("leaver"), "admin")
    with closing(leaver.api):
        workspace.update(vcs_repo=None)
        workspace.link(site.connection["id"], api=leaver.api)
        site.looked_at(workspace.repo)
    site.server.api.post(f"admin/users/{leaver.id}/actions/suspend").raise_for_status()
    sha = workspace.repo.push({"main.tf": TF % "pushed"}, "Whose rights has it?")
    until_condition(workspace, "vcs-nobody-answers")
    assert workspace.change(sha)["attributes"]["status"] == "pending"  # type: ignore[index]
    workspace.link(site.connection["id"])
    workspace.run_of(sha, *DONE)
    until_settled(workspace, "vcs-nobody-answers")
