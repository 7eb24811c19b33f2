"""The branches and tags of a repository, asked of git's own door: one request for all of them, at any forge.

Sources: git's documentation, `gitprotocol-v2` (the command `ls-refs`) and `gitprotocol-http`. The request is sent without the capability
advertisement before it: a stateless server needs none. One that does not speak version 2 is asked as of old.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from terrapod_core.plugin.vcs import RefKind, Refs, VCSDenied, VCSFailed, VCSMissing

if TYPE_CHECKING:
    import httpx

_PREFIXES: Final = {RefKind.BRANCH: "refs/heads/", RefKind.TAG: "refs/tags/"}
_NO_TEXT: Final = re.compile("[\ud800-\udfff]")
_SHA: Final = re.compile(rb"[0-9a-f]{40}([0-9a-f]{24})?")
_FLUSH: Final = b"0000"
_DELIMITER: Final = b"0001"


async def refs_of(http: httpx.AsyncClient, url: str, kinds: frozenset[RefKind], validator: str | None) -> Refs | None:
    """Branches and tags of the repository that is cloned from `url`; `None` when they are as they were at this validator.

    Those whose names are no UTF-8 are left out: no document could name them. `http` has the credentials.
    Raises `VCSMissing`, `VCSDenied` and `VCSFailed`.
    """
    host = urlsplit(url).hostname or "the forge"
    wanted = [_PREFIXES[kind] for kind in sorted(kinds)]
    answer = await _listed(http, url, wanted)
    if answer.is_redirect:
        url = await _moved(http, url, host)
        answer = await _listed(http, url, wanted)
    _check(answer, host)
    try:
        found = dict(_of_version_2(answer.content))
        if not answer.content:
            raise ValueError("nothing")
    except ValueError:
        answer = await http.get(f"{url}/info/refs", params={"service": "git-upload-pack"})
        _check(answer, host)
        try:
            found = dict(_advertised(answer.content))
        except ValueError:
            raise VCSFailed(f"{host}: answered with what is no list of a repository's branches") from None
    named = {name: sha for name, sha in found.items() if name.startswith(tuple(wanted)) and not _NO_TEXT.search(name)}
    digest = hashlib.sha256("\n".join(f"{sha} {name}" for name, sha in sorted(named.items())).encode()).hexdigest()
    if validator == digest:
        return None
    branches, tags = (
        {each.removeprefix(start): sha for each, sha in named.items() if each.startswith(start)} for start in _PREFIXES.values()
    )
    return Refs(branches, tags, digest)


async def _listed(http: httpx.AsyncClient, url: str, wanted: list[str]) -> httpx.Response:
    headers = {
        "Git-Protocol": "version=2",
        "Content-Type": "application/x-git-upload-pack-request",
        "Accept": "application/x-git-upload-pack-result",
    }
    # A redirect is not followed here: it would make a GET of this.
    return await http.post(f"{url}/git-upload-pack", headers=headers, content=_request(wanted), follow_redirects=False)


async def _moved(http: httpx.AsyncClient, url: str, host: str) -> str:
    """Where a renamed repository is now, found as git finds it: by the redirect of the advertisement."""
    params = {"service": "git-upload-pack"}
    answer = await http.get(f"{url}/info/refs", params=params, headers={"Git-Protocol": "version=2"}, follow_redirects=True)
    _check(answer, host)
    before, after = urlsplit(url), urlsplit(str(answer.url))
    if (before.scheme, before.netloc) != (after.scheme, after.netloc) or not after.path.endswith("/info/refs"):
        raise VCSFailed(f"{host}: has moved the repository to an address where these credentials do not belong")
    return f"{after.scheme}://{after.netloc}{after.path.removesuffix('/info/refs')}"


def _check(answer: httpx.Response, host: str) -> None:
    status = answer.status_code
    if status == 200:
        return
    if status in (401, 403):
        raise VCSDenied(f"{host} does not let these credentials read the repository.")
    if status in (404, 410):
        raise VCSMissing(f"{host} has no such repository, or does not show it to these credentials.")
    after = answer.headers.get("retry-after", "")
    raise VCSFailed(f"{host}: answered {status} where branches are asked for", retry_after=float(after) if after.isdecimal() else None)


def _request(prefixes: list[str]) -> bytes:
    lines = [b"command=ls-refs\n", b"agent=terrapod\n", b"object-format=sha1\n"]
    arguments = [b"peel\n", *(f"ref-prefix {each}\n".encode() for each in prefixes)]
    return b"".join(map(_packet, lines)) + _DELIMITER + b"".join(map(_packet, arguments)) + _FLUSH


def _packet(line: bytes) -> bytes:
    return f"{len(line) + 4:04x}".encode() + line


def _lines(body: bytes) -> Iterator[bytes]:
    """The packets of an answer, without the line's end; a `flush` is empty. Raises `ValueError`."""
    at = 0
    while at < len(body):
        size = int(body[at : at + 4].decode("ascii"), 16)
        if size < 4:
            yield b""
            at += 4
            continue
        line = body[at + 4 : at + size]
        if len(line) != size - 4:
            raise ValueError("it ends early")
        yield line.removesuffix(b"\n")
        at += size


def _of_version_2(body: bytes) -> Iterator[tuple[str, str]]:
    """`<sha> <name>[ peeled:<sha>]`; a peeled tag is the commit."""
    ended = False
    for line in _lines(body):
        if not line:
            ended = True
            continue
        sha, name, *more = line.split(b" ")
        peeled = next((each[7:] for each in more if each.startswith(b"peeled:")), sha)
        yield _named(name, peeled)
    if not ended:
        raise ValueError("it ends early")


def _advertised(body: bytes) -> Iterator[tuple[str, str]]:
    """Of version 0: `<sha> <name>`, a tag's commit after it as `<name>^{}`, capabilities behind a NUL, and a flush at the end."""
    line = b"nothing"
    for line in _lines(body):
        if not line or line.startswith((b"#", b"version ")):
            continue
        sha, name = line.split(b"\0")[0].split(b" ")
        if name != b"capabilities^{}":
            yield _named(name.removesuffix(b"^{}"), sha)
    if line:
        raise ValueError("it ends early")


def _named(name: bytes, sha: bytes) -> tuple[str, str]:
    if not _SHA.fullmatch(sha):
        raise ValueError("no commit")
    return name.decode("utf-8", "surrogateescape"), sha.decode("ascii")
