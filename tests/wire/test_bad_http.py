"""Requests that are wrong before any document is looked at: routes, methods, headers, pages, organizations."""

from __future__ import annotations

import httpx
import pytest

from tests.support import wire
from tests.support.endpoints import WRITING, Endpoint, World
from tests.support.server import Server
from tests.support.wire import JSON, JSON_API, data, refused


@pytest.mark.parametrize("path", ["nothing", "workspaces/ws-1/nothing", "runs/run-1/actions/explode", "organizations", "%00", "a" * 3000])
@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "PUT", "DELETE"])
def test_an_unknown_route_is_a_document(api: httpx.Client, method: str, path: str) -> None:
    if (method, path) == ("GET", "organizations"):
        return  # that one is there
    refused(api.request(method, path), 404, 405)


@pytest.mark.parametrize(
    "path", ["/", "/nothing", "/api", "/api/v1/runs", "/api/v2", "/oauth/nothing", "/c/", "/c/guess", "/c/a/b", "/api/runner/v1/phases/x"]
)
def test_an_unknown_path_at_the_root_is_never_a_crash(server: Server, path: str) -> None:
    response = httpx.get(server.url + path, headers={"Accept": JSON_API}, trust_env=False)
    assert response.status_code < 500
    if path.startswith(("/api", "/c/")):
        refused(response, 401, 404, 405)


@pytest.mark.parametrize(
    "path",
    [
        "account/details",
        "runs/run-1",
        "organizations/default",
        "organizations/default/entitlement-set",
        "workspaces/ws-1",
        "plans/plan-1",
        "ping",
    ],
)
def test_a_wrong_method_is_405_and_says_which_are_right(api: httpx.Client, path: str) -> None:
    response = api.put(path, json={})
    refused(response, 405, says="allowed")
    assert "GET" in response.headers["Allow"]


def test_a_method_nobody_knows_is_a_document(api: httpx.Client) -> None:
    for method in ("FROBNICATE", "TRACE", "CONNECTION"):
        refused(api.request(method, "account/details"), 400, 405)


@pytest.mark.parametrize(
    ("accept", "answer"),
    [
        (JSON_API, JSON_API),
        (JSON, JSON),
        (f"{JSON}, */*", JSON),
        ("*/*", JSON),
        ("application/*", JSON),
        (f"{JSON_API}; q=0.9, text/html", JSON_API),
        ("", JSON),
    ],
)
def test_the_answer_is_of_the_type_that_was_asked_for(api: httpx.Client, accept: str, answer: str) -> None:
    for path, status in (("account/details", 200), ("workspaces/ws-1", 404)):
        response = api.get(path, headers={"Accept": accept})
        assert (response.status_code, response.headers["content-type"]) == (status, answer)


def test_an_answer_nobody_can_give_is_406(api: httpx.Client) -> None:
    for accept in ("text/csv", "image/png, text/html"):
        refused(api.get("account/details", headers={"Accept": accept}), 406, says=JSON)


PAGES = ["0", "-1", "x", "1.5", "", " 1", "１", "1e3", "99999999999999999999999", "%00"]
LISTS = (
    "organizations/default/workspaces",
    "organizations/default/projects",
    "organizations/default/runs",
    "organizations/default/runs/queue",
    "organizations/default/tags",
    "workspaces/{workspace}/runs",
    "workspaces/{workspace}/configuration-versions",
    "workspaces/{workspace}/state-versions",
    "workspaces/{workspace}/relationships/tags",
    "workspaces/{workspace}/relationships/remote-state-consumers",
    "state-versions/{state}/outputs",
    "authentication-tokens",
)


@pytest.mark.parametrize("path", LISTS)
def test_a_page_that_is_no_number_is_400_and_named(api: httpx.Client, world: World, path: str) -> None:
    for value in PAGES:
        for parameter in ("page[number]", "page[size]"):
            if (value, parameter) == ("99999999999999999999999", "page[size]"):
                continue  # clamped, as every size over 100
            errors = refused(api.get(world.fill(path), params={parameter: value}), 400)
            assert errors[0]["source"] == {"parameter": parameter}


@pytest.mark.parametrize("path", LISTS)
def test_a_page_past_the_end_is_empty_and_a_size_is_clamped(api: httpx.Client, world: World, path: str) -> None:
    total = api.get(world.fill(path)).json()["meta"]["pagination"].get("total-count")
    past = api.get(world.fill(path), params={"page[number]": 999, "page[size]": 100000})
    assert data(past) == []
    shown = past.json()["meta"]["pagination"]
    assert (shown["current-page"], shown["page-size"], shown["next-page"], shown.get("total-count")) == (999, 100, None, total)


def test_pages_hold_everything_once(api: httpx.Client) -> None:
    word = wire.fresh("paged")
    made = {wire.make_workspace(api, name=f"{word}-{number}")["id"] for number in range(5)}
    seen: list[str] = []
    number: int | None = 1
    while number is not None:
        response = api.get(f"{wire.ORG}/workspaces", params={"search[name]": word, "page[size]": 2, "page[number]": number})
        seen += [one["id"] for one in data(response)]
        pagination, links = response.json()["meta"]["pagination"], response.json()["links"]
        assert (pagination["current-page"], pagination["total-pages"], pagination["total-count"]) == (number, 3, 5)
        assert links["self"].startswith(str(api.base_url)), links
        number = pagination["next-page"]
        assert (links["next"] is None) == (number is None)
        if number is not None:
            assert [one["id"] for one in data(httpx.get(links["next"], headers=api.headers, trust_env=False))]
    assert (sorted(seen), len(seen)) == (sorted(made), 5)


