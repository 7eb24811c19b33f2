"""The contract of the Terraform Sync API: its examples, as they are written there but for the host and the key, on a server of its own."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.support import wire
from tests.support.raw import Raw
from tests.support.server import Server, running
from tests.support.waiting import until
from tests.support.wire import make_person

KEY, HOST = "YOUR_API_KEY", "https://api.firestartr.pro"
BASE = "/v1/terraform/sync"

LIST = """
curl -H "Authorization: Bearer YOUR_API_KEY" \\
     https://api.firestartr.pro/v1/terraform/sync/workspaces
"""
"""The contract's one command."""

LISTED = """
{
  "workspaces": [
    {
      "name": "production",
      "sync_enabled": true,
      "last_sync": "2025-10-13T14:00:00Z",
      "status": "success",
      "next_sync": "2025-10-13T14:10:00Z"
    }
  ]
}
"""
CONFIGURATION = """
{
  "enabled": true,
  "workspaces": {
    "production": {
      "enabled": true,
      "sync_interval": "10m",
      "auto_apply": false
    }
  },
  "conflict_resolution": "manual"
}
"""
REFUSED = """
{
  "error": "workspace_not_found",
  "message": "Workspace 'invalid-name' does not exist",
  "code": 404
}
"""
MOMENT = re.compile(r'"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"')


class Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: str

    def json(self) -> Any:
        return json.loads(self.body)


def curl(server: Server, command: str, *, key: str | None = None) -> Answer:
    """What the contract's command prints, with this server's address and key."""
    words = shlex.split(command.replace("\\\n", " ").replace(HOST, server.url).replace(KEY, key or server.token))
    told = subprocess.run([*words, "-s", "-i", "--max-time", "60"], capture_output=True, check=False).stdout.decode()
    head, _blank, body = told.partition("\r\n\r\n")
    first, *lines = head.split("\r\n")
    headers = {name.lower(): value.strip() for name, _colon, value in (line.partition(":") for line in lines)}
    return Answer(int(first.split()[1]), headers, body)


def asked(server: Server, method: str, path: str, *, key: str | None = None, sent: str | None = None) -> Answer:
    """Another call of the contract, in the manner of its command."""
    data = f" -d {shlex.quote(sent)}" if sent is not None else ""
    return curl(server, f'curl -X {method} -H "Authorization: Bearer {KEY}"{data} {HOST}{BASE}{path}', key=key)


def compact(example: str) -> str:
    """An example as a program writes it."""
    return json.dumps(json.loads(example), separators=(",", ":"))


def without_moments(body: str) -> str:
    return MOMENT.sub('"…"', body)


def in_step(server: Server) -> None:
    """Wait until the sync under way has ended; the workspace itself is looked at, for which a key has more than a hundred requests."""
    path = f"{wire.ORG}/workspaces/production"
    until(lambda: wire.attributes(server.api.get(path)).get("sync-status") == "success", "the sync to end")


