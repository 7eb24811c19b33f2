"""As much of Gitea as `contrib/terrapod-vcs-gitea` asks: API v1 as its Swagger document has it, over real repositories."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from typing import Any, Final

from tests.support.forge import Answer, Asked, Forge, Repository, git

STATES: Final = ("pending", "success", "error", "failure", "warning")


class GiteaForge(Forge):
    """A Gitea server."""

    def api(self, asked: Asked) -> Answer:
        """What API v1 answers; whoever may clone may read."""
        if not asked.path.startswith("/api/v1/"):
            return Answer(404, b"<h1>no such page</h1>")
        if not self.admits(asked.token):
            return Answer.of({"message": "invalid username, password or token"}, 401)
        path = asked.path.removeprefix("/api/v1")
        if path == "/user":
            return Answer.of({"id": 1, "login": "ci"})
        found = re.fullmatch(r"/repos/([^/]+/[^/]+)(?:/(.+))?", path)
        repo = self.repositories.get(found[1]) if found is not None else None
        if found is None or repo is None:
            return Answer.of({"message": "The target couldn't be found."}, 404)
        return self._of_repository(repo, asked, found[2] or "")

    def webhook(self, event: str, path: str, secret: str) -> tuple[Mapping[str, str], bytes]:
        """A signed webhook about a push to `main`, or about something else in the repository."""
        sha = self.repositories[path].sha()
        push = {"ref": "refs/heads/main", "after": sha} if event == "push" else {"action": "created"}
        body = json.dumps({**push, "repository": {"full_name": path}}).encode()
        return {"X-Gitea-Event": event, "X-Gitea-Signature": hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}, body

    def _of_repository(self, repo: Repository, asked: Asked, rest: str) -> Answer:
        kind, _, name = rest.rpartition("/")
        sha = name.removesuffix(".tar.gz")
        if not rest:
            return Answer.of(self._described(repo))
        if git("cat-file", "--batch-check", cwd=repo.bare, data=sha.encode()).split()[1] != "commit":
            return Answer.of({"message": "object does not exist"}, 404)
        if kind == "git/commits":
            return Answer.of(self._commit(repo, sha))
        if kind == "archive":
            return self.archive(repo, sha, repo.path.rpartition("/")[2])
        if kind == "statuses" and asked.method == "POST":
            status = asked.json()
            if status["state"] not in STATES:
                return Answer.of({"message": "no such state"}, 422)
            repo.statuses.append((sha, status["context"], status["state"], status["description"], status["target_url"]))
            return Answer.of({"id": len(repo.statuses), **status}, 201)
        return Answer.of({"message": "no such route"}, 404)

    def _described(self, repo: Repository) -> dict[str, Any]:
        head = git("symbolic-ref", "--short", "HEAD", cwd=repo.bare)
        page = f"{self.url}/{repo.path}"
        return {"full_name": repo.path, "default_branch": head, "html_url": page, "clone_url": f"{page}.git", "private": repo.private}

    def _commit(self, repo: Repository, sha: str) -> dict[str, Any]:
        author, email, message = git("show", "-s", "--format=%an%x00%ae%x00%B", sha, cwd=repo.bare).split("\0")
        return {
            "sha": sha,
            "html_url": f"{self.url}/{repo.path}/commit/{sha}",
            "commit": {"message": f"{message}\n", "author": {"name": author, "email": email}},
            "author": None,
        }
