"""What GitHub sends of its own accord: the payloads that it publishes as examples, and what others may send."""

from __future__ import annotations

import functools
import hashlib
import hmac
import json
from typing import Any
from urllib.parse import urlencode

import pytest

from terrapod_core.plugin import BadSignature, Repo, Unreadable, VCSEvent
from terrapod_vcs_github.provider import GitHub
from tests.support.forge_github import SECRET, GitHubForge
from tests.support.npm import node_for

EVENTS = ["push", "create", "delete", "pull_request", "repository"]


@functools.cache
def examples() -> dict[str, list[dict[str, Any]]]:
    """By event, of github.com and of a GitHub Enterprise Server."""
    _, folder = node_for("github")
    found: dict[str, list[dict[str, Any]]] = {}
    for edition in ("api.github.com", "ghes-35"):
        listed = json.loads((folder / "node_modules/@octokit/webhooks-examples" / edition / "index.json").read_text())
        for each in listed:
            found.setdefault(each["name"], []).extend(each["examples"])
    return found


def parsed(github: GitHub, forge: GitHubForge, event: str, payload: object) -> VCSEvent | None:
    return github.parse_webhook(*forge.signed(event, payload), SECRET)


@pytest.mark.parametrize("event", EVENTS)
def test_published_examples_name_their_repositories(forge: GitHubForge, github: GitHub, event: str) -> None:
    told = [(parsed(github, forge, event, each), each["repository"]["full_name"]) for each in examples()[event]]
    assert any(found is not None for found, _ in told)
    assert all(found is None or found.repo == Repo(name) for found, name in told)


def test_published_examples_of_other_events_mean_nothing(forge: GitHubForge, github: GitHub) -> None:
    others = {event: payloads for event, payloads in examples().items() if event not in EVENTS}
    assert len(others) > 20
    assert [event for event, payloads in others.items() if any(parsed(github, forge, event, each) for each in payloads)] == []


def test_events_name_the_ref_and_the_commit(forge: GitHubForge, github: GitHub) -> None:
    repository = {"repository": {"full_name": "acme/pets"}}
    pets, sha, nothing = Repo("acme/pets"), "a" * 40, "0" * 40
    pull = {"pull_request": {"number": 7, "head": {"sha": sha}}}
    told = {
        "pushed": parsed(github, forge, "push", {**repository, "ref": "refs/heads/main", "after": sha}),
        "gone": parsed(github, forge, "push", {**repository, "ref": "refs/tags/v1", "after": nothing}),
        "made": parsed(github, forge, "create", {**repository, "ref": "v1", "ref_type": "tag"}),
        "begun": parsed(github, forge, "create", {**repository, "ref": None, "ref_type": "repository"}),
        "deleted": parsed(github, forge, "delete", {**repository, "ref": "a/b", "ref_type": "branch"}),
        "opened": parsed(github, forge, "pull_request", {**repository, **pull, "action": "opened"}),
        "labeled": parsed(github, forge, "pull_request", {**repository, **pull, "action": "labeled"}),
        "renamed": parsed(github, forge, "repository", {**repository, "action": "renamed"}),
        "starred": parsed(github, forge, "repository", {**repository, "action": "created"}),
    }
    assert told == {
        "pushed": VCSEvent(pets, "refs/heads/main", sha),
        "gone": VCSEvent(pets, "refs/tags/v1", ""),
        "made": VCSEvent(pets, "refs/tags/v1", ""),
        "begun": VCSEvent(pets, "", ""),
        "deleted": VCSEvent(pets, "refs/heads/a/b", ""),
        "opened": VCSEvent(pets, "refs/pull/7/head", sha),
        "labeled": None,
        "renamed": VCSEvent(pets, "", ""),
        "starred": None,
    }


def test_the_github_of_the_tests_tells_of_a_pull_request(forge: GitHubForge, github: GitHub) -> None:
    head = forge.repository("acme/pets").push({"a.tf": ""}, "Grow", "grow")
    pull = forge.open_pull("acme/pets", "grow")
    assert parsed(github, forge, "pull_request", forge.pulled(pull, "opened")) == VCSEvent(Repo("acme/pets"), "refs/pull/1/head", head)


def test_a_webhook_may_come_as_a_form(github: GitHub) -> None:
    body = urlencode({"payload": json.dumps({"ref": "refs/heads/main", "repository": {"full_name": "acme/pets"}})}).encode()
    headers = {
        "X-GitHub-Event": "push",
        "Content-Type": "application/x-www-form-urlencoded",
        "X-Hub-Signature-256": f"sha256={hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()}",
    }
    assert github.parse_webhook(headers, body, SECRET) == VCSEvent(Repo("acme/pets"), "refs/heads/main")


@pytest.mark.parametrize(
    "signature",
    [
        None,
        "",
        "sha256=",
        "sha256=ü",
        f"sha256={'0' * 64}",
        "sha1={sha1}",
        "{sha256}",
        "SHA256={sha256}",
        "sha256={other}",
        "sha256={body}",
    ],
)
def test_what_is_not_signed_with_the_secret_is_refused(forge: GitHubForge, github: GitHub, signature: str | None) -> None:
    headers, body = forge.signed("push", {"repository": {"full_name": "acme/pets"}})
    words = {
        "sha1": hmac.new(SECRET.encode(), body, hashlib.sha1).hexdigest(),
        "sha256": hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest(),
        "other": hmac.new(b"another", body, hashlib.sha256).hexdigest(),
        "body": hmac.new(SECRET.encode(), body + b" ", hashlib.sha256).hexdigest(),
    }
    del headers["X-Hub-Signature-256"]
    given = {} if signature is None else {"X-Hub-Signature-256": signature.format(**words)}
    with pytest.raises(BadSignature, match="X-Hub-Signature-256"):
        github.parse_webhook({**headers, **given}, body, SECRET)


def test_without_a_secret_nothing_is_taken(forge: GitHubForge, github: GitHub) -> None:
    with pytest.raises(BadSignature):
        github.parse_webhook(*forge.signed("push", {"repository": {"full_name": "acme/pets"}}, ""), "")


@pytest.mark.parametrize("payload", [[], "text", {}, {"repository": None}, {"repository": {"full_name": 7}}, {"repository": {}, "ref": []}])
def test_a_signed_body_that_is_none_is_unreadable(forge: GitHubForge, github: GitHub, payload: object) -> None:
    with pytest.raises(Unreadable, match="push"):
        parsed(github, forge, "push", payload)


@pytest.mark.parametrize("kind", ["application/json", "application/x-www-form-urlencoded"])
@pytest.mark.parametrize("body", [b"", b"\xff", b"[" * 100_000, b"payload=%ff", b"&" * 100])
def test_a_signed_body_of_garbage_is_unreadable(github: GitHub, body: bytes, kind: str) -> None:
    headers = {
        "X-GitHub-Event": "push",
        "Content-Type": kind,
        "X-Hub-Signature-256": f"sha256={hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()}",
    }
    with pytest.raises(Unreadable):
        github.parse_webhook(headers, body, SECRET)
