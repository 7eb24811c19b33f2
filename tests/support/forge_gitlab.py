"""A GitLab: the part of its REST API that is asked for, over real repositories. `forge.py` has git's door and the knobs.

Paths, parameters, statuses and texts are those of docs.gitlab.com ("REST API resources"), and what it does with a commit's status, a quick
action and a moved project is what GitLab does. python-gitlab is asked in `test_gitlab_double.py` whether it takes this for one.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlencode

import httpx

from tests.support.forge import Answer, Asked, Forge, Pull, Repository, git
from tests.support.gitlab_jobs import Job, moved_on
from tests.support.gitlab_webhooks import EVENTS, merge_requested, pushed

SECRET: Final = "webhook-secret-of-the-forge"
BOT: Final = "terrapod-bot"
PUSHER: Final = "alice"

Route = tuple[str, re.Pattern[str], Callable[..., Answer]]


@dataclass(frozen=True)
class Refused(Exception):
    """What is answered instead."""

    status: int
    message: str


class GitLabForge(Forge):
    """A GitLab at `prefix` of its host; empty for the whole of it."""

    def __init__(self, root: Path, prefix: str = "") -> None:
        super().__init__(root)
        self.prefix = prefix
        self.scopes: list[str] = ["api"]
        """Of every token."""
        self.expires_at: str | None = "2027-11-30"
        self.users: dict[str, str] = {}
        """Whose a token is, when it is not the bot's."""
        self.former: dict[str, str] = {}
        """Where a project is that was moved, by the path that it had."""
        self.jobs: dict[str, list[Job]] = {}
        """What was told of commits, by project; `Repository.statuses` has all that was accepted."""
        self.authors: dict[int, str] = {}
        """Who wrote a note."""
        self.without_merge_requests: set[str] = set()
        """Projects that have them switched off."""
        self._numbers: dict[Repository, int] = {}
        self._ids = itertools.count(1001)
        self._routes = self._made_routes()

    @property
    def url(self) -> str:
        return f"{super().url}{self.prefix}"

    @property
    def api_path(self) -> str:
        """For `count` and `twisted`."""
        return f"{self.prefix}/api/v4"

    def pull_ref(self, pull: Pull) -> str:
        return f"refs/merge-requests/{pull.number}/head"

    # -- what people do

    def number(self, repo: Repository) -> int:
        """A project's, the same whatever it is called."""
        for each in self.repositories.values():
            self._numbers.setdefault(each, len(self._numbers) + 11)
        return self._numbers[repo]

    def rename(self, repo: Repository, to: str) -> None:
        """Move a project to another path; what has the former one finds it all the same."""
        self.number(repo)
        path = repo.path
        del self.repositories[path]
        bare = self.root / f"{to}.git"
        bare.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(repo.bare, bare)
        repo.path, repo.bare = to, bare
        repo.git("remote", "set-url", "origin", repo.url)
        self.repositories[to] = repo
        self.former[path] = to
        for pull in self.pulls:
            pull.repo = to if pull.repo == path else pull.repo
            pull.head_repo = to if pull.head_repo == path else pull.head_repo

    # -- answering

    def api(self, asked: Asked) -> Answer:
        """Finds the route by the path as it was sent: a project's has its slashes escaped."""
        sent = asked.target.partition("?")[0]
        where = sent.removeprefix(self.api_path)
        if where == sent:
            return Answer(404, b"<!DOCTYPE html><title>Not Found</title>", {"Content-Type": "text/html"})
        if not self.admits(asked.token):
            return Answer.of({"message": "401 Unauthorized"}, 401)
        if not self._may(asked, where):
            return Answer.of({"error": "insufficient_scope", "error_description": "The request requires higher privileges"}, 403)
        for method, pattern, handler in self._routes:
            match = pattern.fullmatch(where)
            if match is not None and method == asked.method:
                try:
                    return self._handled(asked, where, match, handler)
                except Refused as refused:
                    return Answer.of({"message": refused.message}, refused.status)
        return Answer.of({"error": "404 Not Found"}, 404)

    def _may(self, asked: Asked, where: str) -> bool:
        if where == "/personal_access_tokens/self":
            return True
        return "api" in self.scopes or ("read_api" in self.scopes and asked.method == "GET")

    def _handled(self, asked: Asked, where: str, match: re.Match[str], handler: Callable[..., Answer]) -> Answer:
        words = [unquote(word) for word in match.groups()]
        if not where.startswith("/projects/"):
            return handler(asked, *words)
        repo = self.repositories.get(self.former.get(words[0], words[0])) or next(
            (each for each in self.repositories.values() if str(self.number(each)) == words[0]), None
        )
        if repo is None:
            raise Refused(404, "404 Project Not Found")
        if words[0] in self.former:
            if asked.method != "GET":
                raise Refused(405, "405 Non GET methods are not allowed for moved projects")
            rest = where.removeprefix("/projects/").partition("/")
            query = urlencode(asked.query, doseq=True)
            to = f"{self.url}/api/v4/projects/{self.number(repo)}{rest[1]}{rest[2]}{'?' if query else ''}{query}"
            return Answer(301, f"This resource has been moved permanently to {to}".encode(), {"Location": to})
        return handler(asked, repo, *words[1:])

    def _conditional(self, asked: Asked, answer: Answer) -> Answer:
        """GitLab's `ETag` is of the body alone, not of what its headers say of other pages."""
        if asked.method != "GET" or answer.status != 200 or answer.stream is not None:
            return answer
        etag = f'W/"{hashlib.sha256(answer.body).hexdigest()[:32]}"'
        if asked.headers.get("if-none-match") == etag:
            return Answer(304, b"", {"ETag": etag})
        return Answer(answer.status, answer.body, {**answer.headers, "ETag": etag})

    def _git(self, asked: Asked, path: str, query: str) -> Answer:
        """Git's door knows a moved project by its former path, without leading elsewhere."""
        where = asked.path.removeprefix(self.prefix)
        name, door, rest = where.strip("/").partition(".git/")
        return super()._git(replace(asked, path=f"/{self.former.get(name, name)}{door}{rest}"), path, query)

    def _made_routes(self) -> list[Route]:
        project, repository = "/projects/([^/]+)", "/projects/([^/]+)/repository"
        notes = f"{project}/merge_requests/([0-9]+)/notes"
        routes: list[tuple[str, str, Callable[..., Answer]]] = [
            ("GET", "/user", self._user),
            ("GET", "/personal_access_tokens/self", self._token),
            ("GET", "/projects", self._projects),
            ("GET", project, lambda asked, repo: Answer.of(self.project(repo))),
            ("GET", f"{repository}/branches", self._branches),
            ("GET", f"{repository}/commits/([^/]+)", self._commit),
            ("GET", f"{repository}/commits/([^/]+)/statuses", self._statuses),
            ("POST", f"{project}/statuses/([^/]+)", self._set_status),
            ("GET", f"{repository}/compare", self._compare),
            ("GET", f"{repository}/archive(?:\\.tar\\.gz)?", self._archive),
            ("GET", f"{project}/merge_requests", self._merge_requests),
            ("GET", f"{project}/merge_requests/([0-9]+)", self._one_merge_request),
            ("GET", notes, self._notes),
            ("GET", f"{notes}/([0-9]+)", self._note),
            ("POST", notes, self._write_note),
            ("PUT", f"{notes}/([0-9]+)", self._change_note),
            ("DELETE", f"{notes}/([0-9]+)", self._delete_note),
        ]
        return [(method, re.compile(pattern), handler) for method, pattern, handler in routes]

    # -- users and projects

    def _who(self, asked: Asked) -> str:
        return self.users.get(asked.token or "", BOT)

    def _person(self, name: str) -> dict[str, Any]:
        return {"id": 1 + len(name), "username": name, "name": name.title(), "state": "active", "web_url": f"{self.url}/{name}"} | {
            "avatar_url": f"{self.url}/uploads/{name}.png"
        }

    def _user(self, asked: Asked) -> Answer:
        return Answer.of({**self._person(self._who(asked)), "bot": True})

    def _token(self, asked: Asked) -> Answer:
        return Answer.of(
            {"id": 4, "name": "terrapod", "revoked": False, "active": True, "scopes": self.scopes, "expires_at": self.expires_at}
        )

    def _projects(self, asked: Asked) -> Answer:
        return self._paged(asked, [self.project(each) for each in self.repositories.values()])

    def project(self, repo: Repository) -> dict[str, Any]:
        """As the API has it."""
        namespace, _, name = repo.path.rpartition("/")
        head = git("for-each-ref", "--count=1", "refs/heads/", cwd=repo.bare)
        return {
            "id": self.number(repo),
            "path": name,
            "name": name,
            "path_with_namespace": repo.path,
            "namespace": {"full_path": namespace, "kind": "group"},
            "default_branch": git("symbolic-ref", "--short", "HEAD", cwd=repo.bare) if head else None,
            "web_url": f"{self.url}/{repo.path}",
            "http_url_to_repo": repo.url,
            "ssh_url_to_repo": f"git@localhost:{repo.path}.git",
            "visibility": "private" if repo.private else "public",
            "merge_requests_access_level": "disabled" if repo.path in self.without_merge_requests else "enabled",
        }

    def _paged(self, asked: Asked, items: Sequence[object]) -> Answer:
        page, size = int(asked.one("page", "1")), min(int(asked.one("per_page", "20")), 100)
        last = max(1, -(-len(items) // size))
        following = str(page + 1) if page < last else ""
        headers = {"X-Page": str(page), "X-Per-Page": str(size), "X-Total": str(len(items)), "X-Total-Pages": str(last)}
        headers["X-Next-Page"] = following
        if following:
            query = urlencode({**asked.query, "page": [following], "per_page": [str(size)]}, doseq=True)
            headers["Link"] = f'<{self.url}{asked.target.partition("?")[0].removeprefix(self.prefix)}?{query}>; rel="next"'
        answer = Answer.of(items[(page - 1) * size : page * size])
        return replace(answer, headers={**answer.headers, **headers})

    # -- repositories

    def _commit_of(self, repo: Repository, name: str) -> dict[str, Any]:
        try:
            said = git("show", "-s", "--format=%H%x00%P%x00%an%x00%ae%x00%aI%x00%B", f"{name}^{{commit}}", cwd=repo.bare)
        except AssertionError:
            raise Refused(404, "404 Commit Not Found") from None
        sha, parents, author, email, date, message = said.split("\0")
        return {
            "id": sha,
            "short_id": sha[:8],
            "parent_ids": parents.split(),
            "title": message.partition("\n")[0],
            "message": message,
            "author_name": author,
            "author_email": email,
            "created_at": date,
            "web_url": f"{self.url}/{repo.path}/-/commit/{sha}",
        }

    def _branches(self, asked: Asked, repo: Repository) -> Answer:
        names = git("for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads/", cwd=repo.bare).splitlines()
        return self._paged(asked, [{"name": name, "commit": self._commit_of(repo, f"refs/heads/{name}")} for name in names])

    def _commit(self, asked: Asked, repo: Repository, sha: str) -> Answer:
        return Answer.of(self._commit_of(repo, sha))

    def _compare(self, asked: Asked, repo: Repository) -> Answer:
        try:
            start, end = (git("rev-parse", "--verify", f"{asked.one(each)}^{{commit}}", cwd=repo.bare) for each in ("from", "to"))
            base = start if asked.one("straight").lower() == "true" else git("merge-base", start, end, cwd=repo.bare)
        except AssertionError:
            raise Refused(404, "404 Ref Not Found") from None
        words = iter(git("diff", "--name-status", "-M", "-z", base, end, cwd=repo.bare).split("\0"))
        diffs = []
        for kind in filter(None, words):
            old = next(words)
            new = next(words) if kind.startswith("R") else old
            flags = {"new_file": kind == "A", "deleted_file": kind == "D", "renamed_file": kind.startswith("R")}
            diffs.append({"old_path": old, "new_path": new, "diff": "", **flags})
        commits = git("rev-list", "--reverse", f"{base}..{end}", cwd=repo.bare).split()
        return Answer.of(
            {"diffs": diffs, "commits": [{"id": each} for each in commits], "compare_timeout": False, "compare_same_ref": start == end}
        )

    def _archive(self, asked: Asked, repo: Repository) -> Answer:
        folder = asked.one("path")
        try:
            sha = git("rev-parse", "--verify", f"{asked.one('sha', 'HEAD')}^{{commit}}", cwd=repo.bare)
        except AssertionError:
            raise Refused(404, "404 File Not Found") from None
        if folder and not git("ls-tree", "-d", sha, folder, cwd=repo.bare):
            raise Refused(500, "500 Internal Server Error")
        tail = f"-{folder.replace('/', '-')}" if folder else ""
        return self.archive(repo, sha, f"{repo.path.rpartition('/')[2]}-{sha}-{sha}{tail}", [folder] if folder else None)

    # -- statuses

    def _statuses(self, asked: Asked, repo: Repository, sha: str) -> Answer:
        return self._paged(asked, [each.document() for each in self.jobs.get(repo.path, []) if each.sha == sha])

    def _set_status(self, asked: Asked, repo: Repository, sha: str) -> Answer:
        told = asked.json()
        sha = self._commit_of(repo, sha)["id"]
        if not git("branch", "--contains", sha, cwd=repo.bare):
            raise Refused(404, "404 References for commit Not Found")
        jobs = self.jobs.setdefault(repo.path, [])
        current = next((each for each in jobs if (each.sha, each.name) == (sha, told["name"]) and not each.ended), None)
        job = current or Job(next(self._ids), sha, told["name"])
        refusal = moved_on(job, told["state"])
        if refusal is not None:
            raise Refused(400, refusal)
        job.description, job.target_url = told.get("description", ""), told.get("target_url", "")
        if current is None:
            jobs.append(job)
        repo.statuses.append((sha, job.name, job.state, job.description, job.target_url))
        return Answer.of(job.document(), 201)

    # -- merge requests and notes

    def _merge_requests(self, asked: Asked, repo: Repository) -> Answer:
        if repo.path in self.without_merge_requests:
            raise Refused(403, "403 Forbidden")
        state = asked.one("state", "all")
        found = [each for each in self.pulls if each.repo == repo.path and state in ("all", "opened" if each.open else "closed")]
        newest_first = asked.one("sort", "desc") == "desc"
        heads = self._heads(found)
        return self._paged(
            asked,
            [self.merge_request(each, heads[each.number]) for each in sorted(found, key=lambda each: each.number, reverse=newest_first)],
        )

    def _heads(self, pulls: list[Pull]) -> dict[int, str]:
        """The SHAs of their heads, which pushes may have moved; many cost no more than one."""
        refs: dict[str, dict[str, str]] = {}
        for path in {path for pull in pulls for path in (pull.repo, pull.head_repo)}:
            lines = git("for-each-ref", "--format=%(refname) %(objectname)", cwd=self.repositories[path].bare).splitlines()
            refs[path] = dict(line.rsplit(" ", 1) for line in lines)
        heads = {}
        for pull in pulls:
            known, head = refs[pull.repo].get(self.pull_ref(pull), ""), refs[pull.head_repo].get(f"refs/heads/{pull.head_branch}", "")
            moved = pull.open and head not in ("", known)
            heads[pull.number] = self.head_of(pull) if moved else known
        return heads

    def merge_request(self, pull: Pull, sha: str | None = None) -> dict[str, Any]:
        """As the API has it."""
        return {
            "id": 9000 + pull.number,
            "iid": pull.number,
            "project_id": self.number(self.repositories[pull.repo]),
            "title": pull.title,
            "description": pull.body or None,
            "state": "opened" if pull.open else "closed",
            "source_branch": pull.head_branch,
            "target_branch": pull.base_branch,
            "source_project_id": self.number(self.repositories[pull.head_repo]),
            "target_project_id": self.number(self.repositories[pull.repo]),
            "sha": sha or self.head_of(pull),
            "author": self._person(PUSHER),
            "user_notes_count": len(pull.comments),
            "web_url": f"{self.url}/{pull.repo}/-/merge_requests/{pull.number}",
        }

    def _pull(self, repo: Repository, number: str) -> Pull:
        found = next((each for each in self.pulls if (each.repo, each.number) == (repo.path, int(number))), None)
        if found is None:
            raise Refused(404, "404 Not found")
        return found

    def _one_merge_request(self, asked: Asked, repo: Repository, number: str) -> Answer:
        return Answer.of(self.merge_request(self._pull(repo, number)))

    def _notes(self, asked: Asked, repo: Repository, number: str) -> Answer:
        pull = self._pull(repo, number)
        return self._paged(asked, [self._note_of(pull, each) for each in pull.comments])

    def _note_of(self, pull: Pull, note: int) -> dict[str, Any]:
        return {"id": note, "body": pull.comments[note], "author": self._person(self.authors[note]), "noteable_iid": pull.number}

    def _note(self, asked: Asked, repo: Repository, number: str, note: str) -> Answer:
        pull = self._pull(repo, number)
        if int(note) not in pull.comments:
            raise Refused(404, "404 Note Not Found")
        return Answer.of(self._note_of(pull, int(note)))

    def _write_note(self, asked: Asked, repo: Repository, number: str) -> Answer:
        pull, note = self._pull(repo, number), next(self._ids)
        self.authors[note] = self._who(asked)
        self._take(pull, note, asked.json()["body"])
        return Answer.of(self._note_of(pull, note), 201)

    def _change_note(self, asked: Asked, repo: Repository, number: str, note: str) -> Answer:
        self._note(asked, repo, number, note)
        if self.authors[int(note)] != self._who(asked):
            raise Refused(403, "403 Forbidden")
        pull = self._pull(repo, number)
        self._take(pull, int(note), asked.json()["body"])
        return Answer.of(self._note_of(pull, int(note)))

    def _take(self, pull: Pull, note: int, body: str) -> None:
        """A line that is a quick action is done, and is no part of the text."""
        if re.search(r"^/close\s*$", body, re.MULTILINE):
            pull.open = False
        pull.comments[note] = re.sub(r"^/close\s*$\n?", "", body, flags=re.MULTILINE)

    def _delete_note(self, asked: Asked, repo: Repository, number: str, note: str) -> Answer:
        self._note(asked, repo, number, note)
        del self._pull(repo, number).comments[int(note)]
        return Answer(204)

    # -- webhooks

    def pushed(self, repo: Repository, ref: str, sha: str) -> dict[str, Any]:
        """The payload when a branch or tag was pushed; of one that was deleted, `sha` is empty."""
        return pushed(self.number(repo), self.project(repo), ref, sha)

    def merge_requested(self, pull: Pull, action: str = "open") -> dict[str, Any]:
        """The payload when a merge request was opened or changed."""
        return merge_requested(self.project(self.repositories[pull.repo]), self.merge_request(pull), action)

    def signed(self, event: str, payload: Mapping[str, Any], secret: str = SECRET) -> tuple[dict[str, str], bytes]:
        """Headers and body of a webhook; `event` is for payloads that do not name theirs."""
        headers = {"X-Gitlab-Event": EVENTS[payload.get("object_kind", event)], "X-Gitlab-Instance": self.url, "X-Gitlab-Token": secret}
        return {"Content-Type": "application/json", "User-Agent": "GitLab/18.6.0", **headers}, json.dumps(payload).encode()

    def deliver(self, event: str, payload: Mapping[str, Any], url: str, secret: str = SECRET, verify: Any = True) -> httpx.Response:
        """Send a webhook."""
        headers, body = self.signed(event, payload, secret)
        return httpx.post(url, headers=headers, content=body, verify=verify)
