"""A run as a collector of OpenTelemetry sees it: one trace, from the wait for a runner to the last request of the apply's."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from terrapod_core import traces
from tests.cli.conftest import NewWorkspace
from tests.support.collector import attributes, collecting
from tests.support.listeners import make_pool, make_token
from tests.support.listening import NewListener
from tests.support.server import Server
from tests.support.workspace import Workspace

SECRET = "a-secret-of-the-workspace"
ONE = 'variable "secret" {}\nresource "terraform_data" "one" {\n  input = "planned-and-applied"\n}\n'


def applied(workspace: Workspace) -> dict[str, Any]:
    """A run that is planned and applied."""
    workspace.set_variable("secret", SECRET, sensitive=True)
    run = workspace.run_of(workspace.tf.run("apply", "-auto-approve"))
    assert run["attributes"]["status"] == "applied"
    return run


def test_a_run_is_one_trace(new_server: Callable[..., Server], new_workspace: NewWorkspace) -> None:
    with collecting() as collector:
        server = new_server(settings={"TRACING__ENDPOINT": collector.endpoint, "LOG_FORMAT": "json"})
        server.start()
        workspace = new_workspace(ONE, on=server)
        run = applied(workspace)
        plan, apply = (run["relationships"][kind]["data"]["id"] for kind in ("plan", "apply"))
        server.stop()
    trace = f"{traces.run_trace(run['id']):032x}"
    mine = [span for span in collector.spans if span.trace_id.hex() == trace]
    by_name = {span.name: span for span in mine}
    root = by_name["run"]
    assert root.span_id.hex() == f"{traces.run_span(run['id']):016x}"
    assert not root.parent_span_id
    assert attributes(root)["terrapod.outcome"] == "applied"
    for phase, phase_id in (("plan", plan), ("apply", apply)):
        tried, waited = by_name[phase], by_name[f"queue {phase}"]
        assert tried.parent_span_id == waited.parent_span_id == root.span_id
        assert tried.span_id.hex() == f"{traces.phase_span(phase_id, attributes(tried)['terrapod.epoch']):016x}"
        assert attributes(tried)["terrapod.run_id"] == run["id"]
        assert attributes(tried)["terrapod.outcome"] == "finished"
        assert attributes(tried)["terrapod.backend"] == "local"
        assert waited.start_time_unix_nano <= waited.end_time_unix_nano <= tried.end_time_unix_nano
        asked = {span.name for span in mine if span.parent_span_id == tried.span_id}
        below = "/api/runner/v1/phases/<phase_id>"
        assert {f"POST {below}/report", f"PUT {below}/log", f"GET {below}/configuration"} <= asked, "the runner's requests are the phase's"
        assert (f"PUT {below}/state" in asked) == (phase == "apply")
    stored = [span for span in mine if span.name.startswith("storage ")]
    assert {span.parent_span_id for span in stored} <= {span.span_id for span in mine}, "storage belongs to the request that asked for it"
    assert "storage write" in {span.name for span in stored}
    creating = [span for span in collector.spans if span.name == "POST /api/v2/runs"]
    assert [link.trace_id.hex() for span in creating for link in span.links] == [trace]
    assert attributes(creating[0])["terrapod.run_id"] == run["id"]
    assert [span for span in collector.spans if span.name.startswith("job ") and attributes(span).get("terrapod.outcome") == "done"]
    for hidden in (SECRET, "planned-and-applied", workspace.name, server.token, "terrapod-phase-", "offset=", "lineage="):
        assert hidden.encode() not in collector.raw, hidden
    lines = [json.loads(line) for line in server.log.read_text().splitlines() if line.startswith("{")]
    assert {line["route"].rpartition("/")[2] for line in lines if line.get("trace_id") == trace and "route" in line} >= {"report", "log"}


def test_the_requests_of_a_run_on_another_machine_are_in_its_trace(
    new_server: Callable[..., Server], new_workspace: NewWorkspace, new_listener: NewListener
) -> None:
    with collecting() as collector:
        server = new_server(settings={"TRACING__ENDPOINT": collector.endpoint})
        server.start()
        pool = make_pool(server.api)["id"]
        listener = new_listener("one", server=server).start(make_token(server.api, pool))
        workspace = new_workspace(ONE, on=server)
        workspace.update(execution_mode="agent", agent_pool_id=pool)
        run = applied(workspace)
        listener.stop()
        server.stop()
    mine = [span for span in collector.spans if span.trace_id.hex() == f"{traces.run_trace(run['id']):032x}"]
    for phase in ("plan", "apply"):
        [tried] = [span for span in mine if span.name == phase]
        assert attributes(tried)["terrapod.listener_id"].startswith("agent-")
        assert "POST /api/runner/v1/phases/<phase_id>/report" in {span.name for span in mine if span.parent_span_id == tried.span_id}


def test_a_run_that_fails_is_a_trace_that_fails(new_server: Callable[..., Server], new_workspace: NewWorkspace) -> None:
    with collecting() as collector:
        server = new_server(settings={"TRACING__ENDPOINT": collector.endpoint})
        server.start()
        workspace = new_workspace('resource "terraform_data" "one" {\n  input = file("missing")\n}\n', on=server)
        run = workspace.run_of(workspace.tf.run("apply", "-auto-approve", check=False))
        server.stop()
    failed = {
        span.name: attributes(span)["terrapod.outcome"]
        for span in collector.spans
        if span.trace_id.hex() == f"{traces.run_trace(run['id']):032x}" and span.status.code == 2
    }
    assert failed == {"plan": "errored", "run": "errored"}


def test_a_run_applies_while_the_collector_is_away(new_server: Callable[..., Server], new_workspace: NewWorkspace) -> None:
    server = new_server(settings={"TRACING__ENDPOINT": "http://127.0.0.1:9/v1/traces"})
    server.start()
    applied(new_workspace(ONE, on=server))
    server.stop()
