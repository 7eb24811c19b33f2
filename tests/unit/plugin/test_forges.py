from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable

import httpx
import pytest

from terrapod_core.plugin import (
    BadSignature,
    Connection,
    ForgeClient,
    ForgeProvider,
    HTTPClients,
    Repo,
    Unreadable,
    VCSDenied,
    VCSFailed,
    VCSMissing,
    repo_below,
    signed_json,
)

BASE = "https://git.example.com/forge"


@pytest.mark.parametrize("text", ["org/repo", " org/repo.git ", f"{BASE}/org/repo", f"{BASE}/org/repo.git", f"{BASE}/org/repo/"])
def test_a_repository_is_meant_by_its_path_or_its_url(text: str) -> None:
    assert repo_below(BASE, text) == Repo("org/repo")


@pytest.mark.parametrize(
    "text", ["repo", "a/b/c", "a/..", "-a/b", ".a/b", "https://git.example.com/org/repo", "http://git.example.com/forge/a/b", "a/b?c", ""]
)
def test_and_by_nothing_else(text: str) -> None:
    with pytest.raises(Unreadable, match="owner/name"):
        repo_below(BASE, text)


def test_groups_in_groups_are_for_forges_that_have_them() -> None:
    assert repo_below(BASE, f"{BASE}/a/b/c.git", nested=True) == Repo("a/b/c")
    with pytest.raises(Unreadable):
        repo_below(BASE, "a", nested=True)


@pytest.mark.parametrize("base", ["", "http://x.example.com", "https://", "https://a@x.example.com", "https://x/?a", "https://x:0", "x y"])
def test_an_address_that_is_none_is_refused(base: str) -> None:
    with pytest.raises(Unreadable) as refused:
        ForgeProvider(HTTPClients()).check(Connection("vcs-1", base, {"token": "x"}))
    assert refused.value.name == "base-url"


def test_a_field_that_is_required_is_asked_for() -> None:
    with pytest.raises(Unreadable) as refused:
        ForgeProvider(HTTPClients()).check(Connection("vcs-1", BASE, {"token": " "}))
    assert refused.value.name == "token"
    ForgeProvider(HTTPClients()).check(Connection("vcs-1", BASE, {"token": "x"}))


def signed(body: bytes, secret: str = "s") -> dict[str, str]:
    return {"X-Signature": hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}


def test_a_signed_document_is_read_and_says_what_it_lacks() -> None:
    body = b'{"a": {"b": 1}}'
    assert signed_json(signed(body), "X-Signature", body, "s") == {"a": {"b": 1}}
    with pytest.raises(Unreadable, match="has no c"):
        signed_json(signed(body), "X-Signature", body, "s")["a"]["c"]


@pytest.mark.parametrize("headers", [{}, {"X-Signature": ""}, {"X-Signature": "ü"}, signed(b"{}", "another")])
def test_what_nobody_signed_is_refused(headers: dict[str, str]) -> None:
    with pytest.raises(BadSignature, match="X-Signature"):
        signed_json(headers, "X-Signature", b"{}", "s")


def test_no_secret_signs_nothing() -> None:
    with pytest.raises(BadSignature):
        signed_json(signed(b"{}", ""), "X-Signature", b"{}", "")


@pytest.mark.parametrize("body", [b"", b"[]", b"no json", b"\xff"])
def test_a_signed_body_that_is_no_object_is_unreadable(body: bytes) -> None:
    with pytest.raises(Unreadable):
        signed_json(signed(body), "X-Signature", body, "s")


async def asked(answer: Callable[[httpx.Request], httpx.Response]) -> object:
    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
        return (await ForgeClient(http, BASE).ask("GET", "/x"))["name"]


@pytest.mark.parametrize(
    ("status", "error"), [(401, VCSDenied), (403, VCSDenied), (404, VCSMissing), (410, VCSMissing), (500, VCSFailed), (302, VCSFailed)]
)
async def test_a_status_is_told_as_the_contract_has_it(status: int, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"git\.example\.com") as told:
        await asked(lambda request: httpx.Response(status, content=b"secret words"))
    assert "secret" not in str(told.value)


async def test_a_forge_that_wants_to_be_left_alone_says_for_how_long() -> None:
    with pytest.raises(VCSFailed) as told:
        await asked(lambda request: httpx.Response(429, headers={"Retry-After": "7"}))
    assert told.value.retry_after == 7


@pytest.mark.parametrize("content", [b"<html>", b"{}", b'{"other": 1}'])
async def test_an_answer_that_is_none_has_failed(content: bytes) -> None:
    with pytest.raises(VCSFailed, match=r"git\.example\.com: answered with"):
        await asked(lambda request: httpx.Response(200, content=content))


async def test_an_answer_is_read() -> None:
    assert await asked(lambda request: httpx.Response(200, json={"name": str(request.url)})) == f"{BASE}/x"
