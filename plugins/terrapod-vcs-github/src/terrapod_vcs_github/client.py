"""One connection to GitHub, for a while."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Final, TypeVar

from terrapod_core.plugin import (
    Commit,
    CommitState,
    CommitStatus,
    Installation,
    PullRequests,
    RefKind,
    Refs,
    Repo,
    RepoInfo,
    VCSDenied,
    VCSFailed,
    VCSMissing,
    refs_of,
)
from terrapod_vcs_github.account import Right, Unprocessable, Unrelated
from terrapod_vcs_github.addresses import in_path
from terrapod_vcs_github.answers import (
    AppInstallation,
    Comment,
    CommitAnswer,
    Comparison,
    Repositories,
    Repository,
    User,
    read,
)
from terrapod_vcs_github.asking import Asking, beginning
from terrapod_vcs_github.pulls import open_pulls

if TYPE_CHECKING:
    import httpx

T = TypeVar("T")

MOST_FILES: Final = 300
"""A comparison tells no more: GitHub's documentation, "Compare two commits"."""

LONGEST_DESCRIPTION: Final = 140
LONGEST_COMMENT: Final = 65_536

_STATES: Final = {
    CommitState.PENDING: "pending",
    CommitState.RUNNING: "pending",
    CommitState.SUCCESS: "success",
    CommitState.FAILURE: "failure",
    CommitState.ERROR: "error",
    CommitState.CANCELED: "error",
}
_NEEDED: Final = {
    Right.METADATA: ("metadata", ("read", "write", "admin")),
    Right.CONTENTS: ("contents", ("read", "write", "admin")),
    Right.PULL_REQUESTS: ("pull_requests", ("write", "admin")),
    Right.STATUSES: ("statuses", ("write", "admin")),
}


