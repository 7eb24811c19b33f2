"""Webhooks, with a server that looks by the clock once an hour: what is found was told."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.followed import Followed, Follower, Kind, following
from tests.support.forge import Repository
from tests.support.waiting import until

SECRET = "what signs the webhooks of the tests"
LARGEST = 25 << 20
TF = 'output "a" {\n  value = "%s"\n}\n'


@pytest.fixture(scope="module")
def site(kind: Kind, terraform: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Followed]:
    """A server that looks at a repository once an hour."""
    if not kind.has_webhooks:
        pytest.skip(f"{kind.name} sends no webhooks")
    settings = {"VCS__POLL_SECONDS": "3600", "VCS__POLL_QUIET_SECONDS": "3600", f"VCS__{kind.name.upper()}__WEBHOOK_SECRET": SECRET}
    with following(kind, terraform, tmp_path_factory.mktemp(f"forge-{kind.name}"), settings) as site:
        yield site


def where(site: Followed, *more: str) -> str:
    """The address of webhooks."""
    return "/".join((f"{site.server.url}/api/v2/vcs-events", *(more or (site.kind.name,))))


def tell(site: Followed, repo: Repository, sha: str, **more: Any) -> httpx.Response:
    """Let the forge tell of a push."""
    answer: httpx.Response = site.forge.deliver(
        "push", site.forge.pushed(repo, "refs/heads/main", sha), more.get("url") or where(site), secret=more.get("secret", SECRET)
    )
    return answer


def post(site: Followed, headers: Mapping[str, str], body: bytes, *path: str) -> httpx.Response:
    """Send what somebody else may send."""
    return httpx.post(where(site, *path), headers=dict(headers), content=body, timeout=60)


def runs_of(workspace: Follower, sha: str) -> int:
    """How many runs a commit has, once it has one."""
    workspace.run_of(sha, "applied", "planned_and_finished")
    versions = {workspace.version_of(sha)["id"]}
    return sum(run["relationships"]["configuration-version"]["data"]["id"] in versions for run in workspace.runs())


@pytest.fixture(scope="module")
def workspace(site: Followed) -> Follower:
    """One that follows, and plans what it is told of."""
    return site.workspace(site.repository({"main.tf": TF % "begun"}), auto_apply=True, queue_all_runs=True)


def test_a_push_that_is_told_is_planned_long_before_the_clock_would_find_it(site: Followed, workspace: Follower) -> None:
    sha = workspace.repo.push({"main.tf": TF % "told"}, "Told")
    answer = tell(site, workspace.repo, sha)
    assert (answer.status_code, answer.json()) == (202, {"followed": 1})
    assert runs_of(workspace, sha) == 1


def test_a_push_that_is_told_twice_at_once_and_again_later_runs_once(site: Followed, workspace: Follower) -> None:
    repo = workspace.repo
    sha = repo.push({"main.tf": TF % "twice"}, "Twice")
    for _ in range(2):
        assert tell(site, repo, sha).json() == {"followed": 1}
    assert runs_of(workspace, sha) == 1
    before = site.forge.count(f"/{repo.path}.git/git-upload-pack")
    assert tell(site, repo, sha).json() == {"followed": 1}
    until(lambda: site.forge.count(f"/{repo.path}.git/git-upload-pack") > before, "the repository to be looked at")
    other = repo.push({"main.tf": TF % "after it"}, "After it")
    tell(site, repo, other)
    assert runs_of(workspace, other) == 1
    assert [each["attributes"]["commit-sha"] for each in workspace.changes()][:2] == [other, sha]
    assert runs_of(workspace, sha) == 1


def test_a_push_that_nobody_told_of_is_found_by_the_next_look_and_telling_it_late_starts_nothing(
    site: Followed, workspace: Follower
) -> None:
    repo = workspace.repo
    sha = repo.push({"main.tf": TF % "lost"}, "The webhook is lost")
    assert site.server.api.post(f"workspaces/{workspace.id}/actions/look-at-repository").status_code == 202
    assert runs_of(workspace, sha) == 1
    tell(site, repo, sha)
    other = repo.push({"main.tf": TF % "not lost"}, "This one is not")
    tell(site, repo, other)
    assert runs_of(workspace, other) == 1
    assert runs_of(workspace, sha) == 1


def test_a_payload_is_not_believed_but_for_the_name_of_its_repository(site: Followed, workspace: Follower) -> None:
    repo = workspace.repo
    before = [each["id"] for each in workspace.changes()]
    looked = site.forge.count(f"/{repo.path}.git/git-upload-pack")
    assert tell(site, repo, "f" * 40).json() == {"followed": 1}
    until(lambda: site.forge.count(f"/{repo.path}.git/git-upload-pack") > looked, "the repository to be looked at")
    sha = repo.push({"main.tf": TF % "true"}, "True")
    tell(site, repo, sha)
    workspace.until_change(sha, "started")
    assert [each["id"] for each in workspace.changes()][1:] == before


def test_what_is_not_signed_with_the_secret_is_refused(site: Followed, workspace: Follower) -> None:
    headers, body = site.forge.signed("push", site.forge.pushed(workspace.repo, "refs/heads/main", "f" * 40), SECRET)
    unsigned = {name: value for name, value in headers.items() if "signature" not in name.lower() and "token" not in name.lower()}
    wrong, _ = site.forge.signed("push", json.loads(body), "another secret")
    for each in (unsigned, wrong):
        answer = post(site, each, body)
        assert answer.status_code == 401, answer.text
        assert answer.json()["errors"][0]["code"] == "bad_signature"
        assert SECRET not in answer.text
    assert post(site, unsigned, b"{").status_code == 401  # before anything is read


def test_a_repository_that_nobody_follows_is_no_news(site: Followed, workspace: Follower) -> None:
    other = site.repository()
    answer = tell(site, other, other.sha())
    assert (answer.status_code, answer.json()) == (202, {"followed": 0})


def test_a_signed_body_that_is_none_is_refused(site: Followed, workspace: Follower) -> None:
    for body in (b"", b"{", b"[]", b'{"repository": 7, "project": 7, "object_kind": "push"}', b"\xff\xfe"):
        headers = signature_of(site, body)
        answer = post(site, headers, body)
        assert answer.status_code in (400, 422), (body, answer.text)
        assert answer.json()["errors"][0]["status"] == str(answer.status_code)


def test_the_largest_payload_is_taken_and_one_byte_more_is_not(site: Followed, workspace: Follower) -> None:
    payload = site.forge.pushed(workspace.repo, "refs/heads/main", workspace.repo.sha())
    short = len(json.dumps({**payload, "padding": ""}).encode())
    headers, body = site.forge.signed("push", {**payload, "padding": "x" * (LARGEST - short)}, SECRET)
    assert len(body) == LARGEST
    answer = post(site, headers, body)
    assert (answer.status_code, answer.json()) == (202, {"followed": 1})
    headers, body = site.forge.signed("push", {**payload, "padding": "x" * (LARGEST - short + 1)}, SECRET)
    assert post(site, headers, body).status_code == 413


def test_what_is_addressed_to_nobody_is_not_found(site: Followed, workspace: Follower) -> None:
    headers, body = site.forge.signed("push", site.forge.pushed(workspace.repo, "refs/heads/main", "f" * 40), SECRET)
    assert post(site, headers, body, "sourcehut").status_code == 404
    assert post(site, headers, body, site.kind.name, "vcs-0000000000000000").status_code == 401
    other = next(name for name in ("github", "gitlab") if name != site.kind.name)
    assert post(site, headers, body, other, site.connection["id"]).status_code == 401


def test_a_connection_has_a_secret_of_its_own_that_can_be_renewed(site: Followed) -> None:
    connection = site.connect()
    secret = connection["attributes"]["webhook-secret"]
    workspace = site.workspace(
        site.repository({"main.tf": TF % "begun"}), connection=connection["id"], auto_apply=True, queue_all_runs=True
    )
    url = where(site, site.kind.name, connection["id"])
    assert "webhook-secret" not in site.server.api.get(f"vcs-connections/{connection['id']}").json()["data"]["attributes"]
    sha = workspace.repo.push({"main.tf": TF % "own"}, "By its own secret")
    assert tell(site, workspace.repo, sha, url=url, secret=SECRET).status_code == 401
    assert tell(site, workspace.repo, sha, url=url, secret=secret).json() == {"followed": 1}
    workspace.until_change(sha, "started")

    renewed = site.server.api.post(f"vcs-connections/{connection['id']}/actions/renew-webhook-secret").json()["data"]["attributes"]
    assert renewed["webhook-secret"] != secret
    assert tell(site, workspace.repo, sha, url=url, secret=secret).status_code == 401
    sha = workspace.repo.push({"main.tf": TF % "renewed"}, "By the new one")
    assert tell(site, workspace.repo, sha, url=url, secret=renewed["webhook-secret"]).json() == {"followed": 1}
    workspace.until_change(sha, "started")


def signature_of(site: Followed, body: bytes) -> dict[str, str]:
    """Headers of a webhook with this body, whatever that is."""
    headers, _ = site.forge.signed("push", {"object_kind": "push"}, SECRET)
    if site.kind.name == "github":
        headers["X-Hub-Signature-256"] = f"sha256={hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()}"
    return dict(headers)
