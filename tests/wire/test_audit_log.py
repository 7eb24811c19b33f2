"""The audit log over HTTP, and `terrapod audit verify` beside a server that runs."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.support import wire
from tests.support.server import Server
from tests.support.waiting import until
from tests.support.wire import Person, data, refused

PATH = "admin/audit-log"


def filters(**values: str) -> dict[str, str]:
    return {f"filter[{name.replace('_', '-')}]": value for name, value in values.items()}


@pytest.fixture
def workspace(api: httpx.Client) -> str:
    """A workspace that was made and changed; its id."""
    made: str = wire.make_workspace(api)["id"]
    data(api.patch(f"workspaces/{made}", json=wire.document("workspaces", description="=1+1")))
    return made


def test_an_entry_says_who_did_what_to_what(api: httpx.Client, workspace: str) -> None:
    response = api.get(PATH, params=filters(resource_id=workspace))
    newest, oldest = data(response)
    assert {newest["type"], oldest["type"]} == {"audit-entries"}
    said = newest["attributes"]
    assert (oldest["attributes"]["action"], said["action"]) == ("workspace.create", "workspace.update")
    assert (said["resource-type"], said["resource-id"], said["outcome"]) == ("workspaces", workspace, "allowed")
    assert (said["actor-kind"], said["address"]) == ("user", "127.0.0.1")
    assert said["created-at"].endswith("Z")
    assert said["request-id"].startswith("req-")
    assert response.json()["meta"]["pagination"]["total-count"] == 2


def test_an_auditor_reads_and_is_written_down(auditor: Person, api: httpx.Client, workspace: str) -> None:
    assert len(data(auditor.api.get(PATH, params=filters(resource_id=workspace)))) == 2
    [read, *_] = data(api.get(PATH, params=filters(action="audit-log.read", actor=auditor.id)))
    assert read["attributes"]["detail"]["filters"] == {"resource-id": workspace}


def test_others_may_not_read(alice: Person) -> None:
    for headers in ({}, {"Accept": "text/csv"}):
        assert refused(alice.api.get(PATH, headers=headers), 403)[0]["code"] == "platform_role_needed"


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("filter[since]", "yesterday"),
        ("filter[until]", "2026-13-01T00:00:00Z"),
        ("filter[outcome]", "x"),
        ("filter[outcom]", "refused"),
        ("filter[action]", "*x"),
        ("format", "pdf"),
    ],
)
def test_what_cannot_be_understood_is_named(api: httpx.Client, parameter: str, value: str) -> None:
    [error] = refused(api.get(PATH, params={parameter: value}), 400)
    assert error["source"] == {"parameter": parameter}


def test_following_the_links_shows_every_entry_once(api: httpx.Client, workspace: str) -> None:
    seen = list[str]()
    answer = api.get(PATH, params={"page[size]": "7"}).json()
    total = answer["meta"]["pagination"]["total-count"]
    while True:
        seen += [one["id"] for one in answer["data"]]
        url = answer["links"]["next"]
        if url is None:
            break
        answer = api.get(url).json()
        assert answer["meta"]["pagination"]["total-count"] == total, "each reading is an entry, but not of this list"
    assert len(seen) == len(set(seen)) == total


def test_csv_is_a_file_to_save(api: httpx.Client, workspace: str) -> None:
    for response in (
        api.get(PATH, params=filters(resource_id=workspace), headers={"Accept": "text/csv"}),
        api.get(PATH, params={**filters(resource_id=workspace), "format": "csv"}),
    ):
        assert response.status_code == 200
        assert response.headers["content-type"] == "text/csv; charset=utf-8"
        assert response.headers["content-disposition"].startswith('attachment; filename="audit-log-')
        assert [row["action"] for row in csv.DictReader(io.StringIO(response.text))] == ["workspace.update", "workspace.create"]
    assert api.get(PATH, params={"format": "json"}, headers={"Accept": "text/csv, application/json"}).json()["data"]
    assert api.get(PATH, headers={"Accept": "*/*"}).json()["data"], "who takes anything gets JSON"


def test_a_running_server_seals_and_its_chain_is_verified_beside_it(new_server: Callable[..., Server], tmp_path: Path) -> None:
    anchor = tmp_path / "anchors.jsonl"
    server = new_server(settings={"AUDIT__ANCHOR_FILE": str(anchor)}).start()
    wire.make_workspace(server.api)
    until(lambda: verified(server).returncode == 0 and " 0 entries" not in verified(server).stdout, "the sealer")
    result = verified(server)
    assert result.stdout.startswith("good: "), result.stdout + result.stderr
    rows = [json.loads(line) for line in command(server, "export").stdout.splitlines()]
    assert [row["seal-no"] for row in rows] == list(range(1, len(rows) + 1))
    assert "workspace.create" in {row["action"] for row in rows}


def verified(server: Server) -> subprocess.CompletedProcess[str]:
    return command(server, "verify")


def command(server: Server, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`terrapod audit …` beside the server."""
    program = [sys.executable, "-m", "terrapod_core", "audit", *arguments, "--data-dir", str(server.data)]
    return subprocess.run(program, capture_output=True, text=True, check=False, cwd=server.directory)


def test_a_refusal_without_a_token_is_counted_not_written(server: Server, api: httpx.Client) -> None:
    before = api.get(PATH, params=filters(outcome="refused")).json()["meta"]["pagination"]["total-count"]
    for _ in range(20):
        refused(httpx.get(f"{server.url}/api/v2/account/details", trust_env=False), 401, 429)
    after = api.get(PATH, params=filters(outcome="refused")).json()["meta"]["pagination"]["total-count"]
    assert after - before <= 2, "written one by one"