class GitHubClient:
    """What the API and git's door say, in the words of the core."""

    def __init__(self, asking: Asking) -> None:
        self._asking = asking
        self._account = asking.account

    # -- who we are

    async def account(self) -> str:
        """`The app terrapod at example`, or `octocat`."""
        found = await self._app_installation()
        if found is not None:
            await self._account.token()
            return f"The app {found.app_slug} at {_name(found.account)}"
        missing = (
            f"{self._account.host} has no GitHub API at {self._account.api}. Give the address of GitHub's own pages, and nothing behind it."
        )
        answer = await self._asking.ask("GET", "user", missing=missing, right=Right.METADATA)
        scopes = answer.headers.get("x-oauth-scopes")
        if scopes and not {"repo", "public_repo"} & {each.strip() for each in scopes.split(",")}:
            raise VCSDenied(f"The token does not have the scope repo. {self._account.give(list(Right))}")
        return _name(self._read(answer, User))

    async def installation(self) -> Installation | None:
        """Where the app is installed; `None` with a token."""
        found = await self._app_installation()
        if found is None:
            return None
        account = found.account or User()
        return Installation(found.id, _name(account), account.type or "Organization", found.html_url, account.avatar_url)

    async def _app_installation(self) -> AppInstallation | None:
        """Raises `VCSDenied` for one that is suspended, or may not do what is needed."""
        app = self._account.app
        if app is None:
            return None
        missing = self._account.no_installation
        answer = await self._account.as_app(self._asking.http, "GET", f"app/installations/{app.installation}", missing=missing)
        found = self._read(answer, AppInstallation)
        if found.suspended_at is not None:
            raise VCSDenied(f"The app's installation at {_name(found.account)} is suspended: unsuspend it in the settings of that account.")
        lacking = [right for right, (name, enough) in _NEEDED.items() if found.permissions.get(name) not in enough]
        if lacking:
            raise VCSDenied(
                f"The app's installation at {_name(found.account)} may not do all that is needed. {self._account.give(lacking)}"
            )
        return found

    # -- what a repository has

    async def repository(self, repo: Repo) -> RepoInfo:
        """One repository, under its current name."""
        answer = await self._asking.ask("GET", _path(repo), missing=self._no(repo), right=Right.METADATA)
        return self._read(answer, Repository).info()

    async def repositories(self, most: int) -> Sequence[RepoInfo]:
        """Those that the app was given; of a token's owner, those that were pushed to last first."""
        found: list[RepoInfo] = []
        missing = f"{self._account.host} lists no repositories for this connection."
        if self._account.app is not None:
            async for answer in self._asking.pages("installation/repositories", missing=missing, right=Right.METADATA, params={}):
                found += [each.info() for each in self._read(answer, Repositories).repositories]
                if len(found) >= most:
                    break
            return found[:most]
        async for answer in self._asking.pages("user/repos", missing=missing, right=Right.METADATA, params={"sort": "pushed"}):
            found += [each.info() for each in self._read(answer, list[Repository])]
            if len(found) >= most:
                break
        return found[:most]

    async def refs(self, repo: Repo, kinds: frozenset[RefKind], validator: str | None) -> Refs | None:
        """By git's door, which tells all of them at once and counts towards no limit of the API's."""
        url = f"{self._account.connection.base_url}/{repo.path}.git"
        for last in (False, True):
            token = await self._account.token()
            basic = base64.b64encode(f"x-access-token:{token}".encode()).decode("ascii")
            try:
                async with self._account.http_for_git({"Authorization": f"Basic {basic}"}) as http:
                    return await refs_of(http, url, kinds, validator)
            except VCSDenied as denied:
                if last or not self._account.forget(token):
                    raise VCSDenied(f"{denied} {self._account.give([Right.CONTENTS])}") from None
        raise AssertionError("the second attempt is the last")

    async def commit(self, repo: Repo, sha: str) -> Commit:
        """One commit, with no more than the first of its files."""
        path = f"{_path(repo)}/commits/{in_path(sha)}"
        answer = await self._asking.ask("GET", path, missing=self._no_commit(repo, sha), right=Right.CONTENTS, params={"per_page": 1})
        return self._read(answer, CommitAnswer).info()

    async def archive(self, repo: Repo, sha: str, paths: Sequence[str]) -> AsyncIterator[bytes]:
        """All of the tree: GitHub packs no parts. It is another host that sends it, to which the token does not go along."""
        del paths
        async with self._account.http_for_archives() as http:
            request = http.build_request("GET", f"{_path(repo)}/tarball/{in_path(sha)}")
            answer = await self._asking.send(http, request, stream=True)
            try:
                if answer.status_code != 200:
                    self._account.check(await beginning(answer), missing=self._no_commit(repo, sha), right=Right.CONTENTS)
                self._account.note(answer)
                self._check_kind(answer)
                async for piece in answer.aiter_raw():
                    yield piece
            finally:
                await answer.aclose()

    # -- pull requests

    async def pull_requests(self, repo: Repo, validator: str | None) -> PullRequests | None:
        """All open ones, a hundred a request."""
        return await open_pulls(self._asking, f"{_path(repo)}/pulls", validator, missing=self._no(repo))

    async def changed_files(self, repo: Repo, base: str, head: str) -> frozenset[str] | None:
        """By three dots. GitHub has at most 300 files for it, all on the first page, which is one of commits: so one is asked for."""
        path = f"{_path(repo)}/compare/{in_path(base)}...{in_path(head)}"
        missing = f"{self._account.host} has no {base[:100]} or {head[:100]} in {repo} that could be compared."
        try:
            answer = await self._asking.ask("GET", path, missing=missing, right=Right.CONTENTS, params={"per_page": 1, "page": 1})
        except (Unprocessable, Unrelated):
            return None
        files = self._read(answer, Comparison).files
        if len(files) >= MOST_FILES:
            return None
        return frozenset(name for each in files for name in (each.filename, each.previous_filename) if name)

    # -- what is told

    async def set_status(self, repo: Repo, sha: str, status: CommitStatus) -> None:
        """GitHub shows the newest of each context."""
        document = {
            "state": _STATES[status.state],
            "context": status.context,
            "description": status.description[:LONGEST_DESCRIPTION],
            "target_url": status.target_url,
        }
        path = f"{_path(repo)}/statuses/{in_path(sha)}"
        await self._asking.ask("POST", path, missing=self._no_commit(repo, sha), right=Right.STATUSES, json=document)

    async def comment(self, repo: Repo, number: int, body: str, comment_id: str | None) -> str:
        """Written below the pull request, which is an issue to GitHub."""
        document = {"body": body if len(body) <= LONGEST_COMMENT else f"{body[: LONGEST_COMMENT - 1]}…"}
        missing = f"{self._account.host} has no pull request {number} in {repo}, or does not show it to this connection."
        if comment_id is not None and comment_id.isascii() and comment_id.isdecimal():
            path = f"{_path(repo)}/issues/comments/{comment_id}"
            try:
                await self._asking.ask("PATCH", path, missing=missing, right=Right.PULL_REQUESTS, json=document)
            except VCSMissing:
                pass
            else:
                return comment_id
        path = f"{_path(repo)}/issues/{number}/comments"
        answer = await self._asking.ask("POST", path, missing=missing, right=Right.PULL_REQUESTS, json=document)
        return str(self._read(answer, Comment).id)

    # -- words

    def _read(self, answer: httpx.Response, kind: type[T]) -> T:
        return read(answer.content, kind, self._account.host)

    def _no(self, repo: Repo) -> str:
        return f"{self._account.host} has no repository {repo}, or does not show it to this connection."

    def _no_commit(self, repo: Repo, sha: str) -> str:
        return f"{self._account.host} has no commit {sha[:100]} in {repo}, or does not show it to this connection."

    def _check_kind(self, answer: httpx.Response) -> None:
        if answer.status_code != 200:
            raise VCSFailed(f"{answer.url.host}: answered {answer.status_code} where an archive is asked for")
        if answer.headers.get("content-type", "").lower().startswith("text/html"):
            raise VCSFailed(f"{answer.url.host}: answered with a page for people in the place of an archive")


def _path(repo: Repo) -> str:
    return f"repos/{'/'.join(map(in_path, repo.path.split('/')))}"


def _name(account: User | None) -> str:
    return "" if account is None else account.login or account.slug
