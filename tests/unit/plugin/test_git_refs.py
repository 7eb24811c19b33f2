"""Git's own list of branches and tags: what servers answer, and what others do."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest

from terrapod_core.plugin import RefKind, Refs, VCSDenied, VCSFailed, VCSMissing, refs_of

URL = "https://forge.example/acme/repo.git"
A, B, C = "a" * 40, "b" * 40, "c" * 40
BOTH = frozenset({RefKind.BRANCH, RefKind.TAG})
BRANCHES = frozenset({RefKind.BRANCH})
FLUSH = b"0000"


def packet(line: str | bytes) -> bytes:
    text = line if isinstance(line, bytes) else line.encode()
    return f"{len(text) + 4:04x}".encode() + text


def listed(*lines: str | bytes) -> bytes:
    """As version 2 answers."""
    return b"".join(map(packet, lines)) + FLUSH


def advertised(*lines: str) -> bytes:
    """As version 0 does."""
    first, *others = lines
    head = packet("# service=git-upload-pack\n") + FLUSH
    return head + packet(f"{first}\0multi_ack side-band-64k\n") + b"".join(packet(f"{each}\n") for each in others) + FLUSH


class Git:
    """What a server answers, and what it was asked."""

    def __init__(self, post: bytes | httpx.Response, get: bytes | httpx.Response | None = None) -> None:
        self.answers = {"POST": post, "GET": httpx.Response(404) if get is None else get}
        self.asked: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        answer = self.answers[request.method]
        return httpx.Response(200, content=answer) if isinstance(answer, bytes) else answer

    async def refs(self, kinds: frozenset[RefKind] = BOTH, validator: str | None = None) -> Refs | None:
        async with httpx.AsyncClient(transport=httpx.MockTransport(self)) as http:
            return await refs_of(http, URL, kinds, validator)


async def test_one_request_brings_branches_and_tags() -> None:
    git = Git(listed(f"{A} refs/heads/main\n", f"{B} refs/heads/feature/a\n", f"{C} refs/tags/v1\n"))
    found = await git.refs()
    assert found is not None
    assert (found.branches, found.tags) == ({"main": A, "feature/a": B}, {"v1": C})
    (asked,) = git.asked
    assert (asked.method, str(asked.url)) == ("POST", f"{URL}/git-upload-pack")
    assert asked.headers["git-protocol"] == "version=2"
    assert asked.content.startswith(packet("command=ls-refs\n"))
    assert packet("ref-prefix refs/tags/\n") in asked.content


async def test_a_tag_is_the_commit_that_it_leads_to() -> None:
    git = Git(listed(f"{A} refs/tags/v1 peeled:{B}\n", f"{C} refs/tags/light\n"))
    found = await git.refs()
    assert found is not None
    assert found.tags == {"v1": B, "light": C}


async def test_only_the_kinds_that_are_wanted_count() -> None:
    git = Git(
        listed(f"{A} HEAD symref-target:refs/heads/main\n", f"{A} refs/heads/main\n", f"{B} refs/tags/v1\n", f"{C} refs/pull/1/head\n")
    )
    found = await git.refs(BRANCHES)
    assert found is not None
    assert (found.branches, found.tags) == ({"main": A}, {})
    assert b"refs/tags/" not in git.asked[0].content


async def test_nothing_new_is_known_by_the_validator_whatever_the_order() -> None:
    first = await Git(listed(f"{A} refs/heads/main\n", f"{B} refs/heads/other\n")).refs()
    assert first is not None
    assert await Git(listed(f"{B} refs/heads/other\n", f"{A} refs/heads/main\n")).refs(validator=first.validator) is None
    assert await Git(listed(f"{B} refs/heads/other\n", f"{C} refs/heads/main\n")).refs(validator=first.validator) is not None


async def test_a_repository_without_commits_has_nothing() -> None:
    found = await Git(FLUSH).refs()
    assert found is not None
    assert (found.branches, found.tags) == ({}, {})


async def test_names_that_are_no_text_are_left_out_and_do_no_harm() -> None:
    git = Git(listed(A.encode() + b" refs/heads/\xff\n", B.encode() + b" refs/heads/\xfe\n", f"{C} refs/heads/grün\n"))
    found = await git.refs()
    assert found is not None
    assert found.branches == {"grün": C}


async def test_commits_of_sha_256_are_commits() -> None:
    found = await Git(listed(f"{'d' * 64} refs/heads/main\n")).refs()
    assert found is not None
    assert found.branches == {"main": "d" * 64}


async def test_a_server_that_knows_no_version_2_is_asked_as_of_old() -> None:
    old = advertised(f"{A} HEAD", f"{A} refs/heads/main", f"{B} refs/tags/v1", f"{C} refs/tags/v1^{{}}")
    for answer in (b"", packet("ERR bad command\n"), b"<html>what?</html>"):
        git = Git(answer, old)
        found = await git.refs()
        assert found is not None
        assert (found.branches, found.tags) == ({"main": A}, {"v1": C})
        assert [each.method for each in git.asked] == ["POST", "GET"]


async def test_an_old_server_without_commits_has_nothing() -> None:
    found = await Git(b"", advertised(f"{'0' * 40} capabilities^{{}}")).refs()
    assert found is not None
    assert found.branches == {}


HOSTILE = {
    "a length that is no number": b"zzzz" + A.encode(),
    "a length beyond the end": b"ffff" + f"{A} refs/heads/main\n".encode(),
    "no end": packet(f"{A} refs/heads/main\n"),
    "no name": listed(f"{A}\n"),
    "no commit": listed("nonsense refs/heads/main\n"),
    "a commit too short": listed(f"{A[:-1]} refs/heads/main\n"),
    "a commit that is none behind a tag": listed(f"{A} refs/tags/v1 peeled:../../x\n"),
    "bytes": bytes(range(256)),
    "a page": b"<html>Please sign in</html>",
    "a negative length": b"-001" + A.encode(),
    "a length with blanks": b" 10 " + A.encode(),
}


@pytest.mark.parametrize("what", HOSTILE)
async def test_what_is_no_list_is_a_failure_of_the_forge_and_nothing_worse(what: str) -> None:
    with pytest.raises(VCSFailed, match=r"forge\.example: answered with what is no list of a repository's branches"):
        await Git(HOSTILE[what], HOSTILE[what]).refs()


def status(code: int, **headers: str) -> Callable[[], httpx.Response]:
    return lambda: httpx.Response(code, headers={name.replace("_", "-"): value for name, value in headers.items()})


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (status(401), VCSDenied),
        (status(403), VCSDenied),
        (status(404), VCSMissing),
        (status(410), VCSMissing),
        (status(500), VCSFailed),
        (status(429, Retry_After="7"), VCSFailed),
    ],
)
async def test_refusals_are_told_apart(answer: Callable[[], httpx.Response], error: type[Exception]) -> None:
    with pytest.raises(error) as caught:
        await Git(answer()).refs()
    if isinstance(caught.value, VCSFailed):
        assert caught.value.retry_after == (7.0 if "429" in str(caught.value) else None)


async def test_a_repository_that_was_renamed_is_asked_for_where_it_is() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if "/acme/repo.git" in request.url.path:
            return httpx.Response(301, headers={"Location": str(request.url).replace("acme/repo", "acme/renamed")})
        return httpx.Response(200, content=listed(f"{A} refs/heads/main\n") if request.method == "POST" else b"")

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
        found = await refs_of(http, URL, BRANCHES, None)
    assert found is not None
    assert found.branches == {"main": A}


async def test_credentials_do_not_go_where_a_redirect_leads_away() -> None:
    asked: list[httpx.URL] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url)
        if request.url.host == "forge.example":
            return httpx.Response(302, headers={"Location": str(request.url).replace("forge.example", "evil.example")})
        assert "authorization" not in request.headers
        return httpx.Response(200, content=listed(f"{A} refs/heads/main\n"))

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer), headers={"Authorization": "Basic c2VjcmV0"}) as http:
        with pytest.raises(VCSFailed, match="do not belong"):
            await refs_of(http, URL, BRANCHES, None)
    assert [each.host for each in asked if each.path.endswith("/git-upload-pack")] == ["forge.example"]
