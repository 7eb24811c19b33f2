"""Whatever is asked of the Sync API, the answer has its shape and is never a 5xx, and a document that is refused leaves nothing."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlencode

import httpx
import pytest
from hypothesis import given, strategies as st

from tests.support import wire
from tests.support.endpoints import World
from tests.support.fuzzing import encoded, mutated, texts, values
from tests.support.server import Server

PIECES = st.text("0123456789*/,-?#L ", max_size=12) | st.sampled_from(["MON-FRI", "JAN", "5L", "MON#2", "0 2", "30 2 29 2 *", "@daily"])
WORDS: dict[str, st.SearchStrategy[str]] = {
    "schedule": st.lists(PIECES, max_size=6).map(" ".join) | texts,
    "schedule_timezone": texts | st.sampled_from(["UTC", "Europe/Berlin", "../etc/passwd", "localtime", "europe/berlin", "Etc/GMT+14"]),
    "sync_interval": st.text("0123456789smhd.-+ ٣", max_size=24) | texts,
    "policy": texts | st.sampled_from(["observe", "apply", "APPLY", "full-control", "create-update-only"]),
}


@pytest.fixture(scope="session")
def sync(server: Server) -> str:
    """Where it is."""
    return f"{server.url}/v1/terraform/sync"


@pytest.fixture(scope="session")
def name(api: httpx.Client, world: World) -> str:
    """The workspace that documents speak of."""
    found: str = wire.attributes(api.get(f"workspaces/{world.workspace}"))["name"]
    return found


def sane(response: httpx.Response) -> None:
    """Fail unless it is JSON, and every refusal says what is wrong as the contract wants it."""
    request = response.request
    what = f"{request.method} {request.url} {request.content[:500]!r} -> {response.status_code} {response.text[:500]}"
    assert response.status_code < 500, what
    assert response.headers["content-type"] == "application/json", what
    if response.status_code >= 400:
        document = response.json()
        assert list(document) == ["error", "message", "code"], what
        assert document["code"] == response.status_code, what
        assert len(document["message"]) > 10, what


def put(api: httpx.Client, sync: str, body: bytes) -> None:
    """Put a document, which is stored or changes nothing."""
    before = api.get(f"{sync}/config").content
    response = api.put(f"{sync}/config", content=body)
    sane(response)
    after = api.get(f"{sync}/config").content
    assert after == (response.content if response.status_code == 200 else before)


def good(name: str, **entry: Any) -> dict[str, Any]:
    return {"enabled": False, "workspaces": {name: {"enabled": False, **entry}}, "conflict_resolution": "manual"}


@given(data=st.data())
def test_a_configuration_with_something_wrong_in_it(api: httpx.Client, sync: str, name: str, data: st.DataObject) -> None:
    entry = {"schedule": "0 2 * * *", "schedule_timezone": "Europe/Berlin", "policy": "observe", "workspace_policy": "full-control"}
    put(api, sync, encoded(data.draw(mutated(good(name, **entry)))))


@given(value=values)
def test_a_configuration_that_is_any_json(api: httpx.Client, sync: str, name: str, value: Any) -> None:
    for sent in (value, good(name) | {"workspaces": value}, good(name) | {"workspaces": {name: value}}):
        put(api, sync, encoded(sent))


@given(body=st.binary(max_size=300))
def test_a_configuration_that_is_any_bytes(api: httpx.Client, sync: str, body: bytes) -> None:
    put(api, sync, body)


@given(field=st.sampled_from(sorted(WORDS)), data=st.data())
def test_a_word_of_an_entry_that_is_any_text(api: httpx.Client, sync: str, name: str, field: str, data: st.DataObject) -> None:
    entry = {field: data.draw(WORDS[field])} | ({"schedule": "0 2 * * *"} if field == "schedule_timezone" else {})
    put(api, sync, encoded(good(name, **entry)))


@given(
    method=st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE"]),
    parts=st.lists(texts | st.sampled_from(["workspaces", "default", "trigger", "history", "config", "conflicts", "resolve"]), max_size=5),
    query=st.lists(st.tuples(st.sampled_from(["limit", "before", "status", "after"]), texts), max_size=3),
)
def test_any_path_and_query(api: httpx.Client, sync: str, method: str, parts: list[str], query: list[tuple[str, str]]) -> None:
    path = "/".join(quote(part, safe="") for part in parts if part not in ("", ".", ".."))
    sane(api.request(method, f"{sync}/{path or 'workspaces'}?{urlencode(query)}"))


@given(body=st.binary(max_size=100) | values.map(encoded))
def test_a_decision_about_a_conflict_that_is_not_there(api: httpx.Client, sync: str, body: bytes) -> None:
    response = api.post(f"{sync}/conflicts/conflict-1/resolve", content=body)
    sane(response)
    assert response.status_code == 404


@given(scheme=st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=30), token=texts)
def test_any_credential(server: Server, sync: str, scheme: str, token: str) -> None:
    with server.client(None) as anonymous:
        value = f"{scheme} {quote(token)}".strip()
        response = anonymous.get(f"{sync}/workspaces", headers={"Authorization": value})
        sane(response)
        assert response.status_code == 401
