"""The operations of GitHub's API that `forge_github.py` answers, by method and path."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from tests.support import github_documents as documents
from tests.support.forge import Answer, Asked, Repository, git

if TYPE_CHECKING:
    from tests.support.forge_github import GitHubForge

APP = 12345
INSTALLATION = 112887490
REPO = r"/repos/(?P<repo>[^/]+/[^/]+)"
STATES = {"error", "failure", "pending", "success"}

Route = Callable[["GitHubForge", Asked, "re.Match[str]"], Answer]
ROUTES: list[tuple[str, re.Pattern[str], Route]] = []


def said(message: str, status: int, **headers: str) -> Answer:
    """A refusal as GitHub words it."""
    return Answer.of({"message": message, "documentation_url": "https://docs.github.com/rest"}, status, **headers)


def commit_of(repo: Repository, name: str) -> str | None:
    """The SHA of a branch or commit; `None` when there is none."""
    for each in (f"refs/heads/{name}", name):
        try:
            return git("rev-parse", "--verify", "-q", f"{each}^{{commit}}", cwd=repo.bare)
        except AssertionError:
            continue
    return None


def route(method: str, pattern: str) -> Callable[[Route], Route]:
    """Answers requests for paths below `/api/v3` that match all of the pattern; a repository in it is there."""

    def add(function: Route) -> Route:
        ROUTES.append((method, re.compile(pattern), function))
        return function

    return add


# -- the app


@route("GET", rf"/app/installations/{INSTALLATION}")
def installation(forge: GitHubForge, asked: Asked, found: re.Match[str]) -> Answer:
    return Answer.of(documents.installation(forge, INSTALLATION, APP, "acme", forge.permissions, forge.suspended))


@route("POST", rf"/app/installations/{INSTALLATION}/access_tokens")
def access_tokens(forge: GitHubForge, asked: Asked, found: re.Match[str]) -> Answer:
    if forge.suspended:
        return said("This installation has been suspended", 403)
    token = f"installation-token-{secrets.token_hex(8)}"
    forge.given[token] = ends = datetime.now(UTC) + timedelta(seconds=forge.token_seconds)
    document = {"token": token, "expires_at": documents.timestamp(ends), "permissions": forge.permissions, "repository_selection": "all"}
    return Answer.of(document, 201)


@route("GET", "/installation/repositories")
def of_installation(forge: GitHubForge, asked: Asked, found: re.Match[str]) -> Answer:
    every = [documents.repository(forge, each) for each in forge.repositories.values()]
    return forge.paged(asked, every, lambda items: {"total_count": len(every), "repositories": items})


# -- a person


@route("GET", "/user")
def user(forge: GitHubForge, asked: Asked, found: re.Match[str]) -> Answer:
    name = "private-user-response-with-public-and-private-profile-information"
    answer = Answer.of(documents.example(name, login="alice"))
    if forge.scopes is not None:
        answer.headers["X-OAuth-Scopes"] = forge.scopes
    return answer


@route("GET", "/user/repos")
def of_user(forge: GitHubForge, asked: Asked, found: re.Match[str]) -> Answer:
    return forge.paged(asked, [documents.repository(forge, each) for each in forge.repositories.values()])


# -- a repository


@route("GET", REPO)
def repository(forge: GitHubForge, asked: Asked, found: re.Match[str]) -> Answer:
    document = documents.repository(forge, forge.repo(found), "full-repository-default-response")
    return Answer.of(document)


@route("GET", rf"{REPO}/commits/(?P<ref>.+)")
def commit(forge: GitHubForge, asked: Asked, found: re.Match[str]) -> Answer:
    sha = commit_of(forge.repo(found), found["ref"])
    if sha is None:
        return Answer.of({**_refusal(f"No commit found for SHA: {found['ref']}")}, 422)
    return Answer.of(documents.commit(forge, forge.repo(found), sha))


@route("GET", rf"{REPO}/compare/(?P<base>.+?)\.\.\.(?P<head>.+)")
def compare(forge: GitHubForge, asked: Asked, found: re.Match[str]) -> Answer:
    repo = forge.repo(found)
    base, head = commit_of(repo, found["base"]), commit_of(repo, found["head"])
    if base is None or head is None:
        return said("Not Found", 404)
    document = documents.comparison(forge, repo, base, head, int(asked.one("page", "1")), int(asked.one("per_page", "250")))
    if document is None:
        return said(f"No common ancestor between {found['base']} and {found['head']}.", 404)
    return Answer.of(document)


@route("GET", rf"{REPO}/tarball/(?P<ref>.+)")
def tarball(forge: GitHubForge, asked: Asked, found: re.Match[str]) -> Answer:
    target = f"https://127.0.0.1:{forge.port}/codeload/{found['repo']}/legacy.tar.gz/{found['ref']}?token=one-time"
    return Answer(302, b"", {"Location": target})


@route("POST", rf"{REPO}/statuses/(?P<sha>[0-9a-f]{{40}})")
def statuses(forge: GitHubForge, asked: Asked, found: re.Match[str]) -> Answer:
    repo, document = forge.repo(found), asked.json()
    if commit_of(repo, found["sha"]) is None:
        return Answer.of(_refusal(f"No commit found for SHA: {found['sha']}"), 422)
    if document["state"] not in STATES or len(document.get("description") or "") > 140:
        return Answer.of(_refusal("Validation Failed"), 422)
    values = (found["sha"], document["context"], document["state"], document["description"], document["target_url"])
    repo.statuses.append(values)
    return Answer.of(documents.status(forge, repo, values), 201)


def _refusal(message: str) -> dict[str, Any]:
    return {"message": message, "documentation_url": "https://docs.github.com/rest", "errors": []}


# -- pull requests


@route("GET", rf"{REPO}/pulls")
def pulls(forge: GitHubForge, asked: Asked, found: re.Match[str]) -> Answer:
    assert asked.one("state") == "open", "the others are many"
    mine = [each for each in forge.pulls if each.open and each.repo == found["repo"]]
    if asked.one("sort", "created") == "updated":
        mine.sort(key=forge.updated)
    if asked.one("direction", "desc") == "desc":
        mine.reverse()
    return forge.paged(asked, mine, lambda items: [forge.pull_document(each) for each in items])


@route("POST", rf"{REPO}/issues/(?P<number>\d+)/comments")
def write(forge: GitHubForge, asked: Asked, found: re.Match[str]) -> Answer:
    pull = forge.pull(found["repo"], int(found["number"]))
    if pull is None:
        return said("Not Found", 404)
    if len(asked.json()["body"]) > 65_536:
        return Answer.of(_refusal("Validation Failed"), 422)
    number = next(forge.comment_ids)
    pull.comments[number] = asked.json()["body"]
    return Answer.of(documents.comment(forge, pull, number, pull.comments[number]), 201)


@route("PATCH", rf"{REPO}/issues/comments/(?P<number>\d+)")
def rewrite(forge: GitHubForge, asked: Asked, found: re.Match[str]) -> Answer:
    number = int(found["number"])
    pull = next((each for each in forge.pulls if number in each.comments), None)
    if pull is None:
        return said("Not Found", 404)
    pull.comments[number] = asked.json()["body"]
    return Answer.of(documents.comment(forge, pull, number, pull.comments[number]))
