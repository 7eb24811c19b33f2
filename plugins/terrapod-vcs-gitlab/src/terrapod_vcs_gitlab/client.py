"""What the core asks of a GitLab, as one token."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from terrapod_core.plugin import (
    Commit,
    CommitState,
    CommitStatus,
    OutgoingTooLarge,
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
from terrapod_vcs_gitlab import documents
from terrapod_vcs_gitlab.api import API, PAGE, REMEDY, project_path
from terrapod_vcs_gitlab.merge_requests import open_ones

if TYPE_CHECKING:
    import httpx

STATES: Final = {
    CommitState.PENDING: "pending",
    CommitState.RUNNING: "running",
    CommitState.SUCCESS: "success",
    CommitState.FAILURE: "failed",
    CommitState.ERROR: "failed",
    CommitState.CANCELED: "canceled",
}
GZIP: Final = b"\x1f\x8b"

_COMMAND: Final = re.compile(r"^/", re.MULTILINE)
_NUMBER: Final = re.compile(r"[0-9]{1,18}")


class GitLabClient:
    """One connection, for a while."""

    def __init__(self, base: str, api: API, git: httpx.AsyncClient, archives: httpx.AsyncClient) -> None:
        """`base` is where people find the GitLab. `git` goes to git's own door, `archives` to the API for what is large."""
        self._base = base
        self._api = api
        self._git = git
        self._archives = archives

    # -- who we are, and what there is

    @property
    def _no_api(self) -> str:
        where = f"{self._base}/api/v4"
        return f"{self._api.host} has no GitLab API at {where}. Give the address at which GitLab begins, and nothing behind it."

    async def account(self) -> str:
        """Raises `VCSDenied` for a token that may not even read."""
        user = await self._api.one("user", documents.User, missing=self._no_api)
        try:
            token = await self._api.one("personal_access_tokens/self", documents.Token, missing="It does not tell.")
        except (VCSMissing, VCSDenied):  # a GitLab before 15.5, or a token of an application
            return user.username
        if not {"api", "read_api"} & set(token.scopes):
            raise VCSDenied(f"The access token of {user.username} has the scope {', '.join(token.scopes) or 'of nothing'}. {REMEDY}")
        until = f", until {token.expires_at}" if token.expires_at else ""
        reading = "" if "api" in token.scopes else ", for reading only: statuses and comments need the scope “api”"
        return f"{user.username}{until}{reading}"

    async def repository(self, repo: Repo) -> RepoInfo:
        """Under its new name when it was moved."""
        return self._info(await self._project(repo))

    async def repositories(self, most: int) -> Sequence[RepoInfo]:
        """Those that the token's owner is a member of, the last used first."""
        found: list[RepoInfo] = []
        page: int | None = 1
        while page is not None and len(found) < most:
            answer = await self._api.get(
                "projects",
                list[documents.Project],
                missing=self._no_api,
                params={
                    "membership": "true",
                    "archived": "false",
                    "simple": "true",
                    "order_by": "last_activity_at",
                    "per_page": PAGE,
                    "page": page,
                },
            )
            assert answer is not None, "there was no condition"
            found += map(self._info, answer.value)
            page = answer.next_page
        return found[:most]

    # -- reading code

    async def refs(self, repo: Repo, kinds: frozenset[RefKind], validator: str | None) -> Refs | None:
        """Asked of git's own door, which has no pages."""
        try:
            return await refs_of(self._git, self._clone_url(repo.path), kinds, validator)
        except VCSDenied as error:
            raise VCSDenied(f"{error} {REMEDY}") from None

    async def commit(self, repo: Repo, sha: str) -> Commit:
        """GitLab does not say which of its users an author is."""
        path = f"{project_path(repo)}/repository/commits/{quote(sha, safe='')}"
        said = await self._api.one(path, documents.Commit, missing=f"{self._api.host} has no commit {sha[:64]} in {repo}.")
        return Commit(said.id, said.message, author_name=said.author_name, url=said.web_url)

    async def archive(self, repo: Repo, sha: str, paths: Sequence[str]) -> AsyncIterator[bytes]:
        """One directory alone, when only one is wanted and it is there; else everything."""
        wanted: list[Mapping[str, str]] = [{"sha": sha, "path": paths[0]}] if len(paths) == 1 and paths[0] else []
        for params in (*wanted, {"sha": sha}):
            async with self._archives.stream("GET", f"{project_path(repo)}/repository/archive.tar.gz", params=params) as response:
                # GitLab answers 500 for a directory that the commit does not have, and may have said 404 in other versions.
                if "path" in params and response.status_code in (400, 404, 500):
                    continue
                self._api.check(response, f"{self._api.host} has no commit {sha[:64]} in {repo}, or no project {repo}.")
                pieces = response.aiter_raw()
                first = await anext(pieces, b"")
                if not GZIP.startswith(first[:2]) or not first:
                    raise VCSFailed(f"{self._api.host}: answered with something else in the place of an archive")
                yield first
                async for piece in pieces:
                    yield piece
                return

    async def pull_requests(self, repo: Repo, validator: str | None) -> PullRequests | None:
        """Open merge requests; none where the project has them switched off."""
        try:
            return await open_ones(self._api, repo, validator)
        except VCSDenied:
            if (await self._project(repo)).merge_requests_access_level == "disabled":
                return PullRequests(())
            raise

    async def changed_files(self, repo: Repo, base: str, head: str) -> frozenset[str] | None:
        """`None` also when one of the two is gone, and when they have no common ancestor."""
        path = f"{project_path(repo)}/repository/compare"
        params = {"from": base, "to": head, "straight": "false"}
        try:
            said = await self._api.one(path, documents.Compare, missing="GitLab does not compare these.", params=params)
        except VCSMissing:
            await self._project(repo)
            return None
        except OutgoingTooLarge:
            return None
        return None if said.compare_timeout else frozenset(name for each in said.diffs for name in (each.old_path, each.new_path))

    # -- telling

    async def set_status(self, repo: Repo, sha: str, status: CommitStatus) -> None:
        """GitLab hangs statuses on branches: a commit that is on none, as that of a fork, has no place for one and is `VCSMissing`."""
        document = {
            "state": STATES[status.state],
            "name": status.context,
            "description": status.description,
            "target_url": status.target_url,
        }
        response = await self._write("POST", repo, f"statuses/{quote(sha, safe='')}", document)
        # A status is a job, which cannot begin twice: one that waits or runs already is what was to be told.
        if response.status_code == 400 and self._api.reason(response).startswith("Cannot transition status"):
            return
        self._api.check(response, f"{self._api.host} has no commit {sha[:64]} on a branch of {repo}, so it takes no status.")

    async def comment(self, repo: Repo, number: int, body: str, comment_id: str | None) -> str:
        """A note. One that another user wrote, before the token was changed for theirs, is left, and a new one written."""
        # A line that begins with a slash would be a command to GitLab ("quick actions": /merge, /close).
        document = {"body": _COMMAND.sub(" /", body)}
        notes = f"merge_requests/{number}/notes"
        if comment_id is not None and _NUMBER.fullmatch(comment_id):
            response = await self._write("PUT", repo, f"{notes}/{comment_id}", document)
            if response.status_code not in (403, 404):
                self._api.check(response, "")
                return comment_id
        response = await self._write("POST", repo, notes, document)
        self._api.check(response, f"{self._api.host} has no merge request !{number} in {repo}.")
        return str(self._api.decoded(response, documents.Note).id)

    async def _write(self, method: str, repo: Repo, path: str, document: Mapping[str, str]) -> httpx.Response:
        response = await self._api.send(method, f"{project_path(repo)}/{path}", document)
        if response.status_code != 405:
            return response
        # A project that was moved is read by its former path, and written to by its number.
        project = await self._project(repo)
        return await self._api.send(method, f"{project_path(project.id)}/{path}", document)

    async def _project(self, repo: Repo) -> documents.Project:
        missing = f"{self._api.host} has no project {repo}, or does not show it to this access token."
        return await self._api.one(project_path(repo), documents.Project, missing=missing)

    def _info(self, said: documents.Project) -> RepoInfo:
        path = said.path_with_namespace
        page = said.web_url if said.web_url.startswith(("https://", "http://")) else f"{self._base}/{path}"
        return RepoInfo(Repo(path), said.default_branch or "", page, self._clone_url(path), private=said.visibility != "public")

    def _clone_url(self, path: str) -> str:
        """At the connection's address, which need not be the one that GitLab calls itself by."""
        return f"{self._base}/{quote(path)}.git"
