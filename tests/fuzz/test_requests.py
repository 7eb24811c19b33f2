"""Generated documents, bodies, paths, queries and headers: whatever is asked, the answer is a document and never a 5xx."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlencode

import httpx
import pytest
from hypothesis import given, strategies as st

from tests.support.endpoints import ACTIONS, BODILESS, DOCUMENTS, RELATIONSHIPS, WRITING, Endpoint, World
from tests.support.fuzzing import encoded, mutated, sane, texts, values
from tests.support.server import Server

READS = (
    "organizations/default/workspaces",
    "organizations/default/projects",
    "organizations/default/runs",
    "organizations/default/runs/queue",
    "organizations/default/tags",
    "organizations/default/workspaces/{name}",
    "workspaces/{workspace}",
    "workspaces/{workspace}/runs",
    "workspaces/{workspace}/vars",
    "workspaces/{workspace}/configuration-versions",
    "workspaces/{workspace}/state-versions",
    "workspaces/{workspace}/current-state-version",
    "workspaces/{workspace}/current-state-version-outputs",
    "workspaces/{workspace}/relationships/tags",
    "workspaces/{workspace}/relationships/remote-state-consumers",
    "state-versions",
    "state-versions/{state}",
    "state-versions/{state}/outputs",
    "runs/{run}",
    "runs/{run}/run-events",
    "plans/{plan}",
    "applies/{apply}",
    "authentication-tokens",
    "vars",
)
PARAMETERS = (
    "page[number]",
    "page[size]",
    "include",
    "sort",
    "q",
    "search[name]",
    "search[tags]",
    "search[exclude-tags]",
    "search[wildcard-name]",
    "search[basic]",
    "filter[status]",
    "filter[operation]",
    "filter[source]",
    "filter[names]",
    "filter[project][id]",
    "filter[workspace][name]",
    "filter[organization][name]",
    "filter[current-run][status]",
    "filter[workspace_names]",
    "filter[tagged][0][key]",
    "filter[tagged][0][value]",
)
PIECES = st.sampled_from(
    [
        "default",
        "name",
        "-name",
        "current_run.plan",
        "created_by",
        "outputs",
        "*",
        ",",
        "workspace",
        "planned",
        "1",
        "100",
        "0",
        "%",
        "_",
        "[",
        "]",
    ]
)


@pytest.mark.parametrize("endpoint", [*DOCUMENTS, *RELATIONSHIPS, *ACTIONS], ids=str)
@given(data=st.data())
def test_a_document_with_something_wrong_in_it(api: httpx.Client, world: World, endpoint: Endpoint, data: st.DataObject) -> None:
    sent: Any = data.draw(mutated(world.filled(endpoint.good)))
    sane(api.request(endpoint.method, world.path(endpoint), content=encoded(sent)))


@given(endpoint=st.sampled_from([*DOCUMENTS, *RELATIONSHIPS, *ACTIONS]), value=values)
def test_a_body_that_is_any_json(api: httpx.Client, world: World, endpoint: Endpoint, value: Any) -> None:
    for sent in (value, {"data": value}, {"data": {"attributes": value}}, {"data": {"relationships": value}}, {"data": [value]}):
        sane(api.request(endpoint.method, world.path(endpoint), content=encoded(sent)))


@given(endpoint=st.sampled_from(WRITING), body=st.binary(max_size=300))
def test_a_body_that_is_any_bytes(api: httpx.Client, world: World, endpoint: Endpoint, body: bytes) -> None:
    if endpoint not in BODILESS:  # they do what they are asked whatever the body says
        sane(api.request(endpoint.method, world.path(endpoint), content=body))


@given(
    path=st.sampled_from(READS),
    query=st.lists(st.tuples(st.sampled_from(PARAMETERS) | texts, texts | st.lists(PIECES).map("".join)), max_size=5),
)
def test_any_query(api: httpx.Client, world: World, path: str, query: list[tuple[str, str]]) -> None:
    sane(api.get(f"{world.fill(path)}?{urlencode(query)}"))


@given(path=st.sampled_from(READS), query=st.text("abcdefgipqs[]=&%+;,.*-_0123456789", max_size=60))
def test_any_raw_query(api: httpx.Client, world: World, path: str, query: str) -> None:
    sane(api.get(f"{world.fill(path)}?{query}"))


@given(
    method=st.sampled_from(["GET", "POST", "PATCH", "PUT", "DELETE"]),
    parts=st.lists(
        texts
        | st.sampled_from(
            ["workspaces", "runs", "plans", "vars", "actions", "relationships", "tags", "organizations", "default", "state-versions"]
        ),
        max_size=5,
    ),
)
def test_any_path(api: httpx.Client, method: str, parts: list[str]) -> None:
    # The client itself takes `..` away, and with it the API's prefix: what lies above is pages.
    path = "/".join(quote(part, safe="") for part in parts if part not in (".", ".."))
    sane(api.request(method, f"x/../{path}" if path.startswith("//") else path or "nothing", content=b""))


@given(path=st.sampled_from(READS), word=texts)
def test_any_id(api: httpx.Client, world: World, path: str, word: str) -> None:
    for placeholder in vars(world):
        path = path.replace(f"{{{placeholder}}}", quote(word, safe="") or "x")
    sane(api.get(path))


HEADER = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=60)


@given(
    endpoint=st.sampled_from([*DOCUMENTS, *ACTIONS]), accept=HEADER, content_type=HEADER, length=st.sampled_from(["", "gzip", "identity"])
)
def test_any_header(api: httpx.Client, world: World, endpoint: Endpoint, accept: str, content_type: str, length: str) -> None:
    headers = {"Accept": accept, "Content-Type": content_type, "Content-Encoding": length, "X-Request-Id": accept}
    sane(api.request(endpoint.method, world.path(endpoint), content=b"{", headers=headers))


@given(scheme=HEADER, token=HEADER)
def test_any_credential(server: Server, world: World, scheme: str, token: str) -> None:
    with server.client(None) as anonymous:
        for given_scheme in (scheme, "Bearer", "bearer", "Basic"):
            response = anonymous.get(f"workspaces/{world.workspace}", headers={"Authorization": f"{given_scheme} {token}".strip()})
            sane(response)
            assert response.status_code == 401
