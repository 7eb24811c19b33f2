"""Requests as a collector of OpenTelemetry sees them."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from terrapod_core.settings import SettingsError, Tracing
from terrapod_core.web import traces
from tests.support.server import Server

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SECRET = "a-key-of-the-collector"


class Collector(ThreadingHTTPServer):
    """Keeps what it is sent."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Receiver)
        self.spans: list[Any] = []
        self.keys: set[str | None] = set()
        self.raw = b""

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1/traces"


class Receiver(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        told = ExportTraceServiceRequest.FromString(body)
        self.server.raw += body
        self.server.keys.add(self.headers.get("x-key"))
        self.server.spans += [span for part in told.resource_spans for scope in part.scope_spans for span in scope.spans]
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
        pass


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as made:
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield made
        made.shutdown()


def attributes(span: Any) -> dict[str, Any]:
    return {each.key: each.value.string_value or each.value.int_value for each in span.attributes}


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
    monkeypatch.setattr(traces, "find_spec", lambda _name: None)
    with pytest.raises(SettingsError, match=r"pip install 'terrapod-core\[tracing\]'"):
        traces.Traces.of(Tracing(endpoint="http://collector:4318/v1/traces"))
    assert traces.Traces.of(Tracing()) is None


def test_headers_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match="name=value"):
        Tracing(headers="no-value")
