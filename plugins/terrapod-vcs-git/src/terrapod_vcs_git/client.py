"""One connection: what git's own protocol tells of its repositories."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final

from terrapod_core.plugin import (
    Commit,
    Connection,
    HTTPClients,
    RefKind,
    Refs,
    Repo,
    RepoInfo,
    Unreadable,
    VCSMissing,
    refs_of,
)
from terrapod_vcs_git import environment
from terrapod_vcs_git.addresses import Base
from terrapod_vcs_git.answers import failure
from terrapod_vcs_git.credentials import authorization
from terrapod_vcs_git.scratch import Scratch
from terrapod_vcs_git.settings import GitSettings
from terrapod_vcs_git.work import COMMITS, MOST_OUTPUT, Work, prepared

if TYPE_CHECKING:
    import httpx

_SHA: Final = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
_OPTIONS: Final = {RefKind.BRANCH: "--heads", RefKind.TAG: "--tags"}
_PREFIXES: Final = {RefKind.BRANCH: "refs/heads/", RefKind.TAG: "refs/tags/"}


class GitClient:
    """A `VCSClient`. It keeps nothing."""

    def __init__(
        self, connection: Connection, settings: GitSettings, http: HTTPClients, scratch: Scratch, places: asyncio.Semaphore
    ) -> None:
        self._base = Base.of(connection.base_url)
        self._values = connection.values
        self._settings = settings
        self._http = http
        self._scratch = scratch
        self._places = places

    async def account(self) -> str:
        who = self._base.user or (self._values.get("username") or "git" if self._values.get("token") else "anybody")
        known = f"{who} at {self._base.named}"
        text = self._values.get("check-repository")
        if text:
            await self.repository(self._base.repository(text))
            return known
        if self._base.scheme == "ssh":
            # ssh signs in before anything is said of a repository, so one that nobody has is enough to find out.
            with suppress(VCSMissing):
                await self._listed(self._base.url(Repo("there-is-none")), "--heads")
            return known
        async with self._client() as http, http.stream("GET", self._base.url()):
            pass  # whatever it answers, it is there
        return f"{known} (not checked: name a repository in check-repository)"

    async def repository(self, repo: Repo) -> RepoInfo:
        url = self._url(repo)
        lines = (await self._listed(url, "--symref", "HEAD")).decode("utf-8", "surrogateescape").splitlines()
        heads = [line.removeprefix("ref: ").partition("\t")[0] for line in lines if line.startswith("ref: ") and line.endswith("\tHEAD")]
        branch = heads[0].removeprefix("refs/heads/") if heads else ""
        return RepoInfo(repo, branch, url if self._base.scheme == "https" else "", url, private=bool(self._values))

    async def refs(self, repo: Repo, kinds: frozenset[RefKind], validator: str | None) -> Refs | None:
        url = self._url(repo)
        if self._base.scheme == "https":
            async with self._client() as http:
                return await refs_of(http, url, kinds, validator)
        return _refs(await self._listed(url, *(_OPTIONS[each] for each in sorted(kinds))), validator)

    async def commit(self, repo: Repo, sha: str) -> Commit:
        async with self._work(self._url(repo)) as work:
            async with self._places:
                await work.fetch(self._sha(sha), COMMITS)
            return await work.told(sha)

    async def archive(self, repo: Repo, sha: str, paths: Sequence[str]) -> AsyncIterator[bytes]:
        async with self._work(self._url(repo)) as work:
            async with self._places:
                found = await prepared(work, self._sha(sha), paths)
            async with aclosing(work.archive(sha, found)) as pieces:  # type: ignore[type-var]
                async for piece in pieces:
                    yield piece

    async def _listed(self, url: str, *options: str) -> bytes:
        patterns = [each for each in options if not each.startswith("-")]
        async with self._work(url) as work, self._places:
            return await work.listed(*(each for each in options if each.startswith("-")), "--", url, *patterns)

    @asynccontextmanager
    async def _work(self, url: str) -> AsyncIterator[Work]:
        async with self._scratch.directory() as directory:
            asking = await asyncio.to_thread(environment.online, directory, url, self._base, self._values, self._http)
            yield Work(self._base.named, url, directory, asking, self._settings)

    def _client(self) -> httpx.AsyncClient:
        header = authorization(self._values)
        headers = {} if header is None else {"Authorization": header}
        http = self._http.trusted(headers=headers, timeout=self._settings.ask_seconds, max_bytes=MOST_OUTPUT)
        http.event_hooks = {"response": [_stay]}
        return http

    def _url(self, repo: Repo) -> str:
        try:
            return self._base.url(repo)
        except Unreadable as error:
            raise VCSMissing(str(error)) from None

    def _sha(self, sha: str) -> str:
        if not _SHA.fullmatch(sha):
            raise VCSMissing(f"{sha[:64]!r} is no commit.")
        return sha


async def _stay(response: httpx.Response) -> None:
    """Let nothing be asked that a server redirects to, as git does not either."""
    if response.is_redirect:
        raise failure(response.url.host, f"returned error: {response.status_code}")


def _refs(listed: bytes, validator: str | None) -> Refs | None:
    """Of `git ls-remote`: `<sha>\\t<name>`; a tag's commit comes after the tag, as `<name>^{}`. Names that are no text are left out."""
    digest = hashlib.sha256(listed).hexdigest()
    if validator == digest:
        return None
    named = {}
    for line in listed.split(b"\n"):
        sha, tab, name = line.partition(b"\t")
        with contextlib.suppress(UnicodeDecodeError):
            if tab:
                named[name.removesuffix(b"^{}").decode()] = sha.decode()
    branches, tags = (
        {name.removeprefix(start): sha for name, sha in named.items() if name.startswith(start)} for start in _PREFIXES.values()
    )
    return Refs(branches, tags, digest)