ODD_QUERIES = (
    "filter[", "filter[x", "filter[]=", "filter[a][b][c][d]=1", "search[name]=%00", "search[tags]=,,,", "include=,,.,a.b.c", "sort=---",
    "sort=nothing,-name", "include=nothing", "filter[tagged][x][key]=env", "filter[tagged][0][value]=x", "filter[status]=nothing",
    "search[name]=%25_%5B*", "q='", "page", "page[number]=1&page[number]=2", "%ff=%fe", "search[wildcard-name]=**", "filter[project][id]=x",
    "TagBindings=%7B%20app%20web%7D", "filter[current-run][status]=planned,,x", "=", "&&&",
)  # fmt: skip


@pytest.mark.parametrize("query", ODD_QUERIES)
def test_an_odd_query_is_answered_or_refused_and_never_a_crash(api: httpx.Client, world: World, query: str) -> None:
    for path in LISTS:
        response = api.get(f"{world.fill(path)}?{query}")
        if response.status_code != 200:
            refused(response, 400, 422)


def test_the_state_list_needs_both_filters(api: httpx.Client, world: World) -> None:
    refused(api.get("state-versions"), 400, 422)
    refused(api.get("state-versions", params={"filter[workspace][name]": world.name}), 400, 422)
    refused(api.get("state-versions", params={"filter[organization][name]": "default"}), 400, 422)
    refused(api.get("state-versions", params={"filter[organization][name]": "other", "filter[workspace][name]": world.name}), 404)
    refused(api.get("state-versions", params={"filter[organization][name]": "default", "filter[workspace][name]": "no-such"}), 404)


@pytest.mark.parametrize("org", ["other", "Default", "default%20", "%64efault2", "0"])
def test_any_other_organization_is_404_for_every_method(api: httpx.Client, org: str) -> None:
    paths = (
        "",
        "/workspaces",
        "/workspaces/x",
        "/projects",
        "/entitlement-set",
        "/runs",
        "/runs/queue",
        "/capacity",
        "/tags",
        "/nothing",
        "/workspaces/x/actions/safe-delete",
    )
    for path in paths:
        for method in ("GET", "POST", "PATCH", "PUT", "DELETE"):
            refused(api.request(method, f"organizations/{org}{path}", content=b"{"), 404, says="organization")


@pytest.mark.parametrize("endpoint", WRITING, ids=str)
def test_without_a_token_nothing_is_even_read(server: Server, world: World, endpoint: Endpoint) -> None:
    wrong = (
        "",
        "Bearer",
        "Bearer x",
        f"Basic {server.token}",
        server.token,
        f"Token {server.token}",
        "Bearer terrapod-at-1-x",
        f"Bearer {server.token}x",
        "Bearer \u00fc",
    )
    with server.client(None) as anonymous:
        for authorization in wrong:
            headers = {b"Authorization": authorization.encode()} if authorization else {}
            response = anonymous.request(endpoint.method, world.path(endpoint), content=b"{", headers=headers)
            refused(response, 401)
            assert response.headers["WWW-Authenticate"] == "Bearer"


def test_a_bad_token_does_not_matter_where_none_is_wanted(server: Server) -> None:
    for path in ("/health", "/ready", "/.well-known/terraform.json", "/api/v2/ping", "/api/v2/auth/providers"):
        response = httpx.get(server.url + path, headers={"Authorization": "Bearer nonsense"}, trust_env=False)
        assert response.status_code == 200, path


def test_a_json_body_over_its_limit_is_413_with_the_limit(api: httpx.Client) -> None:
    response = api.post(f"{wire.ORG}/workspaces", content=b'{"data": "' + b"x" * (6 * 1024 * 1024) + b'"}')
    refused(response, 413, says="5 MiB")


def test_too_many_members_are_422(api: httpx.Client) -> None:
    sent = wire.document("workspaces", name=wire.fresh("many"), labels={f"k{number}": "v" for number in range(20_000)})
    refused(api.post(f"{wire.ORG}/workspaces", json=sent), 422, pointer="/data/attributes/labels*")


def test_every_answer_wears_a_request_id_and_the_version(api: httpx.Client) -> None:
    for path in ("account/details", "workspaces/ws-1", "nothing"):
        response = api.get(path, headers={"X-Request-Id": "my-request-1"})
        assert response.headers["X-Request-Id"] == "my-request-1"
        assert response.headers["TFP-API-Version"] == "2.6"
    strange = api.get("account/details", headers={"X-Request-Id": "not an id\u00a0"[:9] + "<script>"}).headers["X-Request-Id"]
    assert strange.startswith("req-")


@pytest.mark.parametrize("path", ["/api/v2/account/details", "/c/guess", "/api/runner/v1/phases/x/claim", "/oauth/token", "/health"])
def test_options_is_a_method_like_others(server: Server, path: str) -> None:
    """No page of another site may ask us anything, so there is nothing to be told beforehand."""
    refused(httpx.request("OPTIONS", server.url + path, trust_env=False), 405, says="allowed")


@pytest.mark.parametrize("path", ["/api//v2/ping", "/c//guess", "/api/v2//account/details"])
def test_nobody_is_sent_on_to_a_host_that_they_named(server: Server, path: str) -> None:
    answer = httpx.get(server.url + path, headers={"Host": "evil.example"}, trust_env=False)
    refused(answer, 404)
    assert "evil" not in answer.text + str(answer.headers)


@pytest.mark.parametrize("path", ["/", "/api/v2/account/details", "/c/planted-link", "/app"])
def test_a_websocket_is_refused_in_a_sentence(server: Server, path: str) -> None:
    wanted = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    before = len(server.said())
    refused(httpx.get(server.url + path, headers=wanted, trust_env=False), 404, says="WebSocket")
    assert server.said()[before:] == ""