@pytest.fixture(scope="module")
def synced(engines: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with the contract's workspace alone, whose configuration is applied."""
    with running(tmp_path_factory.mktemp("sync"), settings={**engines, "PLUGIN__SYNC__JITTER_SECONDS": "0"}) as server:
        workspace = wire.make_workspace(server.api, name="production", auto_apply=True)
        configuration = wire.make_configuration(server.api, workspace["id"])
        wire.run_at(server.api, wire.make_run(server.api, workspace["id"], configuration), "applied")
        yield server


@pytest.fixture(scope="module")
def configured(synced: Server) -> Answer:
    """The answer to the contract's configuration."""
    return asked(synced, "PUT", "/config", sent=CONFIGURATION)


def test_the_example_of_a_configuration_is_taken_and_comes_back(synced: Server, configured: Answer) -> None:
    assert (configured.status, configured.headers["content-type"], configured.body) == (200, "application/json", compact(CONFIGURATION))
    read = asked(synced, "GET", "/config")
    assert (read.status, read.headers["content-type"], read.body) == (200, "application/json", compact(CONFIGURATION))


@pytest.mark.usefixtures("configured")
def test_the_example_of_the_list_is_answered(synced: Server) -> None:
    in_step(synced)
    answer = curl(synced, LIST)
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert without_moments(answer.body) == without_moments(compact(LISTED))
    row = answer.json()["workspaces"][0]
    gap = datetime.fromisoformat(row["next_sync"]) - datetime.fromisoformat(row["last_sync"])
    assert abs(gap - timedelta(minutes=10)) <= timedelta(seconds=1)


@pytest.mark.usefixtures("configured")
def test_the_example_of_the_trigger_is_answered_with_the_run(synced: Server) -> None:
    in_step(synced)
    answer = asked(synced, "POST", "/workspaces/production/sync")
    told = answer.json()
    assert (answer.status, answer.headers["content-type"]) == (202, "application/json")
    assert list(told)[:5] == list(json.loads(LISTED)["workspaces"][0])
    run = wire.attributes(synced.api.get(f"runs/{told['run_id']}"))
    assert (run["trigger-reason"], told["sync_id"] in run["message"]) == ("sync", True)
    wire.run_at(synced.api, told["run_id"], "planned_and_finished")
    in_step(synced)
    lines = asked(synced, "GET", "/workspaces/default/production/history").json()["syncs"]
    assert [each["cause"] for each in lines] == ["manual", "schedule"]


@pytest.mark.parametrize(("method", "path"), [("POST", "/workspaces/invalid-name/sync"), ("GET", "/workspaces/invalid-name")])
def test_the_example_of_an_error_is_answered(synced: Server, method: str, path: str) -> None:
    answer = asked(synced, method, path)
    assert (answer.status, answer.headers["content-type"], answer.body) == (404, "application/json", compact(REFUSED))


def refused(answer: Answer, status: int, error: str) -> str:
    """The message of a refusal in the contract's shape."""
    found = answer.json()
    assert answer.headers["content-type"] == "application/json"
    assert (answer.status, list(found), found["error"], found["code"]) == (status, list(json.loads(REFUSED)), error, status), answer
    return str(found["message"])


def test_every_failure_has_the_shape_of_the_example(synced: Server) -> None:
    refused(asked(synced, "GET", "/workspaces", key="nobodys"), 401, "unauthorized")
    refused(curl(synced, f"curl {HOST}{BASE}/workspaces"), 401, "unauthorized")
    refused(asked(synced, "GET", "/nothing"), 404, "not_found")
    refused(asked(synced, "GET", ""), 404, "not_found")
    answer = asked(synced, "DELETE", "/config")
    refused(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == "GET, HEAD, PUT"
    refused(asked(synced, "PUT", "/config", sent="{"), 422, "invalid_config")


def test_a_key_has_a_hundred_requests_a_minute(synced: Server) -> None:
    person = make_person(synced, "hasty")
    person.api.close()
    command = f'curl -s -o /dev/null -w "%{{http_code}}\\n" -H "Authorization: Bearer {person.token}" {synced.url}{BASE}/workspaces?[1-100]'
    codes = subprocess.run(shlex.split(command), capture_output=True, text=True, check=True).stdout.split()
    assert codes == ["200"] * 100
    answer = asked(synced, "GET", "/config", key=person.token)
    refused(answer, 429, "rate_limited")
    assert 0 < int(answer.headers["retry-after"]) <= 60
    assert asked(synced, "GET", "/config").status == 200


@pytest.mark.usefixtures("configured")
@pytest.mark.parametrize("chunked", [False, True], ids=["declared", "chunked"])
def test_a_document_of_100_mb_is_refused_and_never_held(synced: Server, chunked: bool) -> None:
    """By hand: curl sometimes sees the connection's end before it reads the answer."""
    before, length = memory(synced), {"Transfer-Encoding": "chunked"} if chunked else {"Content-Length": str(100 << 20)}
    with Raw(f"{synced.url}{BASE}/config") as raw:
        raw.head("PUT", {"Authorization": f"Bearer {synced.token}", **length})
        if chunked:
            raw.chunks([b" " * 8192] * 200)
        answer = raw.answer()
    refused(Answer(answer.status, answer.headers, answer.body.decode()), 422, "invalid_config")
    assert memory(synced) - before < 50 << 20
    assert asked(synced, "GET", "/config").body == compact(CONFIGURATION)


def memory(server: Server) -> int:
    """The most bytes that the process has held at one time."""
    status = Path(f"/proc/{server.pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) * 1024
