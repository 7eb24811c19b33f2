from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets

import pytest

from terrapod_core.plugin import BadSignature, Repo, Unreadable, VCSEvent
from terrapod_vcs_gitlab.provider import GitLab
from tests.support.forge import Repository
from tests.support.forge_gitlab import GitLabForge

SECRET = "the secret tökén"
SIGNED = {"X-Gitlab-Event": "Push Hook", "X-Gitlab-Token": SECRET}
NETWORK = Repo("acme/platform/network")


def test_pushes_tags_and_merge_requests_name_their_project(provider: GitLab, forge: GitLabForge, repo: Repository) -> None:
    sha = repo.push({"new.tf": ""}, branch="feature/ü")
    repo.tag("v1.0.0", sha="main")
    pull = forge.open_pull(repo.path, "feature/ü")
    told = [
        forge.pushed(repo, "refs/heads/feature/ü", sha),
        forge.pushed(repo, "refs/tags/v1.0.0", repo.sha()),
        forge.pushed(repo, "refs/heads/deleted", ""),
        forge.merge_requested(pull),
    ]
    assert [provider.parse_webhook(*forge.signed("push", each, SECRET), SECRET) for each in told] == [
        VCSEvent(NETWORK, "refs/heads/feature/ü", sha),
        VCSEvent(NETWORK, "refs/tags/v1.0.0", repo.sha()),
        VCSEvent(NETWORK, "refs/heads/deleted", ""),
        VCSEvent(NETWORK, "", sha),
    ]


def test_one_from_a_fork_names_the_project_that_it_is_for(provider: GitLab, forge: GitLabForge, repo: Repository) -> None:
    fork = forge.fork(repo.path, "mallory/network")
    fork.push({"new.tf": ""}, branch="feature")
    pull = forge.open_pull(repo.path, "feature", head_repo=fork.path)
    event = provider.parse_webhook(*forge.signed("merge_request", forge.merge_requested(pull), SECRET), SECRET)
    assert event is not None
    assert event.repo == NETWORK


def test_the_hook_of_a_whole_gitlab_is_understood(provider: GitLab) -> None:
    project = {"path_with_namespace": "acme/platform/network", "id": 1}
    body = json.dumps({"event_name": "push", "ref": "refs/heads/main", "after": "a" * 40, "project": project}).encode()
    event = provider.parse_webhook({**SIGNED, "X-Gitlab-Event": "System Hook"}, body, SECRET)
    assert event == VCSEvent(NETWORK, "refs/heads/main", "a" * 40)


@pytest.mark.parametrize(
    "document", [{"object_kind": "note"}, {"event_name": "project_create", "path": "x"}, {"object_kind": "pipeline"}, {}]
)
def test_what_is_about_no_code_is_nothing(provider: GitLab, document: dict[str, str]) -> None:
    assert provider.parse_webhook(SIGNED, json.dumps(document).encode(), SECRET) is None


@pytest.mark.parametrize("token", ["", "another", SECRET[:-1], f"{SECRET}x", "\udc80", None])
def test_nothing_is_read_before_the_token_is_right(provider: GitLab, token: str | None) -> None:
    headers = {"X-Gitlab-Event": "Push Hook"} | ({} if token is None else {"X-Gitlab-Token": token})
    with pytest.raises(BadSignature, match="X-Gitlab-Token") as refused:
        provider.parse_webhook(headers, b"no json", SECRET)
    assert SECRET not in str(refused.value)
    with pytest.raises(BadSignature):
        provider.parse_webhook({"X-Gitlab-Token": ""}, b"{}", "")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no json",
        b"[]",
        b'{"object_kind": "push"}',
        b'{"object_kind": "push", "project": {"path_with_namespace": 7}}',
        b'{"object_kind": "push", "project": {"path_with_namespace": "../../etc"}}',
        b'{"object_kind": "push", "project": {"path_with_namespace": "alone"}}',
        b'{"object_kind": "\xff"}',
        b"[" * 100_000,
    ],
)
def test_a_signed_body_that_is_none_is_refused_in_words(provider: GitLab, body: bytes) -> None:
    with pytest.raises(Unreadable, match=" "):
        provider.parse_webhook(SIGNED, body, SECRET)


def test_a_signing_token_signs_the_body(provider: GitLab, forge: GitLabForge, repo: Repository) -> None:
    """As standardwebhooks.com has it, which GitLab follows."""
    key = secrets.token_bytes(32)
    token = f"whsec_{base64.b64encode(key).decode()}"
    body = forge.signed("push", forge.pushed(repo, "refs/heads/main", repo.sha()))[1]
    digest = base64.b64encode(hmac.digest(key, b"f5e5f430.1753257600." + body, hashlib.sha256)).decode()
    headers = {"webhook-id": "f5e5f430", "webhook-timestamp": "1753257600", "webhook-signature": f"v1,{digest}"}
    right = VCSEvent(NETWORK, "refs/heads/main", repo.sha())
    assert provider.parse_webhook(headers, body, token) == right
    assert provider.parse_webhook({"X-Gitlab-Token": token}, body, token) == right, "of a GitLab that signs nothing"
    assert provider.parse_webhook({**headers, "webhook-signature": f"v1,AAAA v1a,{digest} v1,{digest}"}, body, token) == right
    another = f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}"
    for said, content, secret in (
        (headers, body + b" ", token),
        ({**headers, "webhook-id": "f5e5f431"}, body, token),
        ({**headers, "webhook-timestamp": "1753257601"}, body, token),
        ({**headers, "webhook-signature": f"v2,{digest}"}, body, token),
        ({**headers, "webhook-signature": "v1,ü"}, body, token),
        ({**headers, "X-Gitlab-Token": another}, body, another),
        (headers, body, "whsec_no base64"),
        (headers, body, SECRET),
    ):
        with pytest.raises(BadSignature):
            provider.parse_webhook(said, content, secret)
