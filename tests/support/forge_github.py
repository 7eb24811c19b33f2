"""The GitHub of the tests: its API, as much of it as a VCS plugin asks, over the repositories of a `Forge`.

It answers below `/api/v3`, as GitHub Enterprise does, and sends archives from another origin, as codeload.github.com is one. Its documents
are those of `github_documents.py`; `checked_by` lets Prism hold every request and answer against GitHub's OpenAPI.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import itertools
import json
import re
import secrets
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.support import github_documents as documents
from tests.support.forge import Answer, Asked, Forge, Pull, Repository
from tests.support.github_routes import APP, INSTALLATION, ROUTES, commit_of, said

SECRET = "webhook-secret-of-the-forge"
API = "/api/v3"
BEHIND_PRISM = "/unchecked"


@functools.cache
def new_key() -> rsa.RSAPrivateKey:
    """The app's key; making one takes a while."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def pem(key: rsa.RSAPrivateKey) -> str:
    """As GitHub gives it for download."""
    kind = serialization.PrivateFormat.TraditionalOpenSSL
    return key.private_bytes(serialization.Encoding.PEM, kind, serialization.NoEncryption()).decode()


class GitHubForge(Forge):
    """`forge-token` is somebody's personal token; the app has a key, an installation and tokens that end."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.key = new_key()
        self.permissions = {"metadata": "read", "contents": "read", "pull_requests": "write", "statuses": "write"}
        self.suspended = False
        self.scopes: str | None = None
        """What the personal token may, as `X-OAuth-Scopes` says; `None` for a fine-grained one."""
        self.token_seconds = 3600
        self.given: dict[str, datetime] = {}
        """Installation tokens, and when they end."""
        self.remaining = 5000
        self.reset_at = datetime.now(UTC) + timedelta(hours=1)
        self.comment_ids = itertools.count(7_000_000_001)
        self.renamed: dict[str, str] = {}
        self._steps = itertools.count()
        self._documents: dict[int, tuple[int, dict[str, Any]]] = {}
        self._changes: dict[int, tuple[object, int]] = {}
        self.prism: str | None = None
        self.violations: list[str] = []

    # -- for those who connect

    @property
    def app_values(self) -> dict[str, str]:
        """The fields of a connection with the app."""
        return {
            "github-app-id": str(APP),
            "github-installation-id": str(INSTALLATION),
            "github-account-login": "acme",
            "github-account-type": "Organization",
            "private-key": pem(self.key),
        }

    def rename(self, repo: Repository, path: str) -> None:
        """Call a repository otherwise; its former name leads to it."""
        self.renamed[repo.path] = path
        del self.repositories[repo.path]
        target = self.root / f"{path}.git"
        target.parent.mkdir(parents=True, exist_ok=True)
        repo.bare.rename(target)
        repo.path, repo.bare = path, target
        repo.git("remote", "set-url", "origin", repo.url)
        self.repositories[path] = repo

    def revoke_tokens(self) -> None:
        """Take all tokens of the installation away."""
        self.given.clear()

    def ask(self, method: str, path: str, document: object = None) -> httpx.Response:
        """Ask the API as a person's program does."""
        tls = ssl.create_default_context(cafile=self.ca_file)
        headers = {"Authorization": "Bearer forge-token"}
        return httpx.request(method, f"{self.url}{API}{path}", json=document, headers=headers, verify=tls)

    # -- webhooks

    def signed(self, event: str, payload: object, secret: str = SECRET) -> tuple[dict[str, str], bytes]:
        """Headers and body of a webhook."""
        body = json.dumps(payload).encode()
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "GitHub-Hookshot/044aadd",
            "X-GitHub-Delivery": secrets.token_hex(16),
            "X-GitHub-Event": event,
            "X-Hub-Signature-256": f"sha256={hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}",
        }
        return headers, body

    def pushed(self, repo: Repository, ref: str, sha: str) -> dict[str, Any]:
        """The payload of `push`."""
        return {"ref": ref, "before": "0" * 40, "after": sha, "repository": documents.repository(self, repo), "commits": []}

    def pulled(self, pull: Pull, action: str) -> dict[str, Any]:
        """The payload of `pull_request`: `opened`, `synchronize`, `closed`."""
        repository = documents.repository(self, self.repositories[pull.repo])
        return {"action": action, "number": pull.number, "pull_request": self.pull_document(pull), "repository": repository}

    def deliver(self, event: str, payload: object, url: str, secret: str = SECRET, verify: Any = True) -> httpx.Response:
        """Send a webhook."""
        headers, body = self.signed(event, payload, secret)
        return httpx.post(url, headers=headers, content=body, verify=verify)

    # -- answering

    @contextmanager
    def checked_by(self, prism: str) -> Iterator[None]:
        """In this block, requests to the API go through Prism at this URL and come back below `/unchecked`."""
        self.prism = prism
        try:
            yield
        finally:
            self.prism = None

    def admits(self, token: str | None) -> bool:
        ends = self.given.get(token or "")
        return super().admits(token) or (ends is not None and datetime.now(UTC) < ends)

    def api(self, asked: Asked) -> Answer:
        if asked.path.startswith("/codeload/"):
            return self._codeload(asked)
        if self.prism is not None and asked.path.startswith(API) and "/tarball/" not in asked.path:  # Prism would follow it
            return self._through_prism(asked, self.prism)
        path = asked.path.removeprefix(BEHIND_PRISM).removeprefix(API)
        if path.startswith("/app/"):
            if not self._is_app(asked.token):
                return said("A JSON web token could not be decoded", 401)
        elif not self.admits(asked.token):
            return said("Bad credentials", 401)
        if self.remaining <= 0:
            return said("API rate limit exceeded for installation.", 403)
        moved = self._moved(path)
        if moved is not None and asked.method == "GET":
            return said("Moved Permanently", 301, Location=f"{self.url}{API}{moved}?{urlsplit(asked.target).query}")
        for method, pattern, function in ROUTES:
            found = pattern.fullmatch(path)
            if found and method == asked.method:
                known = found.groupdict().get("repo")
                return said("Not Found", 404) if known and known not in self.repositories else function(self, asked, found)
        return said("Not Found", 404)

    def paged(self, asked: Asked, items: list[Any], wrapped: Callable[[list[Any]], object] = lambda items: items) -> Answer:
        """A page of a list, and a `Link` to the next one."""
        per_page, page = int(asked.one("per_page", "30")), int(asked.one("page", "1"))
        answer = Answer.of(wrapped(items[(page - 1) * per_page : page * per_page]))
        if page * per_page < len(items):
            query = "&".join(f"{name}={values[0]}" for name, values in asked.query.items() if name != "page")
            target = f"{self.url}{API}{asked.path.removeprefix(BEHIND_PRISM).removeprefix(API)}"
            answer.headers["Link"] = f'<{target}?{query}&page={page + 1}>; rel="next"'
        return answer

    def repo(self, found: re.Match[str]) -> Repository:
        return self.repositories[found["repo"]]

    def pull(self, path: str, number: int) -> Pull | None:
        return next((each for each in self.pulls if (each.repo, each.number) == (path, number)), None)

    def updated(self, pull: Pull) -> int:
        """When a pull request was changed last, as one of a row of numbers."""
        head = self.repositories[pull.head_repo].sha(f"refs/heads/{pull.head_branch}") if pull.open else ""
        now = (head, pull.title, pull.body, pull.base_branch, pull.open, tuple(pull.comments.items()))
        before = self._changes.get(pull.number)
        if before is None or before[0] != now:
            self._changes[pull.number] = before = (now, next(self._steps))
        return before[1]

    def pull_document(self, pull: Pull) -> dict[str, Any]:
        """As lists have it; made anew when it was changed, as that costs several calls of git."""
        now = self.updated(pull)
        if self._documents.get(pull.number, (-1, {}))[0] != now:
            self._documents[pull.number] = now, documents.pull(self, pull)
        return self._documents[pull.number][1]

    def _moved(self, path: str) -> str | None:
        found = re.match(r"/repos/([^/]+/[^/]+)(.*)", path)
        new = self.renamed.get(found[1]) if found else None
        return f"/repos/{new}{found[2]}" if found and new else None

    def _is_app(self, token: str | None) -> bool:
        try:
            claims = jwt.decode(token or "", self.key.public_key(), algorithms=["RS256"], issuer=str(APP), leeway=0)
        except jwt.InvalidTokenError:
            return False
        return int(claims["exp"]) - int(claims["iat"]) <= 600

    def _conditional(self, asked: Asked, answer: Answer) -> Answer:
        if not asked.path.startswith((API, BEHIND_PRISM)) or "SL-Checked" in answer.headers:
            return answer
        answer = super()._conditional(asked, answer)
        if answer.status != 304:
            self.remaining = max(0, self.remaining - 1)
        limits = {
            "X-RateLimit-Limit": "5000",
            "X-RateLimit-Remaining": str(self.remaining),
            "X-RateLimit-Reset": str(int(self.reset_at.timestamp())),
        }
        return Answer(answer.status, answer.body, {**limits, **answer.headers}, answer.stream)

    def _codeload(self, asked: Asked) -> Answer:
        _, _, owner, name, _, ref = asked.path.split("/", 5)
        repo = self.repositories.get(f"{owner}/{name}")
        sha = None if repo is None else commit_of(repo, ref)
        if repo is None or sha is None or asked.one("token") != "one-time":
            return Answer(404, b"404: Not Found", {"Content-Type": "text/plain"})
        return self.archive(repo, sha, f"{owner}-{name}-{sha[:7]}")

    def _git(self, asked: Asked, path: str, query: str) -> Answer:
        before, _, after = path.partition(".git/")
        new = self.renamed.get(before.strip("/"))
        if new is not None and self.admits(asked.token):
            return Answer(301, b"", {"Location": f"{self.url}/{new}.git/{after}" + (f"?{query}" if query else "")})
        return super()._git(asked, path, query)

    def _through_prism(self, asked: Asked, prism: str) -> Answer:
        """The answer that comes back from behind Prism, its complaints kept."""
        target = asked.target.removeprefix(API)
        kept = {name: value for name, value in asked.headers.items() if name not in ("host", "content-length", "connection")}
        answer = httpx.request(asked.method, f"{prism}{target}", headers=kept, content=asked.body or None, timeout=60)
        self.violations += violations_of(f"{asked.method} {target} {answer.status_code}", answer)
        dropped = {"content-length", "transfer-encoding", "connection", "keep-alive", "sl-violations", "date", "server", "content-encoding"}
        headers = {name: value for name, value in answer.headers.items() if name not in dropped}
        return Answer(answer.status_code, answer.content, {**headers, "SL-Checked": "yes"})


def violations_of(what: str, answer: httpx.Response) -> list[str]:
    """What Prism holds against a request or its answer; that the description lacks a refusal's status is no fault of ours."""
    if answer.headers.get("content-type") == "application/problem+json":
        return [f"{what}: {answer.text[:1000]}"]
    listed = answer.headers.get("sl-violations", "[]")
    if not listed.startswith("["):  # "Too many violations!", and as much as fits
        return [f"{what}: {listed[:1000]}"]
    found: list[Mapping[str, Any]] = json.loads(listed)
    return [
        f"{what}: {each}"
        for each in found
        if not (answer.status_code >= 400 and str(each.get("message", "")).startswith("Unable to match the returned status code"))
    ]
