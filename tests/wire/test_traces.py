"""Requests as a collector of OpenTelemetry sees them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import httpx
import pytest

from terrapod_core.settings import SettingsError, Tracing
from terrapod_core.traces import current, opened
from tests.support.collector import Collector, attributes, collecting
from tests.support.server import Server

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SECRET = "a-key-of-the-collector"


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as made:
        yield made


def test_a_request_goes_on_with_the_trace_it_brings(new_server: Callable[..., Server], collector: Collector) -> None:
    server = new_server(settings={"TRACING__ENDPOINT": collector.endpoint, "TRACING__HEADERS": f"x-key={SECRET}", "LOG_FORMAT": "json"})
    server.start()
    headers = {"traceparent": f"00-{TRACE}-{PARENT}-01", "X-Request-Id": "the-request"}
    httpx.get(f"{server.url}/api/v2/workspaces/ws-secretlooking01?search=hidden-query", headers=headers, trust_env=False)
    httpx.get(f"{server.url}/c/hidden-capability", trust_env=False)
    server.stop()
    mine = [span for span in collector.spans if span.trace_id.hex() == TRACE]
    assert [span.name for span in mine] == ["GET /api/v2/workspaces/<workspace_id>"]
    assert mine[0].parent_span_id.hex() == PARENT
    assert attributes(mine[0])["terrapod.request_id"] == "the-request"
    assert attributes(mine[0])["http.response.status_code"] == 401
    assert mine[0].end_time_unix_nano >= mine[0].start_time_unix_nano
    assert "GET /c/<token>" in {span.name for span in collector.spans}
    assert not [span.name for span in collector.spans if span.name.endswith(("/ready", "/health"))], "probes are no news"
    assert collector.keys == {SECRET}
    for hidden in (b"secretlooking", b"hidden-query", b"hidden-capability", server.token.encode()):
        assert hidden not in collector.raw
    log = server.log.read_text()
    assert SECRET not in log
    lines = [json.loads(line) for line in log.splitlines() if line.startswith("{") and '"the-request"' in line]
    assert [line["trace_id"] for line in lines] == [TRACE]


def test_a_collector_that_is_away_fails_no_request_and_holds_up_no_stop(new_server: Callable[..., Server]) -> None:
    server = new_server(settings={"TRACING__ENDPOINT": "http://127.0.0.1:9/v1/traces"})
    server.start()
    assert all(httpx.get(f"{server.url}/api/v2/organizations", trust_env=False).status_code == 401 for _ in range(5))
    server.stop()


def test_without_the_extra_the_start_is_refused_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(current, "find_spec", lambda _name: None)
    with pytest.raises(SettingsError, match=r"pip install 'terrapod-core\[tracing\]'"):
        opened(Tracing(endpoint="http://collector:4318/v1/traces"))
    assert opened(Tracing()) is None


def test_headers_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match="name=value"):
        Tracing(headers="no-value")
