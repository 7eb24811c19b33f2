"""What GitHub's API answers, made of the examples that GitHub publishes with its OpenAPI, with our values in them."""

from __future__ import annotations

import copy
import functools
import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from tests.support import ROOT
from tests.support.forge import Forge, Pull, Repository, git

SPEC = ROOT / "tests/peers/github/openapi.json"
SEPARATOR = "\x1f"

JSON = dict[str, Any]


@functools.cache
def _examples() -> JSON:
    document: JSON = json.loads(SPEC.read_text())["components"]["examples"]
    return document


def example(name: str, /, **values: Any) -> JSON:
    """A published example, with these values in place of its own; the first one of a list."""
    value = copy.deepcopy(_examples()[name]["value"])
    return {**(value[0] if isinstance(value, list) else value), **values}


def timestamp(at: datetime | None = None) -> str:
    """As GitHub writes a moment; now without one."""
    return (at or datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%SZ")


def user(forge: Forge, login: str, kind: str = "User") -> JSON:
    """An account."""
    example_user: JSON = copy.deepcopy(_examples()["status"]["value"]["creator"])
    page = f"{forge.url}/{quote(login)}"
    return {**example_user, "login": login, "html_url": page, "avatar_url": f"{page}.png", "type": kind}


def repository(forge: Forge, repo: Repository, name: str = "repository-items-default-response") -> JSON:
    """A repository as lists have it, or as `name` says."""
    owner, _, short = repo.path.partition("/")
    document = example(
        name,
        name=short,
        full_name=repo.path,
        owner=user(forge, owner, "Organization"),
        private=repo.private,
        html_url=f"{forge.url}/{repo.path}",
        url=f"{forge.url}/api/v3/repos/{repo.path}",
        clone_url=repo.url,
        default_branch="main",
        language=None,
    )
    for relative in ("parent", "source", "template_repository", "organization"):
        document.pop(relative, None)
    return document


def pull(forge: Forge, pull: Pull) -> JSON:
    """A pull request of a list."""
    document = example("pull-request-simple-items")
    page = f"{forge.url}/{pull.repo}/pull/{pull.number}"
    head = _end(forge, document["head"], pull.head_repo, pull.head_branch, forge.head_of(pull))
    base = _end(forge, document["base"], pull.repo, pull.base_branch, forge.repositories[pull.repo].sha(f"refs/heads/{pull.base_branch}"))
    author = user(forge, "alice")
    words = {"number": pull.number, "title": pull.title, "body": pull.body or None, "state": "open" if pull.open else "closed"}
    return {**document, **words, "html_url": page, "user": author, "head": head, "base": base, "requested_teams": []}


def _end(forge: Forge, document: JSON, path: str, branch: str, sha: str) -> JSON:
    known = forge.repositories.get(path)
    owner = path.partition("/")[0]
    repo = None if known is None else {**document["repo"], **repository(forge, known)}
    return {**document, "label": f"{owner}:{branch}", "ref": branch, "sha": sha, "repo": repo, "user": user(forge, owner)}


def commit(forge: Forge, repo: Repository, sha: str) -> JSON:
    """A commit with its files."""
    shown = git("show", "-s", f"--format=%H{SEPARATOR}%P{SEPARATOR}%an{SEPARATOR}%ae{SEPARATOR}%B", sha, cwd=repo.bare)
    whole, parents, name, email, message = shown.split(SEPARATOR)
    document = example("commit", sha=whole, html_url=f"{forge.url}/{repo.path}/commit/{whole}", author=user(forge, "alice"))
    signature = {"name": name, "email": email, "date": timestamp()}
    document["commit"].update(message=message, author=signature, committer=signature)
    document["parents"] = [
        {"sha": each, "url": f"{forge.url}/api/v3/repos/{repo.path}/commits/{each}", "html_url": f"{forge.url}/{repo.path}/commit/{each}"}
        for each in parents.split()
    ]
    before = parents.split()[0] if parents else "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
    document["files"] = files(repo, before, whole)
    return document


def files(repo: Repository, base: str, head: str) -> list[JSON]:
    """What differs between two commits."""
    words = git("diff", "--name-status", "-M", "-z", base, head, cwd=repo.bare).split("\0")
    kinds = {"A": "added", "M": "modified", "D": "removed", "R": "renamed", "T": "changed"}
    found = []
    at = 0
    while at < len(words) and words[at]:
        kind = kinds[words[at][0]]
        sample: JSON = copy.deepcopy(_examples()["commit"]["value"]["files"][0])
        if kind == "renamed":
            sample["previous_filename"] = words[at + 1]
            at += 1
        found.append({**sample, "filename": words[at + 1], "status": kind})
        at += 2
    return found


def comparison(forge: Forge, repo: Repository, base: str, head: str, page: int, per_page: int) -> JSON | None:
    """Of three dots; `None` without a common ancestor. Files are on the first page, at most 300."""
    try:
        ancestor = git("merge-base", base, head, cwd=repo.bare)
    except AssertionError:
        return None
    between = git("rev-list", "--reverse", f"{ancestor}..{head}", cwd=repo.bare).split()
    behind = git("rev-list", f"{head}..{base}", cwd=repo.bare).split()
    status = {(False, False): "identical", (True, False): "ahead", (False, True): "behind", (True, True): "diverged"}
    document = example(
        "commit-comparison",
        base_commit=commit(forge, repo, base),
        merge_base_commit=commit(forge, repo, ancestor),
        status=status[bool(between), bool(behind)],
        ahead_by=len(between),
        behind_by=len(behind),
        total_commits=len(between),
        commits=[commit(forge, repo, each) for each in between[(page - 1) * per_page : page * per_page]],
    )
    document["files"] = files(repo, ancestor, head)[:300] if page == 1 else []
    return document


def status(forge: Forge, repo: Repository, values: tuple[str, str, str, str, str]) -> JSON:
    """A status that was set."""
    sha, context, state, description, target = values
    url = f"{forge.url}/api/v3/repos/{repo.path}/statuses/{sha}"
    return example("status", url=url, context=context, state=state, description=description, target_url=target)


def comment(forge: Forge, pull: Pull, number: int, body: str) -> JSON:
    """A comment below a pull request."""
    page = f"{forge.url}/{pull.repo}/pull/{pull.number}#issuecomment-{number}"
    return example("issue-comment", id=number, body=body, html_url=page, user=user(forge, "terrapod[bot]", "Bot"))


def installation(forge: Forge, number: int, app: int, login: str, permissions: dict[str, str], suspended: bool) -> JSON:
    """An app's installation."""
    return example(
        "base-installation",
        id=number,
        app_id=app,
        app_slug="terrapod",
        account=user(forge, login, "Organization"),
        target_type="Organization",
        html_url=f"{forge.url}/organizations/{login}/settings/installations/{number}",
        permissions=permissions,
        suspended_at=timestamp() if suspended else None,
    )
