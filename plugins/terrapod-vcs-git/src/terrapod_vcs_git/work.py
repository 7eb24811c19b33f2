"""One repository for the time of one call: a bare one in a private directory, with no more of the remote's objects than are needed."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from terrapod_core.plugin import Commit, VCSFailed, VCSMissing
from terrapod_vcs_git import environment
from terrapod_vcs_git.answers import NoFilter, NotBySha, failure
from terrapod_vcs_git.children import Child
from terrapod_vcs_git.scratch import size_of
from terrapod_vcs_git.settings import GitSettings

MOST_OUTPUT: Final = 64 << 20
"""Of what git lists: some half a million refs or objects."""

COMMITS: Final = "tree:0"
DIRECTORIES: Final = "blob:none"
"""Filters of git's for what comes along: commits alone, or what they are made of down to the names of files."""

PREFIX: Final = "repository/"
_EMPTY_TREE: Final = {
    40: "4b825dc642cb6eb9a060e54bf8d69288fbee4904",
    64: "6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321",
}
"""By how long names of objects are: git knows it without having it."""

_QUIETLY: Final = ("--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules")


@dataclass(frozen=True)
class Work:
    """Programs that work in one directory."""

    host: str
    url: str
    directory: Path
    asking: dict[str, str] = field(repr=False)
    """The environment with credentials."""
    settings: GitSettings

    async def listed(self, *options: str) -> bytes:
        """What `git ls-remote` prints."""
        return await self._git("ls-remote", *options, asks=True, seconds=self.settings.ask_seconds)

    async def fetch(self, sha: str, kind: str | None) -> None:
        """Bring a commit; `kind` is a filter for what is left out, if the server can; `None` leaves nothing out."""
        algorithm = "sha256" if len(sha) == 64 else "sha1"
        await self._git("init", "--quiet", "--bare", f"--object-format={algorithm}", "--template=", "--initial-branch=none", ".")
        try:
            await self._fetch_filtered(["--depth=1"], kind, [sha])
        except NotBySha:
            await self._fetch_by_name(sha, kind)
        if await self._fails("cat-file", "-e", f"{sha}^{{commit}}"):
            raise VCSMissing(f"{self.host} has no commit {sha} in the repository.")

    async def fetch_below(self, sha: str, paths: Sequence[str]) -> None:
        """Bring the files of these directories, which a filtered fetch has left out, in one go; and what says how files are packed."""
        parents = {"/".join(path.split("/")[:depth]) for path in paths for depth in range(path.count("/") + 1)}
        attributes = sorted(f"{each}/.gitattributes".lstrip("/") for each in parents)
        walk = ["rev-list", "--objects", "--missing=print", "--no-object-names", f"{sha}^{{tree}}", "--", *paths, *attributes]
        missing = [line[1:] for line in (await self._git(*walk)).splitlines() if line.startswith(b"?")]
        if missing:
            wanted = b"".join(each + b"\n" for each in missing)
            once = ["-c", "fetch.negotiationAlgorithm=noop", "fetch", *_QUIETLY, f"--filter={DIRECTORIES}", "--stdin", "--", "origin"]
            try:
                await self._git(*once, asks=True, data=wanted)
            except NotBySha:
                await asyncio.to_thread(self._forget)
                await self.fetch(sha, None)

    async def there(self, sha: str, paths: Sequence[str]) -> list[str]:
        """Those of the paths that the commit has."""
        found = await self._git("ls-tree", "-z", "--name-only", "--full-tree", sha, "--", *paths)
        names = set(found.decode("utf-8", "surrogateescape").split("\0"))
        return [each for each in paths if each in names]

    async def told(self, sha: str) -> Commit:
        """The commit's own words."""
        raw = await self._git("log", "--no-walk", "--no-show-signature", "--format=%H%x00%an%x00%B", "--encoding=UTF-8", sha, "--")
        found, author, message = raw.decode("utf-8", "replace").split("\0", 2)
        return Commit(found, message.rstrip("\n"), author_name=author)

    async def archive(self, sha: str, paths: Sequence[str] | None) -> AsyncIterator[bytes]:
        """A gzip tar of the tree, or of these paths; of none of it for an empty list."""
        tree = sha if paths is None or paths else _EMPTY_TREE[len(sha)]
        command = ["git", "archive", "--format=tar.gz", "-1", f"--prefix={PREFIX}", tree, "--", *(paths or ())]
        child = self._child(environment.offline(self.directory), self.settings.fetch_seconds, self.settings.max_bytes)
        async with aclosing(child.stream(*command)) as pieces:  # type: ignore[type-var]
            async for piece in pieces:
                yield piece

    async def _fetch_filtered(self, options: Sequence[str], kind: str | None, wanted: Sequence[str]) -> None:
        fetch = ["fetch", *_QUIETLY, *options]
        if kind is not None:
            try:
                await self._git(*fetch, f"--filter={kind}", "--", "origin", *wanted, asks=True)
                return
            except NoFilter:
                pass
        await self._git(*fetch, "--no-filter", "--", "origin", *wanted, asks=True)

    async def _fetch_by_name(self, sha: str, kind: str | None) -> None:
        """From a server that gives no commit by its SHA: the branch or tag that it is the newest of, or else all of them.

        Such a server gives no file by its SHA either, so files are not left out.
        """
        kind = kind if kind == COMMITS else None
        lines = (await self.listed("--heads", "--tags", "--", self.url)).decode("utf-8", "surrogateescape").splitlines()
        names = [name.removesuffix("^{}") for each, _, name in (line.partition("\t") for line in lines) if each == sha]
        if names:
            await self._fetch_filtered(["--depth=1"], kind, [names[0]])
        else:
            await self._fetch_filtered([], kind, ["+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"])

    async def _fails(self, *arguments: str) -> bool:
        code, _, _ = await self._child(environment.offline(self.directory), 60, MOST_OUTPUT).run("git", *arguments)
        return code != 0

    async def _git(self, *arguments: str, asks: bool = False, data: bytes | None = None, seconds: float | None = None) -> bytes:
        env = self.asking if asks else environment.offline(self.directory)
        code, output, said = await self._child(env, seconds or self.settings.fetch_seconds, MOST_OUTPUT).run("git", *arguments, data=data)
        if code != 0:
            raise failure(self.host, said) if asks else VCSFailed(f"{self.host}: git failed: {said.strip()[-200:]}")
        return output

    def _child(self, env: dict[str, str], seconds: float, most: int) -> Child:
        return Child(self.host, env, self.directory, seconds, most, partial(self._too_large))

    def _forget(self) -> None:
        """All that was fetched, so that git does not tell the server that it is here."""
        shutil.rmtree(self.directory / "objects")
        (self.directory / "shallow").unlink(missing_ok=True)

    def _too_large(self) -> bool:
        return size_of(self.directory) > self.settings.max_bytes


async def prepared(work: Work, sha: str, paths: Sequence[str]) -> list[str] | None:
    """Fetch what an archive of these paths needs; which of them there are, `None` for all of the tree."""
    if not paths:
        await work.fetch(sha, None)
        return None
    await work.fetch(sha, DIRECTORIES)
    found = await work.there(sha, paths)
    if found:
        await work.fetch_below(sha, found)
    return found
