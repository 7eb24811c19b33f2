"""`/metrics`: what it says, what it never says, and who may read it."""

from __future__ import annotations

import re
from collections.abc import Callable

import httpx
from prometheus_client.core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_families
from prometheus_client.parser import text_string_to_metric_families

from tests.docs.metrics_page import defined
from tests.support import wire
from tests.support.endpoints import World
from tests.support.server import Server
from tests.support.wire import refused

OPEN_METRICS = "application/openmetrics-text; version=1.0.0"


def scrape(server: Server, **headers: str) -> httpx.Response:
    """One scrape."""
    return httpx.get(f"{server.url}/metrics", headers=headers, trust_env=False)


def told(server: Server) -> str:
    """What all servers of a site tell, one after the other: each counts what it did itself."""
    return "".join(httpx.get(f"{each}/metrics", trust_env=False).text for each in server.addresses)


def families(text: str) -> list[Metric]:
    """What a scraper takes from it."""
    return list(text_string_to_metric_families(text))


def value(text: str, metric: str, /, **labels: str) -> float:
    """What servers tell of it together; 0 when none does."""
    return sum(each.value for family in families(text) for each in family.samples if each.name == metric and each.labels == labels)


def test_every_metric_is_told_with_its_labels(server: Server) -> None:
    names = {family.name for family in families(scrape(server).text)}
    assert {each.name.removesuffix("_total") for each in defined()} <= names


def test_it_speaks_openmetrics_to_whom_asks_for_it(server: Server) -> None:
    plain, asked = scrape(server), scrape(server, Accept=OPEN_METRICS)
    assert plain.headers["content-type"].startswith("text/plain")
    assert asked.headers["content-type"].startswith("application/openmetrics-text")
    assert asked.text.endswith("# EOF\n")
    assert {family.name for family in open_families(asked.text)} >= {"terrapod_http_requests", "terrapod_runs_live"}  # type: ignore[no-untyped-call]


def test_a_request_is_counted_by_its_template(server: Server, world: World) -> None:
    labels = {"method": "GET", "route": "/api/v2/workspaces/<workspace_id>", "status": "4xx"}
    before = value(told(server), "terrapod_http_requests_total", **labels)
    server.api.get("workspaces/ws-doesnotexist00001")
    after = told(server)
    assert value(after, "terrapod_http_requests_total", **labels) == before + 1
    assert value(after, "terrapod_http_request_duration_seconds_count", method="GET", route=labels["route"]) >= 1


def test_methods_and_paths_that_clients_invent_make_no_labels(server: Server) -> None:
    httpx.request("BREW", f"{server.url}/api/v2/invented-coffee", trust_env=False)
    httpx.get(f"{server.url}/invented-path", trust_env=False)
    text = told(server)
    assert "BREW" not in text
    assert "invented" not in text
    assert value(text, "terrapod_http_requests_total", method="other", route="(no route)", status="4xx") >= 1


def test_no_label_holds_an_id_a_link_or_a_token(server: Server, world: World) -> None:
    """After a walk over things that have them."""
    api = server.api
    for path in ("account/details", "organizations/default/workspaces", "users/user-1111111111111111", "runs/run-1111111111111111"):
        api.get(path)
    upload = api.post(
        f"workspaces/{_workspace(api)}/configuration-versions", json=wire.document("configuration-versions", auto_queue_runs=False)
    )
    link = upload.json()["data"]["attributes"]["upload-url"]
    httpx.put(link, content=b"no archive", trust_env=False)
    text = told(server)
    labels = {label for family in families(text) for sample in family.samples for label in sample.labels.values()}
    assert "/c/<token>" in labels
    assert not [each for each in labels if re.search(r"\b(ws|run|user|cv|plan|apply|job|at|sv)-[A-Za-z0-9]{16}\b", each)]
    assert link.rpartition("/")[2] not in text
    assert server.token not in text


def _workspace(api: httpx.Client) -> str:
    made = api.post(f"{wire.ORG}/workspaces", json=wire.document("workspaces", name=wire.fresh()))
    found: str = wire.data(made, 201)["id"]
    return found


def test_jobs_storage_and_the_database_are_counted(server: Server, world: World) -> None:
    text = told(server)
    assert value(text, "terrapod_readings_up") == len(server.addresses)
    assert value(text, "terrapod_storage_operations_total", backend=server.storage, operation="write", outcome="done") >= 1
    assert value(text, "terrapod_database_connection_wait_seconds_count") >= 1
    assert value(text, "terrapod_periodic_total", name="audit.seal", outcome="done") >= 1
    assert value(text, "process_resident_memory_bytes") > 0


def test_with_a_token_set_nobody_reads_without_it(new_server: Callable[..., Server]) -> None:
    token = "a-token-for-prometheus-alone"
    server = new_server(settings={"METRICS__TOKEN": token})
    server.start()
    refused(scrape(server), 401, says="metrics.token")
    refused(scrape(server, Authorization="Bearer wrong"), 401)
    refused(scrape(server, Authorization=f"Bearer {server.token}"), 401)
    assert scrape(server, Authorization=f"Bearer {token}").status_code == 200
    assert token not in server.log.read_text()


def test_it_can_be_switched_off(new_server: Callable[..., Server]) -> None:
    server = new_server(settings={"METRICS__ENABLED": "false"})
    server.start()
    refused(scrape(server), 404)
